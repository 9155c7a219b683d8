"""What was meant by a name that there is not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

_ENDING = re.compile(r"(?<=.)(?:-v\d+|(?:\.[A-Za-z]\w{0,9})+)\Z")
"""Of an id or a file: many names have the same, which says nothing."""


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``"; did you mean 'sft'?"``, to end the message of an error with; empty where nothing known comes near.

    Args:
        name: that came.
        known: the right ones; of a mapping the value is shown, such as the path that a name stands for.
        cutoff: how much alike names must be, in [0, 1], as :mod:`difflib` measures it.
    """
    shown = known if isinstance(known, Mapping) else {one: one for one in known}
    best, near = cutoff, None
    for one in shown:
        alike = _likeness(name, one)
        if alike >= best and (near is None or alike > best):
            best, near = alike, one
    return "" if near is None else f"; did you mean {shown[near]!r}?"


def _likeness(name: str, other: str) -> float:
    """How much alike two names are, in [0, 1], without an ending that both have."""
    ending, other_ending = (_ENDING.search(one) for one in (name, other))
    if ending and other_ending and ending[0].lower() == other_ending[0].lower():
        name, other = name[: ending.start()], other[: other_ending.start()]
    return difflib.SequenceMatcher(None, other, name).ratio()
