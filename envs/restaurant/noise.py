"""The channel between what the user means and what the agent reads (PyDial's semantic error model, simplified).

Casanueva et al. (2017), https://arxiv.org/abs/1711.11023, section 3: each semantic item is garbled with the semantic
error rate. Ours has no confidence scores and no N-best list.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from .database import CONSTRAINT_SLOTS, DONTCARE, REQUEST_SLOTS, Database
from .wording import Act

VALUE_CONFUSION, SLOT_CONFUSION = 0.6, 0.8
"""Cumulative shares of confused values and slots among garbled items; the rest are deletions."""


class NoiseChannel:
    """Garbles acts one item at a time, and counts.

    Attributes:
        num_items: acts that passed.
        num_errors: those that were garbled; ``num_errors / num_items`` is the realised rate.
    """

    __slots__ = ("database", "num_errors", "num_items", "rate", "rng")

    def __init__(self, database: Database, rate: float, rng: random.Random):
        self.database, self.rate, self.rng = database, rate, rng
        self.num_items = 0
        self.num_errors = 0

    def pass_on(self, acts: Sequence[Act]) -> Sequence[Act]:
        """What the agent reads of the acts, in order."""
        self.num_items += len(acts)
        if not self.rate:
            return acts
        heard = []
        for act in acts:
            if self.rng.random() >= self.rate:
                heard.append(act)
                continue
            self.num_errors += 1
            garbled = self._garble(act)
            if garbled is not None:
                heard.append(garbled)
        return heard

    def _garble(self, act: Act) -> Act | None:
        """Another act, or None for a deletion; never the act itself."""
        draw = self.rng.random()
        if act[0] == "inform":
            if draw < VALUE_CONFUSION:
                return "inform", act[1], self._other([*self.database.values[act[1]], *self._any(act[1])], act[2])
            if draw < SLOT_CONFUSION and act[1] in CONSTRAINT_SLOTS:
                slot = self._other(CONSTRAINT_SLOTS, act[1])
                return "inform", slot, self._other(self.database.values[slot], "")
        elif act[0] == "request" and draw < SLOT_CONFUSION:
            slots = REQUEST_SLOTS if act[1] in REQUEST_SLOTS else CONSTRAINT_SLOTS
            return "request", self._other(slots, act[1])
        elif act[0] in ("affirm", "negate") and draw < SLOT_CONFUSION:
            return ("negate",) if act[0] == "affirm" else ("affirm",)
        return None

    def _any(self, slot: str) -> tuple[str, ...]:
        return (DONTCARE,) if slot in CONSTRAINT_SLOTS else ()

    def _other(self, options: Sequence[str], excluded: str) -> str:
        rest = [option for option in options if option != excluded]
        return rest[int(self.rng.random() * len(rest))]
