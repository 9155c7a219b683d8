"""A key-value cache that lives on across the turns of many conversations of different lengths.

transformers' ``DynamicCache`` concatenates at every step, which is half of a small model's decoding time, and holds
rows of one length. Here the memory is allocated ahead, and every row has its own positions: new keys and values are
written where the row ends. What was written beyond a row's end (padding, tokens after its last) is never attended to,
because the masks allow positions up to the query's own only, and is overwritten by what comes next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

CHUNK = 64
"""The memory grows by multiples of so many positions."""

FULL, SLIDING = "full_attention", "sliding_attention"
"""Kinds of attention layers, as transformers names them in ``config.layer_types``."""

OTHER_WINDOWS = ("window_size", "attention_window_size", "attention_chunk_size")
"""Settings of models that bound what a layer sees in ways of their own."""


@dataclasses.dataclass(frozen=True)
class Attention:
    """How the layers of a model attend, and in which form they take their masks.

    Attributes:
        num_layers: of the model.
        kinds: of layers that it has, ``FULL`` or ``SLIDING``.
        window: positions that a sliding layer sees, the query's own included.
        by_kind: masks are handed over in a dict, one for each kind; else there is one for all layers.
        additive: the type of masks that are added to attention scores, as eager attention does; None has masks that
            are True where a token may look, as SDPA takes them.
        num_positions: see :func:`num_positions`.
    """

    num_layers: int
    kinds: tuple[str, ...] = (FULL,)
    window: int | None = None
    by_kind: bool = False
    additive: torch.dtype | None = None
    num_positions: int | None = None

    @classmethod
    def of(cls, config: Any, dtype: torch.dtype) -> Attention:
        """That of a model of transformers, from its configuration and the type of its weights.

        Raises:
            ValueError: for a kind of layers, or an implementation of attention, whose masks are not known here.
        """
        implementation, window = config._attn_implementation, getattr(config, "sliding_window", None)
        for name in OTHER_WINDOWS:
            if getattr(config, name, None) is not None:
                raise ValueError(
                    f"expected no other window than config.sliding_window, got {name}={getattr(config, name)}"
                )
        if implementation not in ("sdpa", "eager"):
            raise ValueError(f"expected attention by sdpa or eager, got {implementation!r}")
        layer_types = getattr(config, "layer_types", None)
        kinds = tuple(sorted(set(layer_types or [FULL if window is None else SLIDING])))
        if not set(kinds) <= {FULL, SLIDING}:
            raise ValueError(f"expected layers of {FULL} or {SLIDING}, got {', '.join(kinds)}")
        additive = dtype if implementation == "eager" else None
        by_kind = layer_types is not None and SLIDING in kinds
        window = window if SLIDING in kinds else None
        return cls(config.num_hidden_layers, kinds, window, by_kind, additive, num_positions(config))

    def masks(self, positions: Tensor, width: int) -> Tensor | dict[str, Tensor]:
        """The masks of new tokens at ``positions`` (R, T), among the first ``width``; each is (R, 1, T, width)."""
        columns = torch.arange(width, device=positions.device)
        before = columns <= positions[:, :, None]  # (R, T, width)
        found = {}
        for kind in self.kinds:
            near = (
                before
                if kind == FULL or self.window is None
                else before & (columns > positions[:, :, None] - self.window)
            )
            found[kind] = self._form(near[:, None])
        return found if self.by_kind else found[self.kinds[0]]

    def _form(self, visible: Tensor) -> Tensor:
        if self.additive is None:
            return visible
        lowest = torch.finfo(self.additive).min
        return torch.zeros(visible.shape, dtype=self.additive, device=visible.device).masked_fill_(~visible, lowest)


def num_positions(config: Any) -> int | None:
    """Tokens that a model of transformers has positions for, from its configuration; None where that does not say.

    Where rotary positions are scaled anew for longer texts ("longrope"), those before that: keys that were kept
    would have been turned by other angles than those of one pass over the whole. Where each token attends to the
    ``index_topk`` that suit it best, so many: from there on which they are hangs on how much is read at once.
    """
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len", "index_topk")]
    rope = getattr(config, "rope_parameters", None) or {}
    for scaling in (rope, *rope.values()):  # of all layers, or of each kind of them
        if isinstance(scaling, dict) and scaling.get("rope_type") in ("longrope", "dynamic"):
            limits.append(scaling.get("original_max_position_embeddings"))
    return min((int(limit) for limit in limits if limit), default=None)


class Places:
    """Where the rows of a cache end, and where the tokens of the pass under way go: what a cache tells its layers.

    They share it instead of knowing their cache: what refers to itself is freed late, and its memory with it.

    Args:
        num_rows: B.
        device: of the model.

    Attributes:
        lengths: (B,) int64, the tokens of each row so far.
        rows: (R,) int64, those of the pass under way; ``in_order`` says that these are all, one after another.
        positions: (R, T) int64 of its tokens.
        width: one more than the highest position so far that a token of it may look at.
        capacity: positions that a row has room for.
    """

    def __init__(self, num_rows: int, device: torch.device | str):
        self.lengths = torch.zeros(num_rows, dtype=torch.long, device=device)
        self.rows = self._all_rows = torch.arange(num_rows, device=device)
        self.in_order = True
        self.positions = torch.zeros(num_rows, 1, dtype=torch.long, device=device)
        self.width = 0
        self.capacity = CHUNK

    def place(self, num_tokens: int, rows: Tensor | None) -> None:
        """Takes up a pass of ``num_tokens`` new tokens for each of some rows; None is all of them."""
        self.rows, self.in_order = (self._all_rows, True) if rows is None else (rows, False)
        lengths = self.lengths if self.in_order else self.lengths[rows]
        self.positions = lengths[:, None] + torch.arange(num_tokens, device=lengths.device)
        self.width = int(lengths.max()) + num_tokens
        self.reserve(self.width)

    def commit(self, num_tokens: Tensor | int) -> None:
        """Says how many of the tokens just passed each of the rows keeps."""
        if self.in_order:
            self.lengths = self.lengths + num_tokens
        else:
            self.lengths = self.lengths.index_add(0, self.rows, torch.zeros_like(self.rows) + num_tokens)

    def reserve(self, width: int) -> None:
        """Makes room for ``width`` positions; the layers grow when they are next written."""
        self.capacity = max(self.capacity, -(-width // CHUNK) * CHUNK)


class RaggedLayer(CacheLayerMixin):
    """Keys and values of one layer, each (B, heads, capacity, head size)."""

    is_compileable = False
    is_sliding = False

    def __init__(self, places: Places):
        super().__init__()
        self.places = places

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        num_rows, capacity = len(self.places.lengths), self.places.capacity
        self.keys, self.values = (
            states.new_zeros(num_rows, states.shape[1], capacity, states.shape[3])
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Writes new keys and values, each (B, heads, T, size), where the rows are; all that may be attended to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        places, (keys, values) = self.places, self.grown()
        rows, positions, width = places.rows, places.positions, places.width
        keys[rows[:, None], :, positions] = key_states.transpose(1, 2)
        values[rows[:, None], :, positions] = value_states.transpose(1, 2)
        keys, values = keys[:, :, :width], values[:, :, :width]
        return (keys, values) if places.in_order else (keys[rows], values[rows])

    def grown(self) -> tuple[Tensor, Tensor]:
        """Keys and values, with room for as many positions as the cache has reserved."""
        assert self.keys is not None
        assert self.values is not None
        self.keys, self.values = _grown(self.keys, self.places.capacity), _grown(self.values, self.places.capacity)
        return self.keys, self.values

    def select(self, places: Places, rows: Tensor) -> RaggedLayer:
        """A copy of some rows for another cache; row -1 is an empty one."""
        layer = RaggedLayer(places)
        if self.is_initialized and len(self.places.lengths):
            layer.keys, layer.values = (_copied(old, rows, places.width, places.capacity) for old in self.grown())
            layer.is_initialized = True
        return layer

    @classmethod
    def joined(cls, places: Places, parts: Sequence[RaggedLayer]) -> RaggedLayer:
        """The rows of all parts, one after another, for another cache."""
        layer = cls(places)
        begun = next((part for part in parts if part.is_initialized), None)
        if begun is None:
            return layer
        for part in parts:
            if not part.is_initialized:
                part.lazy_initialization(begun.keys, begun.values)  # type: ignore[arg-type]  # begun has them
        keys, values = zip(*(part.grown() for part in parts), strict=True)
        layer.keys, layer.values = (
            torch.cat([_grown(one, places.capacity) for one in states]) for states in (keys, values)
        )
        layer.is_initialized = True
        return layer

    def put_back(self, rows: Tensor, part: RaggedLayer, positions: Tensor) -> None:
        """Overwrites some positions (R, P) of some rows (R,) with those of ``part``, which has these rows alone."""
        if not part.is_initialized:  # of a model whose last layers take the keys and values of others
            return
        for own, newer in zip(self.grown(), part.grown(), strict=True):
            places = torch.arange(len(rows), device=rows.device)[:, None]
            own[rows[:, None], :, positions] = newer[places, :, positions]

    def begin(self, rows: Tensor, source: RaggedLayer, num_tokens: int) -> None:
        """Overwrites the first positions of some rows (P,) with those of the one row of ``source``."""
        if not source.is_initialized:  # as in put_back
            return
        if not self.is_initialized:
            self.lazy_initialization(source.keys, source.values)  # type: ignore[arg-type]  # source has them
        for own, other in zip(self.grown(), source.grown(), strict=True):
            own[rows, :, :num_tokens] = other[:, :, :num_tokens]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.places.width, 0

    def get_seq_length(self) -> int:
        return self.places.width

    def get_max_length(self) -> int:
        return -1


class RaggedCache(Cache):
    """The cache of B rows; hand it to a model's forward as ``past_key_values``.

    Args:
        attention: of the model.
        num_rows: B.
        device: of the model.

    Attributes:
        lengths: (B,) int64, the tokens of each row so far; :meth:`commit` moves them on.
    """

    def __init__(self, attention: Attention, num_rows: int, device: torch.device | str = "cpu"):
        places = Places(num_rows, device)
        super().__init__(layers=[RaggedLayer(places) for _ in range(attention.num_layers)])
        self.attention, self.places = attention, places

    @property
    def lengths(self) -> Tensor:
        return self.places.lengths

    @lengths.setter
    def lengths(self, lengths: Tensor) -> None:
        self.places.lengths = lengths

    @classmethod
    def of(cls, model: PreTrainedModel, num_rows: int) -> RaggedCache:
        """An empty one for ``num_rows`` conversations with a model."""
        return cls(Attention.of(model.config.get_text_config(), model.dtype), num_rows, model.device)

    def place(self, num_tokens: int, rows: Tensor | None = None) -> dict[str, Any]:
        """Prepares a forward pass of ``num_tokens`` new tokens for each of R rows.

        Args:
            num_tokens: T.
            rows: (R,) int64, each at most once; None is all of them in their order.

        Returns:
            The model's keyword arguments: ``position_ids`` (R, T), ``attention_mask``, see :meth:`Attention.masks`, and
            ``past_key_values``. What pads a row that is nearly full has the model's last position, beyond which
            some have none, and others turn all positions by other angles.
        """
        places, limit = self.places, self.attention.num_positions
        places.place(num_tokens, rows)
        masks = self.attention.masks(places.positions, places.width)
        position_ids = places.positions if limit is None else places.positions.clamp(max=limit - 1)
        return {"position_ids": position_ids, "attention_mask": masks, "past_key_values": self}

    def commit(self, num_tokens: Tensor | int) -> None:
        """Says how many of the tokens just passed each of the rows keeps: an int, or (R,) int64."""
        self.places.commit(num_tokens)

    def select(self, rows: Tensor) -> RaggedCache:
        """A cache of copies of some rows, in that order; row -1 stands for an empty one."""
        copied = RaggedCache(self.attention, len(rows), self.lengths.device)
        places = copied.places
        if len(self.lengths):
            places.lengths = torch.where(rows >= 0, self.lengths[rows], torch.zeros_like(rows))
            places.width = int(places.lengths.max()) if len(rows) else 0
        places.reserve(places.width + 1)
        copied.layers = [layer.select(places, rows) for layer in self.layers]  # type: ignore[attr-defined]
        return copied

    @classmethod
    def joined(cls, parts: Sequence[RaggedCache]) -> RaggedCache:
        """A cache of the rows of all parts, at least one, one after another; their layers are copied."""
        lengths = torch.cat([part.lengths for part in parts])
        whole = cls(parts[0].attention, len(lengths), lengths.device)
        whole.places.lengths, whole.places.width = lengths, max(part.places.width for part in parts)
        whole.places.capacity = max(part.places.capacity for part in parts)
        layers = zip(*(part.layers for part in parts), strict=True)
        whole.layers = [RaggedLayer.joined(whole.places, same) for same in layers]  # type: ignore[arg-type]
        return whole

    @property
    def num_bytes(self) -> int:
        """Of memory that its keys and values take."""
        layers: Any = self.layers
        states = [one for layer in layers if layer.is_initialized for one in (layer.keys, layer.values)]
        return sum(one.numel() * one.element_size() for one in states)

    def put_back(self, rows: Tensor, part: RaggedCache, num_new: int) -> None:
        """Takes over what ``part``, which :meth:`select` gave for ``rows``, wrote since: ``num_new`` tokens at most."""
        self.places.reserve(part.places.capacity)
        newest = torch.arange(num_new, device=rows.device) - num_new
        positions = (part.lengths[:, None] + newest).clamp(min=0)  # (R, num_new)
        self.lengths = self.lengths.index_copy(0, rows, part.lengths)
        for layer, newer in zip(self.layers, part.layers, strict=True):
            layer.put_back(rows, newer, positions)  # type: ignore[attr-defined]

    def begin(self, rows: Tensor, source: RaggedCache, num_tokens: int) -> None:
        """Has some rows (P,) hold the first ``num_tokens`` of the one row of another cache, and nothing else."""
        self.places.reserve(num_tokens)
        self.lengths = self.lengths.index_fill(0, rows, num_tokens)
        for layer, other in zip(self.layers, source.layers, strict=True):
            layer.begin(rows, other, num_tokens)  # type: ignore[attr-defined]

    def copy_rows(self, sources: Tensor, targets: Tensor) -> None:
        """Overwrites some rows (P,) with what others (P,) hold, none of which is another row's target."""
        self.lengths = self.lengths.index_copy(0, targets, self.lengths[sources])
        used = int(self.lengths[targets].max())
        for layer in self.layers:
            for states in layer.grown() if layer.is_initialized else ():  # type: ignore[attr-defined]
                states[targets, :, :used] = states[sources, :, :used]


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
