"""What a reference says of a batch that is learned from in several passes: looked up once, as it does not learn."""

from __future__ import annotations

import torch
from torch import Tensor

from .model import LanguageModel

MAX_LOGITS = 2**26
"""Logits that are kept at most, where they have to be: 256 MB in float32."""


class RememberedReference:
    """The logits of a reference, computed once for the conversations that pass together; the same numbers, bit by bit.

    Kept are the hidden states below the output layer, where this layer alone makes the very same logits of them again:
    at a vocabulary of 49,000 they are some hundred times smaller. Where it does not, as with models that cap their
    logits, the logits are kept up to ``MAX_LOGITS``, and the rest is computed anew.

    Args:
        lm: the reference; its weights never change.
    """

    def __init__(self, lm: LanguageModel):
        self.lm = lm
        self._states: dict[object, Tensor] = {}
        self._logits: dict[object, Tensor] = {}

    def forget(self) -> None:
        """Drops what was computed: the next batch is another one."""
        self._states, self._logits = {}, {}

    @torch.no_grad()
    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """As :meth:`LanguageModel.logits`."""
        key = (*ids.shape, ids.cpu().numpy().tobytes(), mask.cpu().numpy().tobytes())
        if key in self._states:
            return self._of_states(self._states[key])
        if key in self._logits:
            return self._logits[key]
        logits, states = self.lm.forward.logits_and_states(ids[:, :-1], mask[:, 1:])
        if torch.equal(self._of_states(states), logits):
            self._states[key] = states
        elif sum(kept.numel() for kept in self._logits.values()) + logits.numel() <= MAX_LOGITS:
            self._logits[key] = logits
        return logits

    def _of_states(self, states: Tensor) -> Tensor:
        with self.lm.forward.computing():
            return self.lm.model.get_output_embeddings()(states)
