"""Intervals and tests against hand-worked numbers and scipy's own."""

import math

import numpy as np
import pytest

from dialogym.evaluation.statistics import (
    bootstrap_interval,
    crossed_variance,
    holm,
    mcnemar,
    paired_test,
    pass_hat_k,
    success_interval,
    wilson_interval,
)

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 10), (8, 10), (437, 500), (500, 500)])
def test_wilson_agrees_with_scipy(successes, trials):
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx(
        (successes / trials, expected.low, expected.high), abs=1e-12
    )


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, trials)


def test_one_run_has_the_plain_wilson_interval():
    outcomes = np.array([1] * 30 + [0] * 10)
    assert success_interval(outcomes) == wilson_interval(30, 40)


def test_runs_that_agree_on_every_goal_are_worth_one_run():
    outcomes = np.tile([1] * 30 + [0] * 10, (3, 1))
    three, one = success_interval(outcomes), success_interval(outcomes[:1])
    assert three.mean == one.mean
    assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.03)


def test_runs_that_disagree_widen_the_interval():
    rng = np.random.default_rng(0)
    alike = rng.random((3, 400)) < 0.7
    apart = rng.random((3, 400)) < np.array([[0.5], [0.7], [0.9]])
    narrow, wide = success_interval(alike), success_interval(apart)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_independent_runs_narrow_the_interval():
    rng = np.random.default_rng(1)
    intervals = [success_interval(rng.random((3, 400)) < 0.7) for _ in range(50)]
    one_run = wilson_interval(280, 400)
    assert np.mean([i.high - i.low for i in intervals]) < 0.75 * (one_run.high - one_run.low)


def test_several_runs_of_nothing_keep_an_honest_interval():
    assert success_interval(np.zeros((3, 100))) == wilson_interval(0, 100)


def test_the_interval_of_several_runs_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        goal_logits = rng.normal(1.0, 1.5, 200)
        outcomes = rng.random((3, 200)) < 1 / (1 + np.exp(-goal_logits))
        interval = success_interval(outcomes)
        covered += interval.low <= 0.6707 <= interval.high  # E of the logistic of N(1, 1.5), by quadrature
    assert covered >= 0.91 * 300


def test_crossed_variance_by_hand():
    # run means 0.5, 1.0 -> variance 0.125; goal means 0.5, 1.0 -> 0.125; residuals +-0.25 -> 4 / 16 = 0.25
    assert crossed_variance([[0, 1], [1, 1]]) == pytest.approx(0.125 / 2 + 0.125 / 2 - 0.25 / 4)
    # purely additive scores have no interaction: run means 1, 3 -> 2; goal means 1, 2, 3 -> 1
    assert crossed_variance([[0, 1, 2], [2, 3, 4]]) == pytest.approx(2 / 2 + 1 / 3)


def test_the_bootstrap_of_one_run_agrees_with_scipy():
    values = np.random.default_rng(3).exponential(size=200)
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, batch=1000)
    ours = bootstrap_interval(values, seed=0)
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(expected.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(expected.confidence_interval.high, abs=0.01)


def test_the_bootstrap_is_seeded():
    values = np.arange(50.0)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_the_bootstrap_of_several_runs_sees_the_runs():
    same_goals = np.array([np.full(100, 0.2), np.full(100, 0.5), np.full(100, 0.8)])
    interval = bootstrap_interval(same_goals)
    assert (interval.low, interval.high) == (pytest.approx(0.2), pytest.approx(0.8))


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([1.0, math.nan])


def test_mcnemar_by_hand():
    # 9 discordant pairs, 1 against 8: 2 * (C(9,0) + C(9,1)) / 2**9
    assert mcnemar(1, 8) == pytest.approx(2 * 10 / 512)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == pytest.approx(1.0)


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, 0.04
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([0.03, 0.02]) == pytest.approx([0.04, 0.04])  # never smaller than one before it
    assert holm([]) == []


def test_a_paired_test_counts_the_goals_that_only_one_agent_solved():
    first = np.array([1, 1, 1, 1, 1, 0, 0, 1])
    second = np.array([1, 0, 0, 0, 0, 0, 1, 0])
    result = paired_test(first, second)
    assert (result.first_only, result.second_only) == (5, 1)
    assert result.p_value == mcnemar(5, 1)
    assert result.difference.mean == pytest.approx(0.5)
    assert result.difference.low < 0.5 < result.difference.high


def test_runs_that_point_in_different_directions_show_nothing():
    """A wins by 100 of 500 goals in two runs and loses by 195 in the third: each alone is significant."""
    first, second = np.zeros((3, 500)), np.zeros((3, 500))
    first[:2, :100] = second[2, :195] = 1
    assert all(paired_test(a, b).p_value < 1e-6 for a, b in zip(first, second, strict=True))
    assert paired_test(first, second).p_value == 1.0
    assert paired_test(first[:2], second[:2]).p_value < 1e-6


def test_of_several_runs_the_weakest_speaks():
    second = np.zeros((2, 20))
    first = np.zeros((2, 20))
    first[0], first[1, :3] = 1, 1
    result = paired_test(first, second)
    assert (result.first_only, result.second_only) == (3, 0)
    assert result.p_value == mcnemar(3, 0)


def test_one_run_meets_each_run_of_the_other():
    result = paired_test(np.ones(10), np.zeros((3, 10)))
    assert result.difference == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize("shape", [(10,), (2, 12)])
def test_outcomes_on_other_goals_are_refused(shape):
    with pytest.raises(ValueError, match="same runs and goals"):
        paired_test(np.ones((3, 12)), np.ones(shape))


def test_pass_hat_k_by_hand():
    # three goals, 4 tries each: 4, 2 and 0 successes; C(c, 2) / C(4, 2) = 6/6, 1/6, 0
    outcomes = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]])
    assert pass_hat_k(outcomes, 1) == pytest.approx(0.5)
    assert pass_hat_k(outcomes, 2) == pytest.approx((1 + 1 / 6) / 3)
    assert pass_hat_k(outcomes, 4) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="k must be"):
        pass_hat_k(outcomes, 5)
