"""How much is taken from whom: sizes, numbers, and requests a minute."""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_ADDRESSES = 10_000
"""That are remembered at once."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        body_bytes: of a request.
        body_seconds: that a client may take to send it.
        messages: of a request.
        message_chars: of each message of a person; those of the agent end where the task's replies end.
        requests_per_minute: of one address, all of which may come at once; wrong tokens count too.
        waiting: replies that are waited for at once, by all.
        reply_seconds: that a reply may take.
        conversations: that are kept in mind; the one that was silent longest is put away for a new one.
        idle_seconds: after which a silent conversation is put away.
        stop_seconds: that replies may still take when the server is told to stop.

    Raises:
        ValueError: for a limit that is not above 0.
    """

    body_bytes: int = 256_000
    body_seconds: float = 10.0
    messages: int = 200
    message_chars: int = 4_000
    requests_per_minute: int = 300
    waiting: int = 256
    reply_seconds: float = 120.0
    conversations: int = 1_000
    idle_seconds: float = 3_600.0
    stop_seconds: float = 20.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")


class RateLimiter:
    """A bucket of tokens for every address: full at first, refilled evenly.

    Args:
        per_minute: tokens that a bucket gets a minute, and has room for.
        clock: seconds, growing.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic):
        self.per_minute, self._clock = per_minute, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def wait(self, address: str) -> float:
        """Takes a token: 0, or the seconds until there is one where there is none, and nothing is taken."""
        now, rate = self._clock(), self.per_minute / 60
        tokens, then = self._buckets.pop(address, (float(self.per_minute), now))
        tokens = min(float(self.per_minute), tokens + (now - then) * rate)
        enough = tokens >= 1
        self._buckets[address] = (tokens - enough, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if enough else (1 - tokens) / rate
