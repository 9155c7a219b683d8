"""What was meant by a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``"; did you mean 'sft'?"``, to end the message of an error with; empty where nothing known comes near.

    Args:
        name: that came.
        known: the right ones; of a mapping the value is shown, such as the path that a name stands for.
        cutoff: how much alike names must be, in [0, 1], as :mod:`difflib` measures it.
    """
    shown = known if isinstance(known, Mapping) else {one: one for one in known}
    near = difflib.get_close_matches(name, shown, n=1, cutoff=cutoff)
    return f"; did you mean {shown[near[0]]!r}?" if near else ""
