"""Python's and numpy's global generators, for programs of other projects that draw from them.

While one of those runs, they are in a state of its own; before and after, they are as they were. A lock keeps two
threads from being in there at once.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

LOCK = threading.RLock()


def states_of(seed: int) -> Sequence[Any]:
    """The states of Python's and of numpy's generator that a seed in [0, 2**32) begins with."""
    return random.Random(seed).getstate(), np.random.RandomState(seed).get_state()


@contextlib.contextmanager
def global_generators(states: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The global generators are in these states inside, and as they were afterwards.

    Yields:
        The states, and afterwards those in which they were left.
    """
    kept = list(states)
    with LOCK:
        outside = random.getstate(), np.random.get_state()  # noqa: NPY002 (the global state is the point)
        _set(states)
        try:
            yield kept
        finally:
            kept[:] = random.getstate(), np.random.get_state()  # noqa: NPY002
            _set(outside)


def _set(states: Sequence[Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
