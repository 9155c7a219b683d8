"""A key-value cache that lives on across the turns of many conversations of different lengths.

transformers' ``DynamicCache`` concatenates at every step, which is half of a small model's decoding time, and holds
rows of one length. Here the memory is allocated ahead, and every row has its own positions: new keys and values are
written where the row ends. What was written beyond a row's end (padding, tokens after its last) is never attended to,
because the mask allows positions up to the query's own only, and is overwritten by what comes next.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

CHUNK = 64
"""The memory grows by multiples of so many positions."""


class RaggedLayer(CacheLayerMixin):
    """Keys and values of one layer, each (B, heads, capacity, head size)."""

    is_compileable = False
    is_sliding = False

    def __init__(self, cache: RaggedCache):
        super().__init__()
        self.cache = cache

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        _, num_heads, _, size = key_states.shape
        shape = (len(self.cache.lengths), num_heads, self.cache.capacity, size)
        self.keys, self.values = key_states.new_zeros(shape), value_states.new_zeros(shape)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Writes new keys and values, each (B, heads, T, size), where the rows are; all that may be attended to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        cache, (keys, values) = self.cache, self.grown()
        rows, positions, width = cache.rows, cache.positions, cache.width
        keys[rows[:, None], :, positions] = key_states.transpose(1, 2)
        values[rows[:, None], :, positions] = value_states.transpose(1, 2)
        keys, values = keys[:, :, :width], values[:, :, :width]
        return (keys, values) if cache.in_order else (keys[rows], values[rows])

    def grown(self) -> tuple[Tensor, Tensor]:
        """Keys and values, with room for as many positions as the cache has reserved."""
        assert self.keys is not None
        assert self.values is not None
        self.keys, self.values = _grown(self.keys, self.cache.capacity), _grown(self.values, self.cache.capacity)
        return self.keys, self.values

    def select(self, cache: RaggedCache, rows: Tensor) -> RaggedLayer:
        """A copy of some rows for another cache; row -1 is an empty one."""
        layer = RaggedLayer(cache)
        if self.is_initialized and len(self.cache.lengths):
            layer.keys, layer.values = (_copied(old, rows, cache.width, cache.capacity) for old in self.grown())
            layer.is_initialized = True
        return layer

    def put_back(self, rows: Tensor, part: RaggedLayer, positions: Tensor) -> None:
        """Overwrites some positions (R, P) of some rows (R,) with those of ``part``, which has these rows alone."""
        for own, newer in zip(self.grown(), part.grown(), strict=True):
            places = torch.arange(len(rows), device=rows.device)[:, None]
            own[rows[:, None], :, positions] = newer[places, :, positions]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.cache.width, 0

    def get_seq_length(self) -> int:
        return self.cache.width

    def get_max_length(self) -> int:
        return -1


class RaggedCache(Cache):
    """The cache of B rows; hand it to a model's forward as ``past_key_values``.

    Args:
        num_layers: of the model.
        num_rows: B.
        device: of the model.

    Attributes:
        lengths: (B,) int64, the tokens of each row so far; :meth:`commit` moves them on.
    """

    def __init__(self, num_layers: int, num_rows: int, device: torch.device | str = "cpu"):
        super().__init__(layers=[RaggedLayer(self) for _ in range(num_layers)])
        self.lengths = torch.zeros(num_rows, dtype=torch.long, device=device)
        self.rows = self._all_rows = torch.arange(num_rows, device=device)
        self.in_order = True
        self.positions = torch.zeros(num_rows, 1, dtype=torch.long, device=device)
        self.width = 0
        self.capacity = CHUNK

    def place(self, num_tokens: int, rows: Tensor | None = None) -> dict[str, Any]:
        """Prepares a forward pass of ``num_tokens`` new tokens for each of R rows.

        Args:
            num_tokens: T.
            rows: (R,) int64, each at most once; None is all of them in their order.

        Returns:
            The model's keyword arguments: ``position_ids`` (R, T), ``attention_mask`` (R, 1, T, width) bool, True where
            a token may look, and ``past_key_values``.
        """
        self.rows, self.in_order = (self._all_rows, True) if rows is None else (rows, False)
        lengths = self.lengths if self.in_order else self.lengths[rows]
        self.positions = lengths[:, None] + torch.arange(num_tokens, device=lengths.device)
        self.width = int(lengths.max()) + num_tokens
        self.reserve(self.width)
        columns = torch.arange(self.width, device=lengths.device)
        mask = columns <= self.positions[:, :, None]
        return {"position_ids": self.positions, "attention_mask": mask[:, None], "past_key_values": self}

    def commit(self, num_tokens: Tensor | int) -> None:
        """Says how many of the tokens just passed each of the rows keeps: an int, or (R,) int64."""
        if self.in_order:
            self.lengths = self.lengths + num_tokens
        else:
            self.lengths = self.lengths.index_add(0, self.rows, torch.zeros_like(self.rows) + num_tokens)

    def select(self, rows: Tensor) -> RaggedCache:
        """A cache of copies of some rows, in that order; row -1 stands for an empty one."""
        chosen = RaggedCache(0, len(rows), self.lengths.device)
        if len(self.lengths):
            chosen.lengths = torch.where(rows >= 0, self.lengths[rows], torch.zeros_like(rows))
            chosen.width = int(chosen.lengths.max()) if len(rows) else 0
        chosen.reserve(chosen.width + 1)
        chosen.layers = [layer.select(chosen, rows) for layer in self.layers]  # type: ignore[attr-defined]
        return chosen

    def put_back(self, rows: Tensor, part: RaggedCache, num_new: int) -> None:
        """Takes over what ``part``, which :meth:`select` gave for ``rows``, wrote since: ``num_new`` tokens at most."""
        self.reserve(part.capacity)
        newest = torch.arange(num_new, device=rows.device) - num_new
        positions = (part.lengths[:, None] + newest).clamp(min=0)  # (R, num_new)
        self.lengths = self.lengths.index_copy(0, rows, part.lengths)
        for layer, newer in zip(self.layers, part.layers, strict=True):
            layer.put_back(rows, newer, positions)  # type: ignore[attr-defined]

    def reserve(self, width: int) -> None:
        """Makes room for ``width`` positions; the layers grow when they are next written."""
        self.capacity = max(self.capacity, -(-width // CHUNK) * CHUNK)


def _grown(states: Tensor, capacity: int) -> Tensor:
    """(B, heads, capacity, size): the states with room at the end."""
    missing = capacity - states.shape[2]
    return states if missing <= 0 else torch.nn.functional.pad(states, (0, 0, 0, missing))


def _copied(states: Tensor, rows: Tensor, used: int, capacity: int) -> Tensor:
    """(rows, heads, capacity, size): the first ``used`` positions of some rows, and room after them."""
    _, num_heads, _, size = states.shape
    copied = states.new_empty(len(rows), num_heads, capacity, size)
    copied[:, :, used:].zero_()  # attention multiplies what it does not look at by zero, which must not be NaN
    torch.index_select(states[:, :, :used], 0, rows % len(states), out=copied[:, :, :used])
    return copied
