"""Which way a model is sampled: with its keys and values kept from turn to turn, or by transformers' ``generate``.

Words are learned from in one pass over the whole. Where they are sampled from another distribution, a policy gradient
is that of another policy; so a model is asked once, when it is loaded: ``NUM_TOKENS`` tokens, read at once and again in
pieces. That takes a model of 135 million weights about two seconds on one core, and the small one a twentieth of one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .cache import RaggedCache
from .forward import Forward
from .generation import generate

_log = logging.getLogger(__name__)

FIRST_PROMPTS, REPLIES, SECOND_PROMPTS = (7, 3, 5), (4, 1, 4), (6, 9, 2)
"""Tokens of each of three conversations: two prompts, and what is said between them."""
LENGTHS = tuple(map(sum, zip(FIRST_PROMPTS, REPLIES, SECOND_PROMPTS, strict=True)))
NUM_TOKENS = sum(LENGTHS)
NUM_GENERATED = 8
"""Tokens that ``generate`` says in each."""
WINDOW = 6
"""Positions that a sliding layer sees during the check, so that a short conversation is longer."""
TOLERANCE, COARSE_TOLERANCE = 1e-3, 0.3
"""Nats between two ways to compute one log-probability, in float32 and in types of 16 bits."""


def keeps_what_it_read(forward: Forward) -> bool:
    """Whether a model says the same with the cache (``cache.py``) as without: True, or False if ``generate`` does.

    Raises:
        ValueError: where neither does.
    """
    kind, implementation = type(forward.base).__name__, forward.base.config.get_text_config()._attn_implementation
    tolerance = TOLERANCE if forward.dtype in (torch.float32, torch.float64) else COARSE_TOLERANCE
    failures = []
    for error in (cache_error, generate_error):
        try:
            difference = error(forward)
        except torch.OutOfMemoryError:
            raise
        except Exception as e:
            failures.append(f"{type(e).__name__}: {e}")
            continue
        if difference <= tolerance:
            if failures:
                _log.info("%s is sampled by transformers' generate (%s)", kind, failures[0])
            return not failures
        failures.append(f"a difference of {difference:.2g} nats")
    raise ValueError(
        f"expected the same log-probabilities from {kind} with {implementation} attention when it is sampled as in one "
        f"pass over the whole, within {tolerance:g} nats, got {failures[0]} when it keeps what it has read and "
        f"{failures[1]} from its generate: it would be sampled from one distribution and trained on another; "
        'load it with attn_implementation="sdpa" or "eager", or take another family: Llama, Qwen 2, GPT-2, OPT, '
        "Mistral, Phi and Gemma are known to work"
    )


@torch.inference_mode()
def cache_error(forward: Forward) -> float:
    """The largest difference, in nats, between log-probabilities of next tokens with the cache and without.

    Two turns of three conversations that differ in length, longer than the window of layers that have one.
    """
    ids = _ids(forward.model)
    read = torch.arange(ids.shape[1], device=ids.device) < torch.tensor(LENGTHS, device=ids.device)[:, None]
    with evaluating(forward.model), _narrow_window(forward.model.config.get_text_config()):
        whole, cached = forward.logits(ids, read), _logits_with_cache(forward, ids)[read]
    expected, got = (torch.log_softmax(logits.float(), -1) for logits in (whole, cached))
    return float((expected - got).abs().max())


def generate_error(forward: Forward) -> float:
    """The largest difference, in nats, between log-probabilities from ``generate`` and in one pass over the whole."""
    model = forward.model
    ids = _ids(model).tolist()
    prompts = [row[:size] for row, size in zip(ids, FIRST_PROMPTS, strict=True)]
    nothing = torch.zeros(0, dtype=torch.long, device=model.device)
    with evaluating(model), _narrow_window(model.config.get_text_config()), torch.inference_mode():
        found = generate(forward, prompts, NUM_GENERATED, None, 0, nothing)
        wholes = [prompt + said for prompt, said in zip(prompts, found.ids.tolist(), strict=True)]
        longest = max(map(len, wholes))
        whole = torch.tensor([row + [0] * (longest - len(row)) for row in wholes], device=model.device)
        columns = torch.arange(longest, device=model.device)
        starts = torch.tensor(FIRST_PROMPTS, device=model.device)[:, None] - 1
        logits = forward.logits(whole, (columns >= starts) & (columns < starts + NUM_GENERATED))
    expected = torch.log_softmax(logits.float(), -1).gather(1, found.ids.flatten()[:, None])[:, 0]
    return float((expected - found.logprobs.flatten()).abs().max())


def _ids(model: Any) -> Tensor:
    """(3, T) tokens drawn at random, padded on the right; always the same ones for a vocabulary."""
    vocab_size = int(model.config.get_text_config().vocab_size)
    ids = torch.randint(vocab_size, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(0))
    return ids.to(model.device)


def _logits_with_cache(forward: Forward, ids: Tensor) -> Tensor:
    """(3, T, V) logits of ids (3, T), read as a sampler reads: prompts in groups of rows, replies word by word without
    the rows whose reply has ended.
    """
    cache, device = RaggedCache.of(forward.model, len(ids)), ids.device
    found: Tensor | None = None
    sizes_by_part = (FIRST_PROMPTS, REPLIES, SECOND_PROMPTS)
    prompts, replies, seconds = (torch.tensor(sizes, device=device) for sizes in sizes_by_part)

    def feed(source: RaggedCache, places: Tensor, sizes: Tensor, rows: Tensor | None) -> None:
        """The next ``sizes`` tokens of conversations ``places``, which are ``rows`` of a cache."""
        nonlocal found
        starts = source.lengths if rows is None else source.lengths[rows]
        steps = torch.arange(int(sizes.max()), device=device)
        positions = (starts[:, None] + steps).clamp(max=ids.shape[1] - 1)
        keep, placed = steps < sizes[:, None], source.place(len(steps), rows)
        logits = forward.logits(ids[places[:, None], positions], keep, **placed)
        found = logits.new_zeros(*ids.shape, logits.shape[-1]) if found is None else found
        found[places[:, None].expand_as(keep)[keep], positions[keep]] = logits
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
    assert found is not None
    return found


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
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
