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
        num_rows, num_heads, _, size = key_states.shape
        shape = (num_rows, num_heads, self.cache.capacity, size)
        self.keys, self.values = key_states.new_zeros(shape), value_states.new_zeros(shape)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Writes new keys and values, each (B, heads, T, size), where the rows are; all that may be attended to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        cache, (keys, values) = self.cache, self.grown()
        rows, positions = cache.rows[:, None], cache.positions
        keys[rows, :, positions] = key_states.transpose(1, 2)
        values[rows, :, positions] = value_states.transpose(1, 2)
        return keys[:, :, : cache.width], values[:, :, : cache.width]

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

    def put_back(self, rows: Tensor, part: RaggedLayer) -> None:
        """Overwrites some rows with those of ``part``."""
        if not part.is_initialized:
            return
        keys, values = part.grown()
        if not self.is_initialized:
            empty = keys.new_zeros(len(self.cache.lengths), *keys.shape[1:])
            self.keys, self.values, self.is_initialized = empty, torch.zeros_like(empty), True
        used = part.cache.width
        own_keys, own_values = self.grown()
        own_keys[rows, :, :used], own_values[rows, :, :used] = keys[:, :, :used], values[:, :, :used]

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
        self.rows = torch.arange(num_rows, device=device)
        self.positions = torch.zeros(num_rows, 1, dtype=torch.long, device=device)
        self.width = 0
        self.capacity = CHUNK

    def place(self, num_tokens: int) -> dict[str, Any]:
        """Prepares a forward pass of ``num_tokens`` new tokens per row.

        Returns:
            The model's keyword arguments: ``position_ids`` (B, T), ``attention_mask`` (B, 1, T, width) bool, True where
            a token may look, and ``past_key_values``.
        """
        steps = torch.arange(num_tokens, device=self.lengths.device)
        self.positions = self.lengths[:, None] + steps
        self.width = int(self.lengths.max()) + num_tokens
        self.reserve(self.width)
        columns = torch.arange(self.width, device=self.lengths.device)
        mask = columns <= self.positions[:, :, None]
        return {"position_ids": self.positions, "attention_mask": mask[:, None], "past_key_values": self}

    def commit(self, num_tokens: Tensor | int) -> None:
        """Says how many of the tokens just passed each row keeps: an int, or (B,) int64."""
        self.lengths = self.lengths + num_tokens

    def select(self, rows: Tensor) -> RaggedCache:
        """A cache of copies of some rows, in that order; row -1 stands for an empty one."""
        chosen = RaggedCache(0, len(rows), self.lengths.device)
        if len(self.lengths):
            chosen.lengths = torch.where(rows >= 0, self.lengths[rows], torch.zeros_like(rows))
            chosen.width = int(chosen.lengths.max()) if len(rows) else 0
        chosen.reserve(chosen.width + 1)
        chosen.layers = [layer.select(chosen, rows) for layer in self.layers]  # type: ignore[attr-defined]
        return chosen

    def put_back(self, rows: Tensor, part: RaggedCache) -> None:
        """Overwrites some rows with those of ``part``, which :meth:`select` gave."""
        self.width = max(self.width, part.width)
        self.reserve(part.width)
        self.lengths = self.lengths.index_copy(0, rows, part.lengths)
        for layer, newer in zip(self.layers, part.layers, strict=True):
            layer.put_back(rows, newer)  # type: ignore[attr-defined]

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
