"""Replies by transformers' own ``generate``, with the exact log-probability of every token: for any causal model.

The whole conversation is read anew for each reply, padded on the left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

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
    generator: torch.Generator | None = None,
) -> Generated:
    """Samples a reply to each prompt.

    Args:
        forward: of the model.
        prompts: B whole conversations, at least one token each.
        max_tokens: limit of a reply.
        end_id: ends a reply; None has all replies end at the limit.
        pad_id: fills up prompts on the left.
        forbidden: (F,) int64, tokens that no reply has.
        temperature: 1 samples from the model, 0 takes the likeliest token.
        generator: of torch; None takes torch's own.
    """
    base = forward.base
    device, longest = base.device, max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    recorder, states = _Recorder(forbidden, temperature), list[Tensor]()
    config = GenerationConfig(
        max_new_tokens=max_tokens, do_sample=temperature > 0, top_k=0, eos_token_id=end_id, pad_token_id=pad_id
    )
    hook = base.get_output_embeddings().register_forward_pre_hook(
        lambda _, arguments: states.append(arguments[0][:, -1]) if not states else None
    )
    try:
        with torch.no_grad(), forward.computing(), _own_settings(base), _seeded(generator, device):
            whole = base.generate(
                ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=LogitsProcessorList([recorder]),
            )
    finally:
        hook.remove()
    return Generated(whole[:, longest:], recorder.finish(whole), states[0])


class _Recorder(LogitsProcessor):
    """Takes out what cannot be said, applies the temperature, and notes the log-probability of what is drawn.

    A vocabulary is large, so the log-probabilities of all its tokens are kept until the next token only.
    """

    def __init__(self, forbidden: Tensor, temperature: float):
        self.forbidden, self.temperature = forbidden, temperature or 1.0
        self.latest: Tensor | None = None
        self.found: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._note(input_ids)
        self.latest = log_distribution(scores, self.forbidden, self.temperature)
        return self.latest

    def finish(self, input_ids: Tensor) -> Tensor:
        """(B, R) log-probabilities of all that was drawn."""
        self._note(input_ids)
        return torch.stack(self.found, 1)

    def _note(self, input_ids: Tensor) -> None:
        if self.latest is not None:
            self.found.append(self.latest.gather(1, input_ids[:, -1:])[:, 0])


@contextlib.contextmanager
def _own_settings(model: Any) -> Iterator[None]:
    """Without those that a model brings along: top_k, a repetition penalty; they would change the distribution."""
    brought = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = brought


@contextlib.contextmanager
def _seeded(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """``generate`` draws from torch's own generator: it is seeded from ours, and left as it was."""
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
