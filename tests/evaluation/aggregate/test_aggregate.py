"""Aggregates over a suite, against numbers that rliable publishes, worked by hand, and scipy's."""

import numpy as np
import pytest

from dialogym.evaluation.aggregate.estimates import Estimate, aggregate, performance_profile, probability_of_improvement

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
