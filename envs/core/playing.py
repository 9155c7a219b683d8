"""Who plays? What an environment asks when the other side shall be the agent itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_PLAYING: ContextVar[Any] = ContextVar("dialogym_playing", default=None)


@contextlib.contextmanager
def playing(agent: Any) -> Iterator[None]:
    """Inside, ``agent`` is who plays: learning and scoring say so, and a loop of your own can."""
    token = _PLAYING.set(agent)
    try:
        yield
    finally:
        _PLAYING.reset(token)


def who_plays() -> Any:
    """The agent that plays now, or None where nobody has said."""
    return _PLAYING.get()
