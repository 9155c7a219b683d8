"""How an agent speaks: what is measured of its replies beside their reward, so that the price of a gain is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Spoken(NamedTuple):
    """What a model thinks of what it said, at temperature 1, in nats.

    Attributes:
        logprobs: of each conversation, the mean log-probability of the tokens that the model said; 0.0 where it said
            nothing.
        kl: the mean KL(model || what it started as) of these tokens; None without a start, or where nothing was said.
            It is that of the whole distributions where the model stood: exact but for replies that the tokenizer would
            have cut into other tokens than the model did.
    """

    logprobs: list[float]
    kl: float | None


def spoken(lm: LanguageModel, conversations: Sequence[Sequence[Any]], start: LanguageModel | None = None) -> Spoken:
    """Reads conversations once, for all that is measured of them.

    Args:
        lm: the model. Of a conversation that outgrows its context, the beginning counts.
        conversations: of messages, with the model as the assistant.
        start: what it started as, with the same tokenizer; the KL is that of the first ``NUM_KL`` conversations.
    """
    import torch

    from ...agents.language_model.memory import length_batches
    from ...agents.language_model.sampler import pad

    examples = [lm.tokenizer.encode_demonstration(messages) for messages in conversations]
    examples = [(ids[: lm.max_context], said[: lm.max_context]) for ids, said in examples]
    numbers = [number for number, (_, said) in enumerate(examples) if any(said)]
    to_compare = [number for number in numbers if start is not None and number < NUM_KL]
    means, divergences = [0.0] * len(examples), list[float]()
    lm.model.eval()
    with torch.no_grad():
        for part, reference in ((to_compare, start), (numbers[len(to_compare) :], None)):
            for group in length_batches([len(examples[number][0]) for number in part], TOKENS_AT_ONCE):
                batch = [part[place] for place in group]
                ids, _ = pad([examples[number][0] for number in batch], lm.tokenizer.pad_id)  # (B, T)
                said, _ = pad([examples[number][1] for number in batch], False, torch.bool)  # (B, T)
                found = lm.token_logprobs(ids.to(lm.device), said.to(lm.device), reference=reference)
                for number, own in zip(batch, found.logprobs.double().split(said.sum(1).tolist()), strict=True):
                    means[number] = float(own.mean())
                if found.kl is not None:
                    divergences += found.kl.tolist()
    return Spoken(means, float(np.mean(divergences)) if divergences else None)
