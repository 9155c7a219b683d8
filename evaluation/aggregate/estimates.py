"""One number for a whole suite: aggregates of normalised scores of R training runs on M tasks, with their intervals.

Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice",
https://arxiv.org/abs/2108.13264, section 4: interquartile mean, performance profiles, probability of improvement, and
stratified bootstrap intervals. Runs are resampled within each task, so the intervals speak of training runs on these
very tasks, not of tasks that are not among them. Few runs make them too narrow, and few tasks more so:
``benchmarks/aggregate_coverage.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..statistics import CONFIDENCE, RESAMPLES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CHUNK = 2_000_000
"""Numbers that a bootstrap holds at a time."""
Statistic = Callable[[np.ndarray], np.ndarray]
"""Of scores (..., R, M), one number each: (...)."""


class Estimate(NamedTuple):
    """A number and its confidence interval; the ends are None where one run a task leaves nothing to tell it from."""

    value: float
    low: float | None
    high: float | None


class Profile(NamedTuple):
    """Share of runs and tasks above each threshold (K,), with pointwise bands; these are None with one run a task."""

    thresholds: np.ndarray
    share: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


# Statistics of scores (..., R, M)


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of all R * M scores: a quarter, rounded down, is cut off at either end."""
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = flat.shape[-1] // 4
    return flat[..., cut : flat.shape[-1] - cut].mean(-1)


def median(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the tasks' means over runs."""
    return np.median(scores.mean(-2), axis=-1)


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean over runs and tasks."""
    return scores.mean((-2, -1))


def optimality_gap(scores: np.ndarray, target: float = 1.0) -> np.ndarray:
    """By how much scores miss ``target`` in the mean; those above it count as ``target``. Lower is better."""
    return target - np.minimum(scores, target).mean((-2, -1))


STATISTICS: dict[str, Statistic] = {
    "iqm": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}


# Estimates


def aggregate(
    scores: ArrayLike,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Every statistic of :data:`STATISTICS` with its stratified percentile bootstrap interval.

    Args:
        scores: (R, M) normalised scores, 0 at the floor and 1 at the ceiling.
        seed: of the bootstrap.
        confidence: of the intervals, in (0, 1).
        resamples: of the bootstrap, at least 1.

    Raises:
        ValueError: unless ``scores`` is a matrix of finite numbers that is not empty, or for a wrong option.
    """
    values = _matrix(scores)
    _check_options(confidence, resamples)
    found = {name: float(statistic(values)) for name, statistic in STATISTICS.items()}
    if len(values) == 1:
        return {name: Estimate(value, None, None) for name, value in found.items()}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in STATISTICS}
    for sample in _resampled(values, np.random.default_rng(seed), resamples):
        for name, statistic in STATISTICS.items():
            drawn[name].append(statistic(sample))
    return {name: Estimate(found[name], *_ends(np.concatenate(drawn[name]), confidence)) for name in STATISTICS}


def performance_profile(
    scores: ArrayLike,
    thresholds: ArrayLike,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Profile:
    """Score distribution: the share of the R * M scores that are above each threshold, with pointwise bands.

    Args:
        scores: (R, M).
        thresholds: (K,).
        seed, confidence, resamples: as for :func:`aggregate`.

    Raises:
        ValueError: as :func:`aggregate`, and unless ``thresholds`` is a list of finite numbers that is not empty.
    """
    values, places = _matrix(scores), np.asarray(thresholds, dtype=np.float64)
    _check_options(confidence, resamples)
    if places.ndim != 1 or not places.size or not np.isfinite(places).all():
        raise ValueError(f"expected thresholds of shape (K,), finite and not empty, got {thresholds!r:.80}")
    above = (values[..., None] > places).astype(np.float64)  # (R, M, K)
    share = above.mean((0, 1))
    if len(values) == 1:
        return Profile(places, share, None, None)
    rng, drawn = np.random.default_rng(seed), []
    for size in _pieces(resamples, values.size):
        weights = _counts(values.shape, rng, size) / values.size  # (size, R, M)
        drawn.append(np.tensordot(weights, above, 2))  # (size, K)
    low, high = np.quantile(np.concatenate(drawn), _levels(confidence), axis=0)
    return Profile(places, share, low, high)


def probability_of_improvement(
    first: ArrayLike,
    second: ArrayLike,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Chance that a run of ``first`` scores above a run of ``second`` on the same task, a tie counting one half.

    It is the mean over tasks of the Mann–Whitney statistic over the number of pairs. Runs of either are
    resampled for themselves.

    Args:
        first: (R, M).
        second: (S, M) on the same tasks.
        seed, confidence, resamples: as for :func:`aggregate`.

    Raises:
        ValueError: as :func:`aggregate`, and if the numbers of tasks differ.
    """
    x, y = _matrix(first), _matrix(second)
    _check_options(confidence, resamples)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"expected scores on the same tasks, got {x.shape[1]} and {y.shape[1]} tasks")
    wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)  # (R, S, M)
    value = float(wins.mean())
    if len(x) == 1 or len(y) == 1:
        return Estimate(value, None, None)
    rng, drawn = np.random.default_rng(seed), []
    for size in _pieces(resamples, wins.size):
        of_x, of_y = _counts(x.shape, rng, size), _counts(y.shape, rng, size)  # (size, R, M), (size, S, M)
        met = np.einsum("brm,rsm->bsm", of_x, wins)
        drawn.append((met * of_y).sum((1, 2)) / wins.size)
    return Estimate(value, *_ends(np.concatenate(drawn), confidence))


# The bootstrap


def _resampled(values: np.ndarray, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """Scores (size, R, M) in pieces, runs drawn anew within each task."""
    for size in _pieces(resamples, values.size):
        places = rng.integers(0, len(values), (size, *values.shape))
        yield np.take_along_axis(values[None], places, axis=1)


def _counts(shape: tuple[int, ...], rng: np.random.Generator, size: int) -> np.ndarray:
    """(size, R, M): how often each run is drawn within its task; the same as :func:`_resampled`, for sums."""
    num_runs, num_tasks = shape
    drawn = rng.multinomial(num_runs, np.full(num_runs, 1 / num_runs), (size, num_tasks))  # (size, M, R)
    return drawn.transpose(0, 2, 1).astype(np.float64)


def _pieces(resamples: int, width: int) -> Iterator[int]:
    step = max(1, CHUNK // width)
    for start in range(0, resamples, step):
        yield min(step, resamples - start)


def _levels(confidence: float) -> list[float]:
    return [0.5 - confidence / 2, 0.5 + confidence / 2]


def _ends(drawn: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(drawn, _levels(confidence))
    return float(low), float(high)


def _matrix(scores: ArrayLike) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"expected scores of shape (runs, tasks), not empty, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("expected finite scores, got NaN or infinity")
    return values


def _check_options(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples!r}")
