"""How a tabular agent chooses while it learns: epsilon-greedy or softmax, both annealed.

Sutton & Barto (2018), sections 2.2 (epsilon-greedy) and 13.1 (softmax in action preferences; here the preferences are
the action values over a temperature), http://incompleteideas.net/book/the-book-2nd.html. Only allowed actions count.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Protocol


class Exploration(Protocol):
    """Which action to try, and how likely each one is."""

    def choose(self, values: Sequence[float], allowed: Sequence[int], rng: random.Random) -> int:
        """One of the ``allowed`` actions."""
        ...

    def probabilities(self, values: Sequence[float], allowed: Sequence[int]) -> list[float]:
        """How likely ``choose`` is to choose each of ``allowed``, in that order; they add up to 1."""
        ...

    def anneal(self, progress: float) -> None:
        """Goes to where the schedule is at ``progress``, the share of training that is over, in [0, 1]."""
        ...


def linear(start: float, end: float, progress: float) -> float:
    """The point at ``progress``, cut to [0, 1], on the line from ``start`` to ``end``."""
    return start + (end - start) * min(max(progress, 0.0), 1.0)


def greedy(values: Sequence[float], allowed: Sequence[int]) -> int:
    """The best of the allowed actions; the first of several."""
    return max(allowed, key=values.__getitem__)


def best_of(values: Sequence[float], allowed: Sequence[int]) -> list[int]:
    """All of the best allowed actions: more than one where they tie."""
    best = max([values[action] for action in allowed])
    return [action for action in allowed if values[action] == best]


class EpsilonGreedy:
    """With probability epsilon any allowed action, else one of the best; ties are broken at random.

    Args:
        start: epsilon at the start of training, in [0, 1].
        end: epsilon from the share ``until`` of training on, in [0, 1].
        until: in (0, 1].
    """

    def __init__(self, start: float = 1.0, end: float = 0.05, until: float = 0.5):
        if not (0 <= start <= 1 and 0 <= end <= 1):
            raise ValueError(f"epsilon must be in [0, 1], got start {start} and end {end}")
        self.start, self.end, self.until = start, end, _share(until)
        self.epsilon = start

    def anneal(self, progress: float) -> None:
        self.epsilon = linear(self.start, self.end, progress / self.until)

    def choose(self, values: Sequence[float], allowed: Sequence[int], rng: random.Random) -> int:
        pool = allowed if rng.random() < self.epsilon else best_of(values, allowed)
        return pool[0] if len(pool) == 1 else pool[int(rng.random() * len(pool))]

    def probabilities(self, values: Sequence[float], allowed: Sequence[int]) -> list[float]:
        best = best_of(values, allowed)
        explore, exploit = self.epsilon / len(allowed), (1 - self.epsilon) / len(best)
        return [explore + (exploit if action in best else 0.0) for action in allowed]


class Softmax:
    """Each allowed action with a probability that grows with exp(value / temperature).

    Args:
        start: temperature at the start of training, in units of return, above 0. The defaults are for returns between
            -1 and 1; under ``pydial`` they are 20 times as high.
        end: temperature from the share ``until`` of training on, above 0.
        until: in (0, 1].
    """

    def __init__(self, start: float = 0.25, end: float = 0.01, until: float = 0.5):
        if start <= 0 or end <= 0:
            raise ValueError(f"temperature must be above 0, got start {start} and end {end}")
        self.start, self.end, self.until = start, end, _share(until)
        self.temperature = start

    def anneal(self, progress: float) -> None:
        self.temperature = linear(self.start, self.end, progress / self.until)

    def choose(self, values: Sequence[float], allowed: Sequence[int], rng: random.Random) -> int:
        return rng.choices(allowed, self._weights(values, allowed))[0]

    def probabilities(self, values: Sequence[float], allowed: Sequence[int]) -> list[float]:
        weights = self._weights(values, allowed)
        total = sum(weights)
        return [weight / total for weight in weights]

    def _weights(self, values: Sequence[float], allowed: Sequence[int]) -> list[float]:
        best = max([values[action] for action in allowed])  # taken off, so that exp cannot overflow
        return [math.exp((values[action] - best) / self.temperature) for action in allowed]


def _share(until: float) -> float:
    if not 0 < until <= 1:
        raise ValueError(f"until must be in (0, 1], the share of training that anneals, got {until}")
    return until
