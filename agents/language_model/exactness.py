"""Whether a model says the same with its keys and values kept from turn to turn as in one pass over the whole.

Words are sampled with the cache (``cache.py``) and learned from without it. Where the two differ, a policy gradient is
that of another policy; so a model is asked once, when it is loaded: ``NUM_TOKENS`` tokens, read at once and again in
pieces. That takes a model of 135 million weights about two seconds on one core, and the small one a twentieth of one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .cache import RaggedCache, hidden_states

FIRST_PROMPTS, REPLIES, SECOND_PROMPTS = (7, 3, 5), (4, 1, 4), (6, 9, 2)
"""Tokens of each of three conversations: two prompts, and what is said between them."""
LENGTHS = tuple(map(sum, zip(FIRST_PROMPTS, REPLIES, SECOND_PROMPTS, strict=True)))
NUM_TOKENS = sum(LENGTHS)
WINDOW = 6
"""Positions that a sliding layer sees during the check, so that a short conversation is longer."""
TOLERANCE, COARSE_TOLERANCE = 1e-3, 0.3
"""Nats between two ways to compute one log-probability, in float32 and in types of 16 bits."""


def check_model(model: PreTrainedModel) -> None:
    """Checks that logits are those of the output layer, and the same with the cache as without.

    Raises:
        ValueError: where they are not, or the model does not work with the cache.
    """
    kind, implementation = type(model).__name__, model.config.get_text_config()._attn_implementation
    advice = (
        'load it with attn_implementation="sdpa" or "eager", or take another family: Llama, Qwen 2, GPT-2, OPT, '
        "Mistral, Phi and Gemma 3 are known to work"
    )
    try:
        head_difference, difference = head_error(model), cache_error(model)
    except torch.OutOfMemoryError:
        raise
    except Exception as e:
        raise ValueError(
            f"{kind} with {implementation} attention cannot keep what it has read from turn to turn "
            f"({type(e).__name__}: {e}); {advice}"
        ) from e
    tolerance = TOLERANCE if model.dtype in (torch.float32, torch.float64) else COARSE_TOLERANCE
    if not head_difference <= tolerance:
        raise ValueError(f"{kind} does more to its hidden states than its output layer: it cannot be sampled here")
    if not difference <= tolerance:
        raise ValueError(
            f"expected the same log-probabilities from {kind} with {implementation} attention whether or not it keeps "
            f"what it has read, within {tolerance:g} nats, got a difference of {difference:.2g}: it would be sampled "
            f"from one distribution and trained on another; {advice}"
        )


@torch.inference_mode()
def head_error(model: PreTrainedModel) -> float:
    """The largest difference between the model's logits and its output layer's: it may scale or cap them afterwards."""
    ids = _ids(model)[:1, :1]
    with _evaluating(model):
        return float((model(ids).logits.float() - _logits(model, hidden_states(model, ids))).abs().max())


@torch.inference_mode()
def cache_error(model: PreTrainedModel) -> float:
    """The largest difference, in nats, between log-probabilities of next tokens with the cache and without.

    Two turns of three conversations that differ in length, longer than the window of layers that have one.
    """
    ids = _ids(model)
    with _evaluating(model), _narrow_window(model.config.get_text_config()):
        whole, cached = hidden_states(model, ids), _hidden_with_cache(model, ids)
    read = torch.arange(ids.shape[1], device=ids.device) < torch.tensor(LENGTHS, device=ids.device)[:, None]
    expected, got = (torch.log_softmax(_logits(model, states[read]), -1) for states in (whole, cached))
    return float((expected - got).abs().max())


def _logits(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    head: Any = model.get_output_embeddings()
    return head(hidden).float()


def _ids(model: PreTrainedModel) -> Tensor:
    """(3, T) tokens drawn at random, padded on the right; always the same ones for a vocabulary."""
    vocab_size = int(model.config.get_text_config().vocab_size)
    ids = torch.randint(vocab_size, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(0))
    return ids.to(model.device)


def _hidden_with_cache(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """(3, T, D) hidden states of ids (3, T), read as a sampler reads: prompts in groups of rows, replies word by word
    without the rows whose reply has ended.
    """
    cache, device = RaggedCache.of(model, len(ids)), ids.device
    hidden: Tensor | None = None
    sizes_by_part = (FIRST_PROMPTS, REPLIES, SECOND_PROMPTS)
    prompts, replies, seconds = (torch.tensor(sizes, device=device) for sizes in sizes_by_part)

    def feed(source: RaggedCache, places: Tensor, sizes: Tensor, rows: Tensor | None) -> None:
        """The next ``sizes`` tokens of conversations ``places``, which are ``rows`` of a cache."""
        nonlocal hidden
        starts = source.lengths if rows is None else source.lengths[rows]
        positions = (starts[:, None] + torch.arange(int(sizes.max()), device=device)).clamp(max=ids.shape[1] - 1)
        states = hidden_states(model, ids[places[:, None], positions], **source.place(positions.shape[1], rows))
        hidden = states.new_zeros(*ids.shape, states.shape[-1]) if hidden is None else hidden
        for place, row_positions, row_states, size in zip(places, positions, states, sizes, strict=True):
            hidden[place, row_positions[:size]] = row_states[:size]
        source.commit(sizes)

    everybody, one = torch.arange(len(ids), device=device), torch.ones(len(ids), dtype=torch.long, device=device)
    for rows in (everybody[1:], everybody[:1]):
        feed(cache, rows, prompts[rows], rows)
    feed(cache, everybody, one, None)
    speaking = (replies > 1).nonzero()[:, 0]
    smaller, num_more = cache.select(speaking), int(replies.max()) - 1
    for _ in range(num_more):
        feed(smaller, speaking, one[speaking], None)
    cache.put_back(speaking, smaller, num_more)
    feed(cache, everybody, seconds, None)
    assert hidden is not None
    return hidden


@contextlib.contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Without dropout; a model in training goes on training afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextlib.contextmanager
def _narrow_window(config: Any) -> Iterator[None]:
    """Sliding layers see ``WINDOW`` positions, so that what was kept beyond a window is tried as well."""
    window = getattr(config, "sliding_window", None)
    if window is not None:
        config.sliding_window = min(window, WINDOW)
    try:
        yield
    finally:
        if window is not None:
            config.sliding_window = window
