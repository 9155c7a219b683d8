"""Epsilon-greedy and softmax: probabilities by hand, choices by count, schedules at their ends."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from dialogym.agents.tabular.exploration import EpsilonGreedy, Softmax, best_of, greedy, linear

VALUES = [1.0, 3.0, 3.0, 9.0]
ALLOWED = [0, 1, 2]  # the best of all is not allowed


def test_epsilon_greedy_shares_the_rest_among_the_best() -> None:
    exploration = EpsilonGreedy(start=0.3)
    assert exploration.probabilities(VALUES, ALLOWED) == pytest.approx([0.1, 0.45, 0.45])


def test_softmax_weighs_by_exponentials() -> None:
    exploration = Softmax(start=2.0)
    total = math.exp(0.5) + 2 * math.exp(1.5)
    expected = [math.exp(0.5) / total, math.exp(1.5) / total, math.exp(1.5) / total]
    assert exploration.probabilities(VALUES, ALLOWED) == pytest.approx(expected)


def test_softmax_takes_large_values() -> None:
    assert Softmax(start=0.001).probabilities([1e6, -1e6], [0, 1]) == [1.0, 0.0]


@pytest.mark.parametrize("exploration", [EpsilonGreedy(0.4), Softmax(1.5)])
def test_choices_come_with_their_probabilities(exploration: Any) -> None:
    rng = random.Random(0)
    counts = np.bincount([exploration.choose(VALUES, ALLOWED, rng) for _ in range(4000)], minlength=4)
    expected = exploration.probabilities(VALUES, ALLOWED)
    assert counts[3] == 0
    assert counts[:3] / 4000 == pytest.approx(expected, abs=0.03)  # nearly four standard deviations


def test_without_epsilon_only_the_best_are_chosen() -> None:
    rng = random.Random(0)
    assert {EpsilonGreedy(0.0, 0.0).choose(VALUES, ALLOWED, rng) for _ in range(50)} == {1, 2}


def test_greedy_takes_the_first_of_the_best() -> None:
    assert best_of(VALUES, ALLOWED) == [1, 2]
    assert greedy(VALUES, ALLOWED) == 1
    assert greedy(VALUES, [3, 0]) == 3


def test_a_schedule_goes_from_start_to_end_and_stays_there() -> None:
    exploration = EpsilonGreedy(start=1.0, end=0.2, until=0.5)
    seen = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        exploration.anneal(progress)
        seen.append(exploration.epsilon)
    assert seen == pytest.approx([1.0, 0.6, 0.2, 0.2])
    cooling = Softmax(start=4.0, end=1.0, until=1.0)
    cooling.anneal(0.5)
    assert cooling.temperature == 2.5
    assert (linear(0, 10, -1), linear(0, 10, 2)) == (0, 10)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EpsilonGreedy(start=1.2), "epsilon must be in"),
        (lambda: EpsilonGreedy(end=-0.1), "epsilon must be in"),
        (lambda: EpsilonGreedy(until=0.0), "until must be in"),
        (lambda: Softmax(end=0.0), "temperature must be above 0"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
