"""Random streams that cost next to nothing to start: one conversation has several, and lasts ten steps.

``random.Random`` spends about five microseconds on seeding, as much as a step. These are counter-based instead: block
number n of a stream is a hash of its seed and n.
"""

from __future__ import annotations

import random
import struct
from hashlib import blake2b
from typing import TypeAlias

_UNPACK = struct.Struct("<8Q").unpack
_UNIT = 2.0**-53
StreamState: TypeAlias = tuple[bytes, int, tuple[int, ...], float | None]


class Stream(random.Random):
    """A ``random.Random`` whose numbers are BLAKE2b hashes of (seed, position); all of its methods work."""

    def seed(self, a: int = 0, version: int = 2) -> None:  # type: ignore[override]
        """Starts the stream of seed ``a``, an int in [0, 2**64)."""
        self._seed = a.to_bytes(8, "little")
        self._position = 0
        self._numbers: list[int] = []
        self.gauss_next = None  # gauss() makes two numbers at a time, and keeps one

    def _next(self) -> int:
        numbers = self._numbers
        if not numbers:
            digest = blake2b(self._position.to_bytes(4, "little"), digest_size=64, key=self._seed).digest()
            numbers.extend(_UNPACK(digest))
            self._position += 1
        return numbers.pop()

    def random(self) -> float:
        """A number in [0, 1)."""
        numbers = self._numbers
        return ((numbers.pop() if numbers else self._next()) >> 11) * _UNIT

    def getrandbits(self, k: int, /) -> int:
        """An int of ``k`` random bits."""
        value = 0
        for _ in range(0, k, 64):
            value = value << 64 | self._next()
        return value >> (-k % 64)

    def getstate(self) -> StreamState:  # type: ignore[override]
        """What ``setstate`` takes; pickling uses both."""
        return self._seed, self._position, tuple(self._numbers), self.gauss_next

    def setstate(self, state: StreamState) -> None:  # type: ignore[override]
        """Goes on from a state."""
        self._seed, self._position, numbers, self.gauss_next = state
        self._numbers = list(numbers)

    def __reduce__(self):
        return _restored, (self.getstate(),)


def _restored(state: StreamState) -> Stream:
    stream = Stream(0)
    stream.setstate(state)
    return stream


def pick(seed: int, number: int, count: int) -> int:
    """An int in [0, count), such as the words to use in a turn: a fixed hash (splitmix64's mixer) of both numbers."""
    mixed = (seed + number * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ (mixed >> 27)) % count


class Streams:
    """Independent random streams of one conversation, so that one goal can be replayed under other noise.

    All of them hang on one number that the environment's ``np_random`` drew. ``wording`` is a number rather than a
    generator: which words are used is :func:`pick` of it and the turn, so that words nobody reads need not be drawn.
    """

    __slots__ = ("behaviour", "goal", "noise", "wording")

    def __init__(self) -> None:
        self.behaviour = Stream(0)
        self.noise = Stream(0)
        self.goal = 0
        self.wording = 0

    def reseed(self, seed: int) -> None:
        """Starts the streams of the conversation that ``seed``, an int in [0, 2**62), stands for."""
        self.behaviour.seed(seed)
        self.noise.seed(seed + (1 << 62))
        self.goal = seed ^ 0x5851F42D4C957F2D
        self.wording = seed ^ 0x14057B7EF767814F
