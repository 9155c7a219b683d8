"""How sure are we? Intervals and paired tests for scores of shape (R, G): R training runs, each on the same G goals.

Two things are random about a score: the training run and the goal. With one run the interval speaks of the goals alone;
with several it speaks of both, which are crossed (every run plays every goal).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

RESAMPLES = 10_000
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """An estimate and its confidence interval."""

    mean: float
    low: float
    high: float


class PairedTest(NamedTuple):
    """What a paired comparison found.

    Attributes:
        difference: of the means, with its bootstrap interval.
        first_only: goals that only the first agent solved, and ``second_only`` those that only the second did, in the
            run that ``p_value`` is from.
        p_value: exact two-sided McNemar; of several runs the largest, so that a small one holds for each of them, and 1
            where runs point in different directions.
    """

    difference: Interval
    first_only: int
    second_only: int
    p_value: float


def wilson_interval(successes: float, trials: float, confidence: float = CONFIDENCE) -> Interval:
    """Share of successes with its Wilson score interval.

    Both counts may be fractions, as an effective number of trials is.

    Raises:
        ValueError: unless ``0 <= successes <= trials`` and ``trials > 0``.

    Reference: Wilson (1927), https://doi.org/10.1080/01621459.1927.10502953; no continuity correction.
    """
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"expected 0 <= successes <= trials and trials > 0, got {successes} of {trials}")
    z = _normal_quantile(0.5 + confidence / 2)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def _normal_quantile(probability: float) -> float:
    from statistics import NormalDist  # absolute: the standard library's, not this file

    return NormalDist().inv_cdf(probability)


def success_interval(successes: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Success rate of (R, G) outcomes: Wilson with the number of goals, or for several runs the effective number.

    Several runs on the same goals are not R * G independent trials. The effective number of trials is the one whose
    binomial variance equals :func:`crossed_variance` (the design-effect form of the Wilson interval: Dean and Pagano,
    2015, https://doi.org/10.1093/jssam/smv024). It is kept between 1 and R * G, and is G where nothing varies. Two or
    three runs say little about how much runs differ: show each of them beside it.
    """
    outcomes = _runs_by_goals(successes)
    num_runs, num_goals = outcomes.shape
    rate = float(outcomes.mean())
    trials = float(num_goals)
    if num_runs > 1 and 0 < rate < 1:
        variance = crossed_variance(outcomes)
        trials = rate * (1 - rate) / variance if variance > 0 else float(num_runs * num_goals)
        trials = min(max(trials, 1.0), float(num_runs * num_goals))
    return wilson_interval(rate * trials, trials, confidence)


def crossed_variance(scores: ArrayLike) -> float:
    """Variance of the mean of (R, G) scores, both R and G at least 2, where runs and goals are both random.

    Var(run means) / R + Var(goal means) / G - Var(residuals) / (R * G), each without bias: what runs and goals add,
    less their interaction, which both of them contain (Owen, 2007, https://doi.org/10.1214/07-AOAS122).
    """
    values = _runs_by_goals(scores)
    num_runs, num_goals = values.shape
    if min(num_runs, num_goals) < 2:
        raise ValueError(f"expected at least 2 runs and 2 goals, got shape {values.shape}")
    run_means, goal_means = values.mean(1, keepdims=True), values.mean(0, keepdims=True)
    residuals = values - run_means - goal_means + values.mean()
    residual_variance = float((residuals**2).sum()) / ((num_runs - 1) * (num_goals - 1))
    of_runs, of_goals = float(run_means.var(ddof=1)) / num_runs, float(goal_means.var(ddof=1)) / num_goals
    return max(0.0, of_runs + of_goals - residual_variance / (num_runs * num_goals))


def bootstrap_interval(
    scores: ArrayLike, seed: int = 0, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Interval:
    """Mean of (R, G) or (G,) scores with a seeded percentile bootstrap interval.

    Goals are resampled and, where there are several, runs too, independently of each other ("pigeonhole" bootstrap:
    Owen, 2007). With one run it is the ordinary bootstrap, ``scipy.stats.bootstrap(..., method="percentile")``.
    Two agents' scores on the same goals are compared by the bootstrap of their difference: it is paired.
    """
    values = _runs_by_goals(scores)
    num_runs, num_goals = values.shape
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, 1000):  # in pieces: 1000 x G weights at a time
        size = min(1000, resamples - start)
        goals = rng.multinomial(num_goals, np.full(num_goals, 1 / num_goals), size) / num_goals  # (size, G)
        if num_runs == 1:
            means[start : start + size] = goals @ values[0]
        else:
            runs = rng.multinomial(num_runs, np.full(num_runs, 1 / num_runs), size) / num_runs  # (size, R)
            means[start : start + size] = ((runs @ values) * goals).sum(1)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(values.mean()), float(low), float(high))


def paired_test(first: ArrayLike, second: ArrayLike, seed: int = 0) -> PairedTest:
    """Compares the outcomes (R, G) of two agents on the same goals; an agent with one run meets each run of the other.

    Raises:
        ValueError: if the goals, or several runs each, differ in number.
    """
    a, b = _runs_by_goals(first), _runs_by_goals(second)
    if a.shape[1] != b.shape[1] or (a.shape[0] != b.shape[0] and 1 not in (a.shape[0], b.shape[0])):
        raise ValueError(f"expected outcomes of the same runs and goals, got shapes {a.shape} and {b.shape}")
    a, b = np.broadcast_arrays(a, b)
    runs = [(int(((x == 1) & (y == 0)).sum()), int(((x == 0) & (y == 1)).sum())) for x, y in zip(a, b, strict=True)]
    weakest = max(runs, key=lambda counts: mcnemar(*counts))
    agree = all(first >= second for first, second in runs) or all(first <= second for first, second in runs)
    return PairedTest(bootstrap_interval(a - b, seed), *weakest, mcnemar(*weakest) if agree else 1.0)


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided p-value of the exact McNemar test from the two numbers of discordant pairs; 1.0 where there are none.

    Reference: McNemar (1947), https://doi.org/10.1007/BF02295996, with the binomial in place of chi-squared.
    """
    from scipy.stats import binomtest

    discordant = first_only + second_only
    return float(binomtest(first_only, discordant).pvalue) if discordant else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several, in the order given: step-down, monotone, at most 1.

    Reference: Holm (1979), https://www.jstor.org/stable/4615733.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def pass_hat_k(successes: ArrayLike, k: int) -> float:
    """pass^k: the chance that k tries at one goal, under different noise, all succeed.

    Args:
        successes: (S, G) outcomes of S >= k noise seeds on each of G goals.
        k: at least 1; k = 1 is the success rate.

    Reference: Yao et al. (2024), https://arxiv.org/abs/2406.12045: the mean over goals of
    C(c, k) / C(S, k), where c of the S tries succeeded.
    """
    outcomes = _runs_by_goals(successes)
    num_tries = outcomes.shape[0]
    if not 1 <= k <= num_tries:
        raise ValueError(f"k must be in [1, {num_tries}], the number of noise seeds, got {k}")
    counts = outcomes.sum(0).astype(int).tolist()
    return sum(math.comb(count, k) for count in counts) / (math.comb(num_tries, k) * len(counts))


def _runs_by_goals(scores: ArrayLike) -> np.ndarray:
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"expected scores of shape (runs, goals) or (goals,), not empty, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("expected finite scores, got NaN or infinity")
    return values
