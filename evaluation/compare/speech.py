"""How an agent speaks: what is measured of its replies beside their reward, so that the price of a gain is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...agents.base import Agent
from ...rewards.text.style import distinct_n
from ..score import Scores

if TYPE_CHECKING:
    from ...agents.language_model.model import LanguageModel

MAX_REPLIES = 2000
"""Replies of each agent that are measured."""
NUM_DISTINCT = 1000
"""Replies that distinct-n is taken of: the measure falls with their number."""
NUM_KL = 100
"""Conversations that the KL from the start is measured on."""
TOKENS_AT_ONCE = 4096


def measures(scores: Scores, agent: Agent) -> dict[str, Any]:
    """Variety and length of what an agent said.

    Returns:
        "distinct_1" and "distinct_2" in [0, 1]; "reply_words", the mean number of words of a reply; "cut_share", the
        share of replies as long as the agent's limit of tokens, None for one that has none.
    """
    replies = scores.replies[:MAX_REPLIES]
    return {
        **{f"distinct_{n}": distinct_n(replies[:NUM_DISTINCT], n) for n in (1, 2)},
        "reply_words": float(np.mean([len(reply.split()) for reply in replies])) if replies else 0.0,
        "cut_share": _cut_share(replies, agent),
    }


def _cut_share(replies: Sequence[str], agent: Agent) -> float | None:
    limit = getattr(agent.config, "max_reply_tokens", None)
    lm = getattr(agent, "lm", None)
    if lm is None or limit is None or not replies:
        return None
    return float(np.mean([len(lm.tokenizer.encode(reply)) >= limit for reply in replies]))


def confidence(lm: LanguageModel, conversations: Sequence[Sequence[Any]]) -> list[float]:
    """Mean log-probability of the tokens that the model said in each conversation, in nats, at temperature 1.

    0.0 where it said nothing. Of a conversation that outgrows the context, its beginning counts.
    """
    import torch

    from ...agents.language_model.memory import length_batches
    from ...agents.language_model.sampler import pad

    examples = [lm.tokenizer.encode_demonstration(messages) for messages in conversations]
    examples = [(ids[: lm.max_context], said[: lm.max_context]) for ids, said in examples]
    spoken = [number for number, (_, said) in enumerate(examples) if any(said)]
    found = [0.0] * len(examples)
    lm.model.eval()
    with torch.no_grad():
        for group in length_batches([len(examples[number][0]) for number in spoken], TOKENS_AT_ONCE):
            numbers = [spoken[place] for place in group]
            ids, _ = pad([examples[number][0] for number in numbers], lm.tokenizer.pad_id)  # (B, T)
            said, _ = pad([examples[number][1] for number in numbers], False, torch.bool)  # (B, T)
            logprobs = lm.token_logprobs(ids.to(lm.device), said.to(lm.device)).logprobs
            for number, own in zip(numbers, logprobs.double().split(said.sum(1).tolist()), strict=True):
                found[number] = float(own.mean())
    return found


def kl_spent(lm: LanguageModel, start: LanguageModel, conversations: Sequence[Sequence[Any]]) -> float | None:
    """Mean KL(model || what it started as) of the tokens that the model said, in nats.

    It is that of the whole distributions, at temperature 1, where the model stood: exact but for replies that the
    tokenizer would have cut into other tokens than the model did.

    Args:
        lm: the model.
        start: with the same tokenizer.
        conversations: of messages, with the model as the assistant; None is returned where it says nothing in them.
    """
    import torch

    from ...agents.language_model.memory import length_batches
    from ...agents.language_model.sampler import pad

    examples = [lm.tokenizer.encode_demonstration(messages) for messages in conversations]
    examples = [(ids[: lm.max_context], said[: lm.max_context]) for ids, said in examples]
    examples = [(ids, said) for ids, said in examples if any(said)]
    total, count = 0.0, 0
    lm.model.eval()
    with torch.no_grad():
        for group in length_batches([len(ids) for ids, _ in examples], TOKENS_AT_ONCE):
            ids, _ = pad([examples[number][0] for number in group], lm.tokenizer.pad_id)  # (B, T)
            said, _ = pad([examples[number][1] for number in group], False, torch.bool)  # (B, T)
            kl = lm.token_logprobs(ids.to(lm.device), said.to(lm.device), reference=start).kl
            assert kl is not None
            total, count = total + float(kl.double().sum()), count + len(kl)
    return total / count if count else None
