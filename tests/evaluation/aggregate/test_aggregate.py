"""Aggregates over a suite, against numbers that rliable publishes, worked by hand, and scipy's."""

import json
from pathlib import Path

import numpy as np
import pytest

from dialogym.evaluation.aggregate.estimates import Estimate, aggregate, performance_profile, probability_of_improvement
from dialogym.evaluation.aggregate.gather import METHODS

from ...scripts import load

ROOT = Path(__file__).resolve().parents[3]
stats = pytest.importorskip("scipy.stats")
X = np.array([[1, 2], [2, 2], [1, 1], [2, 1]])
Y = np.array([[1, 1], [2, 2], [3, 3]])
"""Of the tests of rliable, with what it publishes for them."""


def test_rliable_publishes_the_same_numbers():
    x, y = aggregate(X), aggregate(Y)
    assert [x[name].value for name in ("median", "mean", "iqm")] == [1.5] * 3
    assert [y[name].value for name in ("median", "mean", "iqm")] == [2.0] * 3
    assert probability_of_improvement(X, Y).value == pytest.approx(1 / 3)


def test_numbers_worked_by_hand():
    scores = [[0.0, 0.5, 1.5], [0.2, 0.7, 0.9]]
    found = aggregate(scores)
    assert found["mean"].value == pytest.approx(3.8 / 6)
    assert found["median"].value == pytest.approx(0.6)  # task means 0.1, 0.6, 1.2
    assert found["iqm"].value == pytest.approx((0.2 + 0.5 + 0.7 + 0.9) / 4)  # one of six cut off at either end
    assert found["optimality_gap"].value == pytest.approx(1 - (0.0 + 0.2 + 0.5 + 0.7 + 1.0 + 0.9) / 6)
    profile = performance_profile(scores, [-1, 0.5, 0.8, 2])
    assert profile.share == pytest.approx([1, 3 / 6, 2 / 6, 0])  # above, not at


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 5), (5, 7)])
def test_scipy_comes_to_the_same(shape):
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 6, shape) / 5, rng.integers(0, 6, (4, shape[1])) / 5
    assert aggregate(x, resamples=10)["iqm"].value == pytest.approx(stats.trim_mean(x, 0.25, axis=None))
    u = [stats.mannwhitneyu(x[:, task], y[:, task]).statistic / (len(x) * 4) for task in range(shape[1])]
    assert probability_of_improvement(x, y, resamples=10).value == pytest.approx(np.mean(u))
    assert probability_of_improvement(y, x, resamples=10).value == pytest.approx(1 - np.mean(u))


def test_equal_scores_improve_with_one_half_and_sure_ones_with_one():
    assert probability_of_improvement(X, X).value == 0.5
    assert probability_of_improvement(X + 5, X) == Estimate(1.0, 1.0, 1.0)


def test_intervals_are_of_runs_within_tasks():
    constant = np.tile([0.1, 0.4, 0.9], (4, 1))  # tasks differ, runs do not: nothing is uncertain
    for estimate in aggregate(constant, resamples=50).values():
        assert estimate.low == pytest.approx(estimate.value) == pytest.approx(estimate.high)
    spread = constant + np.array([[-0.1], [0.1], [-0.1], [0.1]])
    for estimate in aggregate(spread, resamples=500).values():
        assert estimate.low < estimate.value < estimate.high


def test_the_interval_of_the_mean_is_that_of_a_bootstrap_written_as_a_loop():
    rng = np.random.default_rng(0)
    scores = rng.random((5, 4))
    means = [np.mean([rng.choice(scores[:, task], 5) for task in range(4)]) for _ in range(4000)]
    found = aggregate(scores, resamples=4000)["mean"]
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.01)


def test_bands_and_the_chance_of_improvement_agree_with_resampled_scores():
    rng = np.random.default_rng(1)
    x, y = rng.random((6, 3)), rng.random((5, 3)) + 0.2
    drawn = [
        (np.stack([rng.choice(x[:, task], 6) for task in range(3)], 1),
         np.stack([rng.choice(y[:, task], 5) for task in range(3)], 1))
        for _ in range(2000)
    ]  # fmt: skip
    profile = performance_profile(x, [0.5], resamples=4000)
    shares = [np.mean(a > 0.5) for a, _ in drawn]
    assert [profile.low[0], profile.high[0]] == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=0.06)
    chance = probability_of_improvement(y, x, resamples=4000)
    chances = [np.mean((b[:, None] > a) + 0.5 * (b[:, None] == a)) for a, b in drawn]
    assert [chance.low, chance.high] == pytest.approx(np.quantile(chances, [0.025, 0.975]), abs=0.03)


def test_intervals_of_ten_runs_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(5)
    truth = np.array([0.2, 0.5, 0.5, 0.9])  # means of the tasks
    covered = 0
    for trial in range(200):
        found = aggregate(truth + rng.normal(0, 0.2, (10, 4)), seed=trial, resamples=300)["mean"]
        covered += found.low <= truth.mean() <= found.high
    assert 0.87 <= covered / 200 <= 0.985


@pytest.mark.parametrize(("num_tasks", "said"), [(10, 0.85), (1, 0.75)])
def test_how_few_runs_and_tasks_narrow_the_intervals_is_said_as_simulated(num_tasks, said):
    benchmark = load(ROOT / "benchmarks" / "aggregate_coverage.py")
    levels = benchmark.levels_of(num_tasks)
    assert len(levels) == num_tasks
    assert f"{said:.0%} on {'10 tasks' if num_tasks == 10 else 'one'}" in METHODS["intervals"]
    found = benchmark.coverage(3, levels, trials=200, resamples=300, rng=np.random.default_rng(3))
    assert found["iqm"] == pytest.approx(said, abs=0.08)  # three standard errors


def test_one_run_a_task_has_no_interval():
    assert aggregate([[0.1, 0.5, 0.9]])["iqm"] == Estimate(pytest.approx(0.5), None, None)
    assert performance_profile([[0.1, 0.5]], [0.3]).low is None
    assert probability_of_improvement([[0.5]], [[0.1], [0.2]]).low is None


def test_the_seed_decides():
    scores = np.random.default_rng(2).random((4, 5))
    first, again, other = (aggregate(scores, seed=seed, resamples=200) for seed in (1, 1, 2))
    assert first == again != other


def test_pieces_change_nothing_but_the_order_of_the_draws(monkeypatch):
    scores = np.random.default_rng(2).random((4, 5))
    whole = aggregate(scores, resamples=101)
    monkeypatch.setattr("dialogym.evaluation.aggregate.estimates.CHUNK", 60)
    assert aggregate(scores, resamples=101) == whole


@pytest.mark.parametrize("scores", [[], [0.1, 0.2], [[0.1, float("nan")]], [[[0.1]]]])
def test_what_is_no_matrix_of_scores_is_refused(scores):
    with pytest.raises(ValueError, match="expected"):
        aggregate(scores)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="same tasks, got 2 and 1"):
        probability_of_improvement(X, X[:, :1])
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 95"):
        aggregate(X, confidence=95)
    with pytest.raises(ValueError, match="resamples must be at least 1, got 0"):
        aggregate(X, resamples=0)
    with pytest.raises(ValueError, match="thresholds"):
        performance_profile(X, [])


# Published results


DATA = json.loads((Path(__file__).parent / "data" / "atari_100k.json").read_text())


def human_normalised(agent):
    """(5 runs, 26 games)."""
    low, high = np.array(DATA["random"]), np.array(DATA["human"])
    return (np.array(DATA[agent]).T - low) / (high - low)


@pytest.mark.parametrize(
    ("agent", "published"),
    [
        # rliable's notebook prints median and mean; the table of IRIS, https://arxiv.org/abs/2209.00588, has all
        ("simple", {"median": 0.13405558483729887, "mean": 0.3319978533732483, "iqm": 0.130, "optimality_gap": 0.729}),
        ("diamond", {"mean": 1.459, "iqm": 0.641}),  # table 1 of https://arxiv.org/abs/2405.12399
    ],
)
def test_runs_of_atari_100k_come_to_what_was_published(agent, published):
    found = aggregate(human_normalised(agent), resamples=100)
    for name, value in published.items():
        digits = 14 if len(str(value)) > 6 else 3
        assert round(found[name].value, digits) == round(value, digits), name


# What rliable's own code (commit 3ccd9f4) gives for these runs, of 20,000 resamples; below, profiles of 2,000 and the
# chance of improvement of 1,000.
RLIABLE = {
    "simple": {
        "iqm": (0.0991, 0.1673),
        "median": (0.0825, 0.1642),
        "mean": (0.2838, 0.3803),
        "optimality_gap": (0.6928, 0.7664),
    },
    "diamond": {
        "iqm": (0.5776, 0.7081),
        "median": (0.3096, 0.4893),
        "mean": (1.3577, 1.5667),
        "optimality_gap": (0.4647, 0.4963),
    },
}


@pytest.mark.parametrize("agent", RLIABLE)
def test_intervals_are_those_of_rliable_s_code(agent):
    found = aggregate(human_normalised(agent), resamples=5000)
    for name, (low, high) in RLIABLE[agent].items():
        assert [found[name].low, found[name].high] == pytest.approx([low, high], abs=0.06 * (high - low)), name


def test_the_chance_of_improvement_and_profiles_are_those_of_rliable_s_code():
    diamond, simple = human_normalised("diamond"), human_normalised("simple")
    chance = probability_of_improvement(diamond, simple, resamples=5000)
    assert chance.value == pytest.approx(0.8338461538461538)
    assert [chance.low, chance.high] == pytest.approx([0.7877, 0.8793], abs=0.006)
    profile = performance_profile(diamond, [0.0, 0.1, 0.5, 1.0, 2.0], resamples=5000)
    assert profile.share == pytest.approx(np.array([126, 92, 60, 55, 32]) / 130)
    assert profile.low == pytest.approx([0.946, 0.669, 0.446, 0.400, 0.223], abs=0.012)
    assert profile.high == pytest.approx([0.992, 0.738, 0.477, 0.446, 0.269], abs=0.012)


# Known answers


def test_estimates_find_a_chance_of_improvement_that_is_known_and_cover_it():
    rng = np.random.default_rng(11)
    gap, sigma = 0.3, np.array([0.3, 0.6, 1.2])  # of normal scores on three tasks: P(Y > X) = Phi(gap / (sigma sqrt 2))
    truth = stats.norm.cdf(gap / (sigma * np.sqrt(2))).mean()
    values, covered = [], 0
    for trial in range(200):
        x, y = rng.normal(0, sigma, (8, 3)), rng.normal(gap, sigma, (8, 3))
        found = probability_of_improvement(y, x, seed=trial, resamples=300)
        values.append(found.value)
        covered += found.low <= truth <= found.high
    assert np.mean(values) == pytest.approx(truth, abs=3 * np.std(values) / np.sqrt(200))  # it is unbiased
    assert 0.87 <= covered / 200 <= 0.99


def test_the_interquartile_mean_of_many_runs_is_that_of_the_mixture_they_are_drawn_from():
    rng = np.random.default_rng(3)
    scores = np.where(np.arange(10) < 2, 50.0, rng.uniform(0, 1, (20_000, 10)))  # two tasks far out, eight uniform
    # the middle half of the mixture is that of the uniform part from 0.25 / 0.8 to 0.75 / 0.8
    assert aggregate(scores[:2000], resamples=2)["iqm"].value == pytest.approx(0.5 / 0.8, abs=0.01)
    assert aggregate(scores[:2000], resamples=2)["mean"].value > 10  # which outliers decide
    profile = performance_profile(scores[:2000], [0.25, 0.5, 1.5], resamples=2)
    assert profile.share == pytest.approx([0.2 + 0.8 * 0.75, 0.2 + 0.8 * 0.5, 0.2], abs=0.01)
