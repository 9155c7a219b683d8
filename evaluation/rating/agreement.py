"""What judgements say: how often an agent wins, how far raters agree, and how good a preference model is."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...agents.preference.judgements import TIE, Judgement, Pair
from ..labels import calibration_error
from ..statistics import Interval, wilson_interval


class WinRate(NamedTuple):
    """How often the replies of one agent were preferred to those of another.

    Attributes:
        agent, other: their names.
        rate: share of pairs that ``agent`` won, with its Wilson interval over pairs; a tie counts half to each, and a
            pair that several people judged counts once, by their mean.
        num_pairs: different pairs.
        num_judgements: of all raters.
        ties: share of the judgements that were ties.
    """

    agent: str
    other: str
    rate: Interval
    num_pairs: int
    num_judgements: int
    ties: float


class Agreement(NamedTuple):
    """How far two raters agree on the pairs that both judged.

    Attributes:
        raters: the two.
        kappa: Cohen's kappa of their choices, in [-1, 1]; None where both always made the same choice, for then
            chance alone explains it.
        same: share of equal choices.
        num_pairs: that both judged.
    """

    raters: tuple[str, str]
    kappa: float | None
    same: float
    num_pairs: int


def win_rates(judgements: Sequence[Judgement]) -> list[WinRate]:
    """One entry for every two agents that were compared, under the name that comes first in the alphabet."""
    shares: dict[tuple[str, str], dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for judgement in judgements:
        agent, other = sorted(judgement.agents)
        if agent != other:
            won = judgement.preference if judgement.agents[0] == agent else 1 - judgement.preference
            shares[agent, other][judgement.key].append(won)
    return [_win_rate(agent, other, of_pairs) for (agent, other), of_pairs in sorted(shares.items())]


def _win_rate(agent: str, other: str, of_pairs: dict[tuple[str, str], list[float]]) -> WinRate:
    everything = [won for several in of_pairs.values() for won in several]
    means = [sum(several) / len(several) for several in of_pairs.values()]
    ties = sum(won == 0.5 for won in everything) / len(everything)
    rate = wilson_interval(math.fsum(means), len(means))
    return WinRate(agent, other, rate, len(means), len(everything), ties)


def left_rate(judgements: Sequence[Judgement]) -> Interval | None:
    """How often the reply on the left was chosen, ties aside: far from a half, the side decided. None without any."""
    decided = [judgement for judgement in judgements if judgement.choice != TIE]
    left = sum(judgement.choice == judgement.shown_first for judgement in decided)
    return wilson_interval(left, len(decided)) if decided else None


def agreements(judgements: Sequence[Judgement]) -> list[Agreement]:
    """One entry for every two raters with pairs in common."""
    return [
        Agreement(raters, cohen_kappa(*choices), _same(*choices), len(choices[0]))
        for raters, choices in _shared_choices(judgements)
    ]


def _shared_choices(judgements: Sequence[Judgement]) -> list[tuple[tuple[str, str], list[list[str]]]]:
    """Every two raters with pairs in common, and the choices of each about those, in the same order."""
    by_rater: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for judgement in judgements:
        by_rater[judgement.rater][judgement.key] = judgement.choice
    found = []
    for raters in itertools.combinations(sorted(by_rater), 2):
        shared = sorted(by_rater[raters[0]].keys() & by_rater[raters[1]].keys())
        if shared:
            found.append((raters, [[by_rater[rater][pair] for pair in shared] for rater in raters]))
    return found


def _same(first: Sequence[str], second: Sequence[str]) -> float:
    """Share of equal choices."""
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Agreement of two raters beyond chance: (observed - expected) / (1 - expected); None where expected is 1.

    Args:
        first, second: (N,) choices of each, about the same N things.

    Reference: Cohen (1960), https://doi.org/10.1177/001316446002000104.
    """
    from sklearn.metrics import cohen_kappa_score

    if len({*first, *second}) < 2:
        return None
    return float(cohen_kappa_score(first, second))


class PairwiseScores(NamedTuple):
    """How well a preference model predicts judgements.

    Attributes:
        accuracy: share of judgements, ties aside, whose better reply it scores higher, with its Wilson interval over
            pairs; equal scores are wrong, and a pair that was judged several times counts once, by its mean.
        loss: mean negative log-likelihood under Bradley and Terry, in nats, ties as half of each; ln 2 is knowing
            nothing.
        calibration_error: of the probability that it gives to the reply it prefers, in [0, 1], ties aside.
        num_judgements: ties included.
    """

    accuracy: Interval
    loss: float
    calibration_error: float
    num_judgements: int


def pairwise_scores(score: Callable[[Sequence[Pair]], Any], judgements: Sequence[Judgement]) -> PairwiseScores:
    """Scores of a model on judgements that it did not learn from.

    Args:
        score: (N,) log-odds that the first reply of each pair is preferred, such as
            :meth:`dialogym.rewards.PreferenceModel.margins` gives.
        judgements: at least one that is no tie.

    Raises:
        ValueError: if all of them are ties.
    """
    decided = [judgement for judgement in judgements if judgement.choice != TIE]
    if not decided:
        raise ValueError(f"expected at least one judgement that is no tie, got {len(judgements)}")
    margins = np.asarray(score(judgements), dtype=np.float64)
    preferences = np.array([judgement.preference for judgement in judgements])
    loss = np.logaddexp(0, -margins) * preferences + np.logaddexp(0, margins) * (1 - preferences)
    clear = preferences != 0.5
    margins, gold = margins[clear], (preferences[clear] == 0).astype(int)
    first = 1 / (1 + np.exp(-margins))
    right = np.where(gold == 0, margins > 0, margins < 0)
    of_pairs: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for judgement, one in zip(decided, right.tolist(), strict=True):
        of_pairs[judgement.key].append(one)
    means = [sum(several) / len(several) for several in of_pairs.values()]
    return PairwiseScores(
        wilson_interval(math.fsum(means), len(means)),
        float(loss.mean()),
        calibration_error(np.stack([first, 1 - first], 1), gold.tolist()),
        len(judgements),
    )


def summary_tables(judgements: Sequence[Judgement]) -> list[Any]:
    """What ``dialogym rate --summary`` prints, as tables of rich."""
    from rich.markup import escape
    from rich.table import Table

    raters = Table("rater", "judgements", "ties", "median seconds", title="Raters")
    for rater in sorted({judgement.rater for judgement in judgements}):
        own = [judgement for judgement in judgements if judgement.rater == rater]
        ties = sum(judgement.choice == TIE for judgement in own)
        raters.add_row(escape(rater), str(len(own)), str(ties), f"{np.median([one.seconds for one in own]):.1f}")
    wins = Table("agent", "against", "wins", "95% low", "95% high", "pairs", "judgements", "ties", title="Win rates")
    wins.caption = (
        "a tie counts half to each; a pair judged by several people counts once, by their mean; intervals over pairs, "
        "of these agents and raters"
    )
    for row in win_rates(judgements):
        counts = (str(row.num_pairs), str(row.num_judgements), f"{row.ties:.2f}")
        wins.add_row(escape(row.agent), escape(row.other), *(f"{value:.3f}" for value in row.rate), *counts)
    tables = [raters, wins]
    both = _shared_choices(judgements)
    if both:
        table = Table("raters", "Cohen's kappa", "same choice", "pairs of both", title="Agreement")
        for raters, choices in both:
            same, num_pairs = f"{_same(*choices):.2f}", str(len(choices[0]))
            table.add_row(escape(" and ".join(raters)), _kappa_cell(*choices), same, num_pairs)
        tables.append(table)
    left = left_rate(judgements)
    if left is not None:
        table = Table("left chosen", "95% low", "95% high", title="Did the side decide?")
        table.add_row(*(f"{value:.3f}" for value in left))
        tables.append(table)
    return tables


def _kappa_cell(first: Sequence[str], second: Sequence[str]) -> str:
    """Kappa for people to read."""
    kappa = cohen_kappa(first, second)
    return "always one choice" if kappa is None else f"{kappa:.3f}"
