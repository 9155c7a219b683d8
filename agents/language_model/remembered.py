"""Conversations that others take turns with, kept in mind within a limit."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from .drawing import Turn
from .history import History
from .sampler import Aside


class Said(NamedTuple):
    """The last reply of a conversation.

    Attributes:
        turn: which one it was.
        ended: it has its end-of-turn token.
    """

    turn: Turn
    ended: bool


class Memory:
    """Conversations that were laid aside, by what was said in them; those that were longest ago go first.

    Attributes:
        num_bytes: that they may take; 0 keeps none.
    """

    def __init__(self) -> None:
        self.num_bytes = 0
        self._kept: OrderedDict[History, list[tuple[Aside, Said]]] = OrderedDict()
        self._used = 0

    def put(self, history: History, aside: Aside, said: Said) -> None:
        """Keeps a conversation, in which ``said`` came last."""
        self._kept.setdefault(history, []).append((aside, said))
        self._kept.move_to_end(history)
        self._used += aside.cache.num_bytes
        while self._used > self.num_bytes:
            self.pop(next(iter(self._kept)))

    def pop(self, history: History) -> tuple[Aside, Said] | None:
        """Gives up a conversation, or None where it is not known."""
        kept = self._kept.get(history)
        if not kept:
            return None
        found = kept.pop()
        if not kept:
            del self._kept[history]
        self._used -= found[0].cache.num_bytes
        return found

    def clear(self) -> None:
        """Forgets all."""
        self._kept.clear()
        self._used = 0
