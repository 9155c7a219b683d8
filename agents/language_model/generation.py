"""Replies by transformers' own ``generate``, with the exact log-probability of every token: for any causal model.

The whole conversation is read anew for each reply, padded on the left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from .drawing import rows_at
from .forward import Forward
from .logprobs import log_distribution


class Generated(NamedTuple):
    """One reply to each of B prompts.

    Attributes:
        ids: (B, R) int64 sampled tokens; beyond a reply's end the entries mean nothing.
        logprobs: (B, R) log-probabilities of them, in nats, under the distribution they were drawn from.
        states: (B, D) hidden states of the last token of each prompt.
    """

    ids: Tensor
    logprobs: Tensor
    states: Tensor


def generate(
    forward: Forward,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    end_id: int | None,
    pad_id: int,
    forbidden: Tensor,
    temperature: float = 1.0,
    uniform: Tensor | None = None,
) -> Generated:
    """Samples a reply to each prompt.

    Args:
        forward: of the model.
        prompts: B whole conversations, at least one token each.
        max_tokens: limit of a reply.
        end_id: ends a reply; None has all replies end at the limit.
        pad_id: fills up prompts on the left.
        forbidden: (F,) int64, tokens that no reply has.
        temperature: of the distribution, above 0.
        uniform: (B, max_tokens) numbers in [0, 1) to draw by; None takes the likeliest tokens.
    """
    base = forward.base
    device, longest = base.device, max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    uniform = None if uniform is None else uniform.to(device)
    draw = Draw(lambda _, scores: log_distribution(scores, forbidden, temperature), uniform)
    states = list[Tensor]()
    config = GenerationConfig(max_new_tokens=max_tokens, eos_token_id=end_id, pad_token_id=pad_id, do_sample=False)
    hook = base.get_output_embeddings().register_forward_pre_hook(
        lambda _, arguments: states.append(arguments[0][:, -1]) if not states else None
    )
    try:
        with torch.no_grad(), forward.computing(), _own_settings(base):
            whole = base.generate(
                ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=LogitsProcessorList([draw]),
            )
    finally:
        hook.remove()
    return Generated(whole[:, longest:], torch.stack(draw.logprobs, 1), states[0])


class Draw(LogitsProcessor):
    """Draws each token itself, and notes its log-probability; ``generate`` is left no other.

    Args:
        log_distribution_of: (B, V) log-probabilities of (B, T) ids so far and (B, V) scores.
        uniform: (B, R) numbers in [0, 1) to draw by, for R tokens in each of B rows; None takes the likeliest tokens.

    Attributes:
        logprobs: (B,) of each token drawn so far, in nats.
    """

    def __init__(self, log_distribution_of: Callable[[Tensor, Tensor], Tensor], uniform: Tensor | None):
        self.log_distribution_of, self.uniform = log_distribution_of, uniform
        self.logprobs: list[Tensor] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """(B, V) scores that leave one token to each row."""
        logprobs = self.log_distribution_of(input_ids, scores)
        if self.uniform is None:
            tokens = logprobs.argmax(dim=-1, keepdim=True)
        else:
            tokens = rows_at(logprobs.exp(), self.uniform[:, len(self.logprobs), None])[:, None]  # (B, 1)
        self.logprobs.append(logprobs.gather(1, tokens)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter(1, tokens, 0.0)


@contextlib.contextmanager
def _own_settings(model: Any) -> Iterator[None]:
    """Without those that a model brings along: top_k, a repetition penalty; they would change the distribution."""
    brought = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = brought
