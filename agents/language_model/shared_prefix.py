"""Sequences that begin alike are read alike: their beginning passes through the model once, for all of them.

Conversations of one environment begin with the same instructions, and those of a group with the same goal. Forward and
backward passes over B such sequences compute the same hidden states B times; here the beginning is a pass of its own,
and what follows attends to its keys and values, in which gradients add up. Log-probabilities and gradients are those of
one pass over the whole, up to rounding: Prefix Grouper, Liu et al. (2025), https://arxiv.org/abs/2506.05433, which does
so for the prompt of a group; here it is whatever beginnings a batch has in common. Under dropout, which SFT of some
families has, the beginning is one draw for all who share it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from .cache import Attention

WORTHWHILE, LEAST = 0.2, 128
"""Share of a batch's tokens, and how many of them, that must be saved: a second pass costs something too."""


class Split(NamedTuple):
    """Where B sequences are cut.

    Attributes:
        length: P, of the beginnings in tokens.
        first: (G,) int64, of each of G different beginnings one sequence that has it.
        which: (B,) int64, the beginning of each sequence, in [0, G).
    """

    length: int
    first: Tensor
    which: Tensor


def best_split(ids: Tensor, keep: Tensor) -> Split | None:
    """The cut that leaves fewest tokens to pass; None where none saves enough.

    Args:
        ids: (B, T) int64.
        keep: (B, T) bool, positions whose logits are wanted: all of them stay behind the cut.
    """
    num_rows, num_columns = ids.shape
    wanted = keep.any(0)
    limit = int(wanted.int().argmax()) if bool(wanted.any()) else 0
    least = max(LEAST, WORTHWHILE * num_rows * num_columns)
    if (num_rows - 1) * limit < least:
        return None
    begins = ids[:, :limit].cpu()
    order = sorted(range(num_rows), key=begins.tolist().__getitem__)
    differs = begins[order[1:]] != begins[order[:-1]]  # (B - 1, limit)
    new_at = torch.where(differs.any(1), differs.int().argmax(1), limit)  # where a row leaves the one before it
    lengths = torch.arange(1, limit + 1)
    num_groups = 1 + (new_at[:, None] < lengths).sum(0)  # (limit,) for every length of the beginning
    saved = (num_rows - num_groups) * lengths
    best = int(saved.argmax())
    if int(saved[best]) < least:
        return None
    length = best + 1
    starts = torch.cat([torch.tensor([True]), new_at < length])  # (B,) in order
    which = torch.empty(num_rows, dtype=torch.long)
    which[order] = starts.long().cumsum(0) - 1
    first = torch.tensor(order)[starts]
    return Split(length, first.to(ids.device), which.to(ids.device))


class SharedPrefix(Cache):
    """Keys and values of G beginnings, which B sequences go on from; hand it to a model as ``past_key_values``.

    Two passes, in this order: one with the arguments of :meth:`place_beginnings`, one with those of :meth:`place_rest`.

    Args:
        attention: of the model.
        split: of the sequences.
    """

    def __init__(self, attention: Attention, split: Split):
        super().__init__(layers=[_Layer(split.which) for _ in range(attention.num_layers)])
        self.attention, self.split = attention, split

    def place_beginnings(self) -> dict[str, Any]:
        """The model's keyword arguments for the pass over the beginnings, (G, P)."""
        return self._placed(len(self.split.first), 0, self.split.length)

    def place_rest(self, num_columns: int) -> dict[str, Any]:
        """Those for the pass over what follows, (B, T - P), where the whole has T columns."""
        return self._placed(len(self.split.which), self.split.length, num_columns)

    def _placed(self, num_rows: int, start: int, end: int) -> dict[str, Any]:
        positions = torch.arange(start, end, device=self.split.which.device).expand(num_rows, -1)
        return {
            "position_ids": positions,
            "attention_mask": self.attention.masks(positions, end),
            "past_key_values": self,
        }


class _Layer(CacheLayerMixin):
    """Those of one layer, (G, heads, P, size); what is read behind them is not kept.

    It does not know its cache: what refers to itself is freed late, and the graph of a pass with it.
    """

    is_compileable = False
    is_sliding = False

    def __init__(self, which: Tensor):
        super().__init__()
        self.which = which

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys, self.values = key_states, value_states
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Keeps the first keys and values, (G, heads, P, size); puts them before the later ones of the B rows."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            return key_states, value_states
        assert self.keys is not None
        assert self.values is not None
        keys = torch.cat([self.keys.index_select(0, self.which), key_states], dim=2)
        return keys, torch.cat([self.values.index_select(0, self.which), value_states], dim=2)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def get_max_length(self) -> int:
        return -1
