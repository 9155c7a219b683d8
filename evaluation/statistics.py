"""How sure are we? Intervals and paired tests for scores of shape (R, G): R training runs, each on the same G goals.

Two things are random about a score: the training run and the goal. With one run the interval speaks of the goals alone,
and so of the very model that was scored; with several it speaks of both, which are crossed (every run plays every
goal), and so of what training yields.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

RESAMPLES = 10_000
MOST_REMEMBERED = 10_000_000
"""Draws of a bootstrap that are kept for the next of as many goals, one or two bytes each."""
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """An estimate and its confidence interval."""

    mean: float
    low: float
    high: float


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
    binomial variance equals that of a :class:`CrossedMean`, times the square of the ratio of the normal quantile to the
    latter's own (Korn and Graubard, 1998, Survey Methodology 24:193), and at most R * G. It is G where every run and
    goal has the same outcome.
    """
    outcomes = _runs_by_goals(successes)
    num_runs, num_goals = outcomes.shape
    rate, trials = float(outcomes.mean()), float(num_goals)
    if num_runs > 1 and 0 < rate < 1:
        estimate = CrossedMean.of(outcomes, least_noise=1 / num_goals)
        ratio = _normal_quantile(0.5 + confidence / 2) / estimate.quantile(1 - confidence)
        trials = min(rate * (1 - rate) / estimate.variance * ratio**2, float(num_runs * num_goals))
    return wilson_interval(rate * trials, trials, confidence)


def mean_interval(scores: ArrayLike, seed: int = 0, confidence: float = CONFIDENCE) -> Interval:
    """Mean of (R, G) or (G,) scores: bootstrapped over the goals of one run, a :class:`CrossedMean` of several."""
    values = _runs_by_goals(scores)
    if len(values) == 1:
        return bootstrap_interval(values[0], seed, confidence)
    return CrossedMean.of(values).interval(confidence)


def normalised_interval(scores: ArrayLike, floor: ArrayLike, ceiling: ArrayLike, seed: int = 0) -> Interval:
    """Mean of (R, G) scores, 0 where the floor's is and 1 where the ceiling's is, all of them on the same G goals.

    Floor and ceiling were measured too, so the interval is that of a ratio: with s, f and c on goal g, and n the
    normalised mean, the mean of (s - f - n (c - f)) / (mean c - mean f) over runs and goals varies as n does (the
    delta method; Cochran, 1977, "Sampling techniques", section 6.3). It is paired by goal, and has the interval of
    :func:`mean_interval`; that of several runs takes a score to vary by chance at least as in
    :func:`success_interval`, and ends where a score of 0 or 1 would be.

    Args:
        scores: (R, G) or (G,), each in [0, 1].
        floor, ceiling: (G,).
        seed: of the bootstrap, for one run.

    Raises:
        ValueError: if the goals differ in number, or the ceiling is not above the floor.
    """
    values, low, high = (_runs_by_goals(one) for one in (scores, floor, ceiling))
    if not low.shape == high.shape == (1, values.shape[1]):
        raise ValueError(f"expected one row of the same goals as {values.shape}, got {low.shape} and {high.shape}")
    gap = float(high.mean() - low.mean())
    if gap <= 0:
        raise ValueError(f"expected a ceiling above the floor, got means of {high.mean():g} and {low.mean():g}")
    share = float(values.mean() - low.mean()) / gap
    linear = share + (values - low - share * (high - low)) / gap  # (R, G), with the mean share
    if len(linear) == 1:
        return bootstrap_interval(linear[0], seed)
    least, most = (float(end - low.mean()) / gap for end in (0.0, 1.0))
    noise = 1 / (linear.shape[1] * gap**2)
    found = CrossedMean.of(linear, least_noise=noise).at_least(noise / linear.size).interval()
    return Interval(found.mean, max(found.low, least), min(found.high, most))


def bootstrap_interval(
    scores: ArrayLike, seed: int = 0, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Interval:
    """Mean of (G,) scores of one run with a seeded percentile bootstrap interval over the goals.

    It is ``scipy.stats.bootstrap(..., method="percentile")``. Two models' scores on the same goals are compared by the
    bootstrap of their difference: it is paired. Two or three runs are too few to be resampled: see
    :func:`mean_interval`.

    Raises:
        ValueError: for several runs, no scores, or scores that are not finite.
    """
    values = _runs_by_goals(scores)
    if len(values) > 1:
        raise ValueError(f"expected scores of one run, got {len(values)} runs: mean_interval takes several")
    num_goals = values.shape[1]
    draw = _remembered_draws if resamples * num_goals <= MOST_REMEMBERED else _draws
    means = np.concatenate([counts / num_goals @ values[0] for counts in draw(num_goals, seed, resamples)])
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(values.mean()), float(low), float(high))


def _draws(num_goals: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each goal is drawn in each resample, (1000, G) counts at a time."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, 1000):
        size = min(1000, resamples - start)
        counts = rng.multinomial(num_goals, np.full(num_goals, 1 / num_goals), size)
        yield counts.astype(np.min_scalar_type(num_goals))


@functools.lru_cache(maxsize=1)
def _remembered_draws(num_goals: int, seed: int, resamples: int) -> tuple[np.ndarray, ...]:
    """A report bootstraps a hundred scores of the same goals: drawing takes nearly all of the time."""
    return tuple(_draws(num_goals, seed, resamples))


class CrossedMean(NamedTuple):
    """A mean over R runs × G goals, both random and crossed, and how far it may be off.

    With x of run r on goal g, and variance components of runs, goals and what is left (run × goal, and chance)::

        variance of the mean = runs / R + goals / G + rest / (R * G)

    ``variance_of_runs`` is the variance of the run means over R, which estimates the first term and the third, with
    R - 1 degrees of freedom; ``variance_of_goals`` estimates the second from the goal means, less what chance adds to
    them (Owen, 2007, https://doi.org/10.1214/07-AOAS122). A difference between agents adds up the runs of both, with
    the degrees of freedom of Welch (1947, https://doi.org/10.1093/biomet/34.1-2.28), and takes the goals of the
    difference, so that it is paired by goal.

    The critical value is the mean of Student's quantiles for the two variances, weighted by them (Cochran, 1964,
    Biometrics 20:191): where runs differ it is that of a t with R - 1 degrees of freedom, where they do not and goals
    do, that of many. Runs that agree more closely than chance alone would let them in 19 of 20 cases are
    taken to agree just that closely: else runs that happen to score the same would make us certain. A row alone has no
    other runs to tell its chance from the goals'; the second term holds both, and is at least that chance: else a row
    that happens to be all 0 or all 1 would be taken for one that can be nothing else.

    ``benchmarks/interval_coverage.py`` simulates how often its intervals cover.
    """

    mean: float
    variance_of_runs: float
    freedom_of_runs: float
    variance_of_goals: float
    freedom_of_goals: float

    @classmethod
    def of(cls, *samples: ArrayLike, least_noise: float = 0.0) -> CrossedMean:
        """The sum of the means of independent samples of runs on the same goals.

        Args:
            samples: (R, G) scores each, with G >= 2; those of one agent, or of a second one with the opposite sign. One
                row alone is an agent that did not come from a training, which has no other runs.
            least_noise: variance of a single score that chance is taken to cause at the least.

        Raises:
            ValueError: if the goals differ in number, or no sample has several runs.
        """
        values = [_runs_by_goals(sample) for sample in samples]
        num_goals = values[0].shape[1]
        if any(one.shape[1] != num_goals for one in values) or num_goals < 2:
            raise ValueError(f"expected the same goals, at least 2, got shapes {[one.shape for one in values]}")
        if all(len(one) == 1 for one in values):
            raise ValueError("expected several runs of an agent, got one")
        parts = [_variance_of_runs(one, least_noise) for one in values if len(one) > 1]
        of_runs = sum(variance for variance, _, _ in parts)
        squares = sum(variance**2 / freedom for variance, freedom, _ in parts)
        goal_means = np.sum([one.mean(0) for one in values], axis=0)  # (G,)
        found = float(goal_means.var(ddof=1)) / num_goals - sum(noise for *_, noise in parts)
        of_goals = max(found, least_noise / num_goals * sum(len(one) == 1 for one in values))  # a lone row's chance too
        freedom = of_runs**2 / squares if squares else float(min(freedom for _, freedom, _ in parts))
        return cls(float(goal_means.mean()), of_runs, freedom, of_goals, num_goals - 1.0)

    def at_least(self, variance: float) -> CrossedMean:
        """The same, varying at least as the chance of all scores makes it, were runs and goals all alike.

        Where runs fail on few goals, two of them often fail on as many: that they agree says little then.
        """
        return self._replace(variance_of_goals=max(self.variance_of_goals, variance - self.variance_of_runs))

    @property
    def variance(self) -> float:
        """Of the mean."""
        return self.variance_of_runs + self.variance_of_goals

    def quantile(self, significance: float) -> float:
        """How many standard errors the mean is off at most, in all but a share of ``significance`` of the cases."""
        from scipy.special import stdtrit

        weight = self.variance_of_runs / self.variance if self.variance else 1.0
        of_runs, of_goals = stdtrit([self.freedom_of_runs, self.freedom_of_goals], 1 - significance / 2)
        return float(weight * of_runs + (1 - weight) * of_goals)

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """The mean and its interval."""
        half = self.quantile(1 - confidence) * math.sqrt(self.variance)
        return Interval(self.mean, self.mean - half, self.mean + half)

    def p_value(self) -> float:
        """Two-sided p-value of a mean of 0: the significance at which the interval ends there."""
        from scipy.optimize import root_scalar

        if self.mean == 0 or self.variance == 0:
            return float(self.mean == 0)
        found = abs(self.mean) / math.sqrt(self.variance)

        def excess(log_significance: float) -> float:
            return self.quantile(math.exp(log_significance)) - found

        if excess(LEAST_LOG_P) <= 0:
            return math.exp(LEAST_LOG_P)
        return math.exp(root_scalar(excess, bracket=(LEAST_LOG_P, 0.0)).root)


LEAST_LOG_P = math.log(1e-12)
"""No p-value is smaller: it would say more about the model of the scores than about them."""
CLOSEST_RUNS = 0.05
"""Share of cases in which runs that differ by chance alone agree more closely than they are ever taken to."""


def _variance_of_runs(values: np.ndarray, least_noise: float) -> tuple[float, int, float]:
    """Of (R, G) scores: variance of run means over R, its degrees of freedom, and how much of it chance explains."""
    from scipy.special import chdtri

    num_runs, num_goals = values.shape
    run_means, goal_means = values.mean(1, keepdims=True), values.mean(0, keepdims=True)
    residuals = values - run_means - goal_means + values.mean()
    noise = max(float((residuals**2).sum()) / ((num_runs - 1) * (num_goals - 1)), least_noise) / (num_runs * num_goals)
    freedom = num_runs - 1
    closest = noise * float(chdtri(freedom, 1 - CLOSEST_RUNS)) / freedom
    return max(float(run_means.var(ddof=1)) / num_runs, closest), freedom, noise


MODELS, RUNS = "models", "training runs"
"""What a comparison speaks of: the very models that were compared, or what training yields."""


class PairedTest(NamedTuple):
    """What a paired comparison found.

    Attributes:
        difference: of the success rates, with its interval.
        first_only: goals that only the first agent solved, and ``second_only`` those that only the second did; of
            several runs the mean number.
        p_value: two-sided. Of one run each that of the exact McNemar test.
        speaks_of: "models" or "training runs". A model is one outcome of its training: that two of them differ does
            not show that their algorithms do.
    """

    difference: Interval
    first_only: float
    second_only: float
    p_value: float
    speaks_of: str


def paired_test(first: ArrayLike, second: ArrayLike, same_start: bool = False, seed: int = 0) -> PairedTest:
    """Compares the outcomes of two agents on the same G goals.

    The unit of inference is the training run: the goals of one run stand or fall together with its luck. So one run
    each compares two models, over goals; only several compare what they were trained by, and with three runs the
    critical value is that of a Student's t with two to four degrees of freedom.

    Args:
        first, second: (R, G) outcomes, 0 or 1. Of several runs and one, the one is an agent that is not trained and
            has no other runs, such as a rule; a single run of a trained agent is no sample of its trainings.
        same_start: run r of the one began from run r of the other, as reinforcement learning does after SFT. Then runs
            share their luck, and are paired: the differences of R pairs are the sample. Otherwise the runs of both are
            independent, whatever their seeds: a seed that two different algorithms share makes nothing alike.
        seed: of the bootstrap, for one run each.

    Raises:
        ValueError: if the goals differ in number, or the runs that are paired.
    """
    a, b = _runs_by_goals(first), _runs_by_goals(second)
    if a.shape[1] != b.shape[1] or (same_start and len(a) != len(b)):
        raise ValueError(f"expected outcomes of the same {'runs and ' * same_start}goals, got {a.shape} and {b.shape}")
    x, y = (a, b) if same_start else (a.mean(0, keepdims=True), b.mean(0, keepdims=True))
    only = float((x * (1 - y)).sum(1).mean()), float(((1 - x) * y).sum(1).mean())
    if len(a) == len(b) == 1:
        return PairedTest(bootstrap_interval(a - b, seed), *only, mcnemar(round(only[0]), round(only[1])), MODELS)
    estimate = _difference(a, b, same_start, least_noise=1 / a.shape[1])
    mean, low, high = estimate.interval()
    return PairedTest(Interval(mean, max(low, -1.0), min(high, 1.0)), *only, estimate.p_value(), RUNS)


def difference_interval(first: ArrayLike, second: ArrayLike, same_start: bool = False, seed: int = 0) -> Interval:
    """Difference of the mean scores of two agents on the same goals; arguments and errors as of :func:`paired_test`."""
    a, b = _runs_by_goals(first), _runs_by_goals(second)
    if len(a) == len(b) == 1:
        return bootstrap_interval(_differences(a, b), seed)
    return _difference(a, b, same_start).interval()


def difference_test(
    first: ArrayLike, second: ArrayLike, same_start: bool = False, seed: int = 0
) -> tuple[Interval, float]:
    """:func:`difference_interval`, and the two-sided p-value of no difference.

    Of one run each it is that of Student's t over goals, of the paired differences. Arguments and errors are those of
    :func:`paired_test`, but the scores may be any.
    """
    a, b = _runs_by_goals(first), _runs_by_goals(second)
    if len(a) == len(b) == 1:
        differences = _differences(a, b)
        return bootstrap_interval(differences, seed), _t_test(differences[0])
    estimate = _difference(a, b, same_start)
    return estimate.interval(), estimate.p_value()


def _t_test(differences: np.ndarray) -> float:
    """Two-sided p-value of a mean of 0 by Student's t; 0.0 where all are the same and not 0, 1.0 for all 0, or one."""
    from scipy.special import stdtr

    if differences.size < 2:
        return 1.0
    mean, error = abs(differences.mean()), differences.std(ddof=1) / math.sqrt(differences.size)
    if error <= mean * ROUNDING:
        return float(mean == 0.0)
    return float(2 * stdtr(differences.size - 1, -mean / error))


ROUNDING = 1e-12
"""Scores that differ by so little, or by so small a share of them, are the same: they are sums in another order."""


def _differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of scores of the same shape; 0 for those that differ by rounding alone."""
    return np.where(np.isclose(a, b, rtol=ROUNDING, atol=ROUNDING), 0.0, a - b)


def _difference(a: np.ndarray, b: np.ndarray, same_start: bool, least_noise: float = 0.0) -> CrossedMean:
    """Of several runs; its mean is 0 where that is rounding alone."""
    samples = [_differences(a, b)] if same_start else [a, -b]
    found = CrossedMean.of(*samples, least_noise=least_noise)
    found = found.at_least(sum(least_noise / one.size for one in samples))
    rounding = ROUNDING * max(1.0, float(np.abs(a).max()), float(np.abs(b).max()))
    return found._replace(mean=0.0) if abs(found.mean) <= rounding else found


def p_in_words(value: float) -> str:
    """A p-value with two significant digits, and never as 0."""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def p_equals(value: float) -> str:
    """The same in a sentence: "p = 0.023", "p < 0.0001"."""
    said = p_in_words(value)
    return f"p {said}" if said.startswith("<") else f"p = {said}"


def hundredths(value: float) -> float:
    """A number as two decimals show it, and never -0.00."""
    return round(value, 2) + 0.0


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
