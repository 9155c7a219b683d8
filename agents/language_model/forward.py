"""A model's own forward pass, with logits where they are needed and nowhere else.

Nothing goes past the model's ``forward``: what it does to its logits (scaling, capping) is done, adapters are on, and
what is wrapped around it sees every pass. A vocabulary is large, so logits are made for the positions that are asked
for only: transformers' ``logits_to_keep``.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from .cache import Attention
from .shared_prefix import SharedPrefix, best_split


class Forward:
    """Calls a causal language model of transformers, or one of ``peft`` around it.

    Args:
        model: (B, T) ids to (B, T, V) logits.
        autocast: the type that is computed in where the weights have a wider one; None computes in theirs.
        with_adapter: False leaves the model's adapter out.

    Attributes:
        by_mask: whether ``logits_to_keep`` takes a mask (B, T); older versions and some models take columns, for all
            rows alike.
        attention: of a model, where what sequences have in common is read once for all of them; None, which it is to
            begin with, reads each from its start.
    """

    def __init__(self, model: Any, autocast: torch.dtype | None = None, with_adapter: bool = True):
        self.model, self.autocast, self.with_adapter = model, autocast, with_adapter
        self.by_mask = self._takes_masks()
        self.attention: Attention | None = None

    @property
    def base(self) -> Any:
        """The model of transformers itself; its adapter's layers are in it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def dtype(self) -> torch.dtype:
        """The type that is computed in."""
        return self.autocast or self.model.dtype

    def logits(self, ids: Tensor, keep: Tensor, **placed: Any) -> Tensor:
        """(N, V) logits of what follows N positions, row by row.

        Args:
            ids: (B, T) int64; padding stands on the right, where no token looks.
            keep: (B, T) bool, True on the N positions.
            **placed: what ``RaggedCache.place`` returned, where the ids go on from what was read.
        """
        with self._in_type():
            return self._logits(*self._after_common_beginnings(ids, keep, placed))

    def _after_common_beginnings(
        self, ids: Tensor, keep: Tensor, placed: dict[str, Any]
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Passes what rows have in common, see ``shared_prefix.py``; the ids, ``keep`` and places of what is left."""
        if placed or self.attention is None or computes_layers_again(self.base):
            return ids, keep, placed
        split = best_split(ids, keep)
        if split is None:
            return ids, keep, placed
        read = SharedPrefix(self.attention, split)
        self._run(ids[split.first, : split.length], 1, read.place_beginnings())
        return ids[:, split.length :], keep[:, split.length :], read.place_rest(ids.shape[1])

    def _logits(self, ids: Tensor, keep: Tensor, placed: dict[str, Any]) -> Tensor:
        if self.by_mask:
            return self._run(ids, keep, placed)
        columns = keep.any(0).nonzero()[:, 0]
        logits = self._run(ids, columns, placed)
        return logits[keep] if logits.shape[1] == ids.shape[1] else logits[keep[:, columns]]

    def last_logits(self, ids: Tensor, **placed: Any) -> Tensor:
        """(B, V) logits of what follows the last position of each row; otherwise as :meth:`logits`."""
        return self._run(ids, 1, placed)[:, -1]

    def logits_and_states(self, ids: Tensor, keep: Tensor, **placed: Any) -> tuple[Tensor, Tensor]:
        """The same (N, V) logits, and the (N, D) hidden states that the output layer made them of."""
        taken: list[Tensor] = []
        head: Any = self.model.get_output_embeddings()
        with self._in_type():
            ids, keep, placed = self._after_common_beginnings(ids, keep, placed)
            hook = head.register_forward_pre_hook(lambda _, arguments: taken.append(arguments[0]))
            try:
                logits = self._logits(ids, keep, placed)
            finally:
                hook.remove()
        (states,) = taken
        if states.dim() == 3:  # of all columns, or of some
            columns = keep.any(0).nonzero()[:, 0]
            states = states[keep] if states.shape[1] == ids.shape[1] else states[keep[:, columns]]
        return logits, states

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """In the right type, and with or without the adapter."""
        with self._in_type(), contextlib.nullcontext() if self.with_adapter else self.model.disable_adapter():
            yield

    def _in_type(self) -> contextlib.AbstractContextManager[Any]:
        """In the type that is computed in; within one such context weights are brought into it once."""
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.model.device.type, self.autocast)

    def _run(self, ids: Tensor, keep: Tensor | int, placed: dict[str, Any]) -> Tensor:
        use_cache = "past_key_values" in placed
        with self.computing():
            return self.model(input_ids=ids, use_cache=use_cache, logits_to_keep=keep, **placed).logits

    @torch.inference_mode()
    def _takes_masks(self) -> bool:
        ids = torch.zeros(1, 3, dtype=torch.long, device=self.model.device)
        keep = torch.tensor([[True, False, True]], device=self.model.device)
        try:
            return self._run(ids, keep, {}).dim() == 2
        except (IndexError, TypeError, ValueError):
            return False


def checkpoint_layers(model: Any) -> None:
    """Gradient checkpointing: backward passes compute the layers again instead of keeping what they computed.

    That of transformers works in training mode alone, where dropout is on; policies are trained without it, as they
    were sampled.

    Raises:
        ValueError: for a model without layers that can do it.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    if not layers:
        raise ValueError(f"gradient_checkpointing is not known to work with {type(model).__name__}")
    for layer in layers:
        layer.forward = functools.partial(_checkpointed, layer.forward)


def computes_layers_again(model: Any) -> bool:
    """Whether gradient checkpointing is on: by :func:`checkpoint_layers`, or in training by transformers itself."""
    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    return any(
        getattr(layer.forward, "func", None) is _checkpointed or (layer.training and layer.gradient_checkpointing)
        for layer in layers
    )


def _checkpointed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
