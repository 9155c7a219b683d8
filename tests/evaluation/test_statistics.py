"""Intervals and tests against hand-worked numbers and scipy's own."""

import functools
import math
import operator

import numpy as np
import pytest

from dialogym.evaluation import statistics
from dialogym.evaluation.statistics import (
    MODELS,
    RUNS,
    CrossedMean,
    bootstrap_interval,
    difference_interval,
    difference_test,
    holm,
    hundredths,
    mcnemar,
    mean_interval,
    normalised_interval,
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
    intervals = [success_interval(rng.random((5, 400)) < 0.7) for _ in range(50)]
    one_run = wilson_interval(280, 400)
    assert np.mean([i.high - i.low for i in intervals]) < 0.75 * (one_run.high - one_run.low)


def test_several_runs_of_nothing_keep_an_honest_interval():
    assert success_interval(np.zeros((3, 100))) == wilson_interval(0, 100)


TRIALS, NUM_GOALS = 400, 200
LOG_ODDS, EASE = 0.5, 1.5
"""Of the median goal, and their standard deviation between goals."""


def rate(log_odds, spread):
    """Mean of the logistic of a normal variable, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float((1 / (1 + np.exp(-log_odds - spread * nodes))) @ weights / weights.sum())


def experiments(spread, num_runs):
    """Outcomes of two equal agents, and of a third that began from the runs of the first: (runs, goals) each."""
    rng = np.random.default_rng(2)
    for _ in range(TRIALS):
        ease = rng.normal(LOG_ODDS, EASE, NUM_GOALS)
        first, second, own = (rng.normal(0, spread, (num_runs, 1)) for _ in range(3))
        yield tuple(
            rng.random((num_runs, NUM_GOALS)) < 1 / (1 + np.exp(-ease - luck))
            for luck in (first, second, first + own / 2)
        )


@pytest.mark.parametrize("num_runs", [3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.3, 0.8])
def test_intervals_cover_as_often_as_they_say_however_much_runs_differ(spread, num_runs):
    """Runs differ by ``spread`` in log-odds; 95 % is 380 of 400, and three of its standard errors are 13."""
    truth = rate(LOG_ODDS, math.hypot(EASE, spread))
    covered = {"one agent": 0, "two agents": 0, "same start": 0}
    for first, second, third in experiments(spread, num_runs):
        one = success_interval(first)
        covered["one agent"] += one.low <= truth <= one.high
        for name, test in (
            ("two agents", paired_test(second, first)),
            ("same start", paired_test(third, first, same_start=True)),
        ):
            covered[name] += test.difference.low <= 0 <= test.difference.high
            assert (test.p_value < 0.05) == (not test.difference.low <= 0 <= test.difference.high)
    # 93 to 97 % and two standard errors; a normal quantile in place of Student's covers 82 to 90 % with three runs
    assert all(0.91 * TRIALS <= count <= 0.99 * TRIALS for count in covered.values()), covered


def test_crossed_mean_by_hand():
    # run means 0.5, 1.0 -> variance 0.125; goal means 0.5, 1.0 -> 0.125; residuals +-0.25 -> 4 / 16 = 0.25
    estimate = CrossedMean.of([[0, 1], [1, 1]])
    assert estimate[:3] == pytest.approx((0.75, 0.125 / 2, 1))
    assert estimate.variance_of_goals == pytest.approx(max(0, 0.125 / 2 - 0.25 / 4))
    # purely additive scores have no interaction: run means 1, 3 -> 2; goal means 1, 2, 3 -> 1
    assert CrossedMean.of([[0, 1, 2], [2, 3, 4]]).variance == pytest.approx(2 / 2 + 1 / 3)


ADDITIVE = np.array([0.1, 0.5, 0.9, 1.4]) + np.array([[0.0], [0.3], [0.7]])
"""Scores whose goals are equally hard for every agent, so that only runs differ once agents are compared."""


def test_where_only_runs_differ_the_difference_is_welchs_t_test_of_the_run_means():
    second = np.array([0.1, 0.5, 0.9, 1.4]) + np.array([[0.9], [2.0], [1.7], [1.3]])
    expected = stats.ttest_ind(second.mean(1), ADDITIVE.mean(1), equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert difference_interval(second, ADDITIVE) == pytest.approx((second.mean() - ADDITIVE.mean(), low, high))
    assert CrossedMean.of(second, -ADDITIVE).p_value() == pytest.approx(expected.pvalue)


def test_where_runs_share_their_start_the_difference_is_the_paired_t_test_of_the_run_means():
    second = ADDITIVE + np.array([[0.2], [0.1], [0.25]])
    expected = stats.ttest_rel(second.mean(1), ADDITIVE.mean(1))
    low, high = expected.confidence_interval(0.95)
    assert difference_interval(second, ADDITIVE, same_start=True)[1:] == pytest.approx((low, high))
    assert CrossedMean.of(second - ADDITIVE).p_value() == pytest.approx(expected.pvalue)
    assert difference_test(second, ADDITIVE, same_start=True) == (
        difference_interval(second, ADDITIVE, same_start=True),
        pytest.approx(expected.pvalue),
    )


def test_no_number_of_goals_is_below_zero_by_rounding():
    rng = np.random.default_rng(20)
    solved = (rng.random((3, 1000)) < 0.8).astype(float)
    found = paired_test(solved, np.ones((1, 1000)))
    assert found.first_only == 0.0
    assert math.copysign(1.0, found.first_only) == 1.0
    assert found.second_only == pytest.approx(1000 - solved.sum(1).mean())


def test_the_scores_of_one_run_each_are_tested_over_goals():
    first, second = [0.1, 0.5, 0.9, 1.4], [0.2, 0.8, 0.9, 1.9]
    interval, p_value = difference_test(second, first)
    assert p_value == pytest.approx(stats.ttest_rel(second, first).pvalue)
    assert interval == difference_interval(second, first)
    assert difference_test(first, first)[1] == 1.0
    assert difference_test([1.0, 2.0], [0.5, 1.5])[1] == 0.0


@pytest.mark.parametrize("shapes", [((1, 20), (1, 20)), ((3, 20), (3, 20)), ((3, 20), (1, 20)), ((3, 20), (5, 20))])
@pytest.mark.parametrize("turns", [(-0.1, -0.2, -0.5), (0.1, 0.2, -0.3)])
def test_turns_that_are_paid_in_another_order_make_no_difference(shapes, turns):
    first, second = (functools.reduce(operator.add, paid) for paid in (turns, turns[::-1]))  # `sum` corrects itself
    assert first != second  # by rounding
    for same_start in (False, True)[: 1 + (shapes[0] == shapes[1])]:
        scores = [np.full(shape, score) for shape, score in zip(shapes, (first, second), strict=True)]
        interval, p_value = difference_test(*scores, same_start=same_start)
        assert p_value == 1.0
        assert interval.mean == 0.0
        assert interval.low <= 0.0 <= interval.high
        assert difference_interval(*scores, same_start=same_start) == interval


def test_a_difference_that_is_small_but_no_rounding_counts():
    first = np.linspace(-1, 1, 20)
    assert difference_test(first + 1e-9, first)[1] < 1e-6
    assert difference_test(np.tile(first + 1e-9, (3, 1)), np.tile(first, (3, 1)), same_start=True)[1] < 1e-6


def test_pairing_by_seed_finds_a_gain_that_the_luck_of_the_start_hides():
    rng = np.random.default_rng(4)
    start = rng.normal(0, 1.5, (5, 1))
    before, after = (rng.random((5, 500)) < 1 / (1 + np.exp(-start - gain)) for gain in (0, 0.7))
    assert paired_test(after, before, same_start=True).p_value < 0.05 < paired_test(after, before).p_value


def test_runs_that_happen_to_score_the_same_do_not_make_us_certain():
    outcomes = np.array([np.roll([1] * 60 + [0] * 40, 37 * run) for run in range(3)])
    assert np.ptp(outcomes.mean(1)) == 0
    interval = success_interval(outcomes)
    assert interval.high - interval.low > 0.05
    better = np.array([np.roll([1] * 62 + [0] * 38, 23 * run) for run in range(3)])
    assert paired_test(better, outcomes).p_value > 0.05


def test_two_runs_that_fail_as_seldom_do_not_make_us_certain():
    first, second = np.ones((2, 80)), np.ones((2, 80))
    second[0, 3] = second[1, 9] = 0  # 2 of 160 against none: chance
    found = paired_test(first, second)
    assert found.p_value > 0.1
    assert found.difference.low < 0 < found.difference.high
    assert paired_test(first, first).difference.high > 1 / 80
    rng, rate = np.random.default_rng(0), 1 / 200
    seldom = [paired_test(*(rng.random((2, 2, 200)) > rate)).p_value < 0.01 for _ in range(400)]
    assert np.mean(seldom) < 0.02


def test_a_normalised_mean_of_two_runs_that_seldom_fail_covers_as_often_as_it_says():
    rng, rate, covered = np.random.default_rng(0), 1 / 80, 0
    for _ in range(400):
        found = normalised_interval(rng.random((2, 80)) > rate, np.zeros(80), np.ones(80))
        covered += found.low <= 1 - rate <= found.high
    assert covered >= 0.94 * 400


def test_runs_and_goals_without_any_chance_have_no_interval():
    assert mean_interval(np.full((3, 4), 2.5)) == (2.5, 2.5, 2.5)
    assert CrossedMean.of(np.zeros((3, 4))).p_value() == 1.0


def test_several_runs_cannot_be_bootstrapped():
    with pytest.raises(ValueError, match="mean_interval"):
        bootstrap_interval(np.zeros((3, 100)))


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


def test_draws_that_are_remembered_change_no_interval(monkeypatch):
    scores = np.random.default_rng(0).random((2, 300))
    remembered = [bootstrap_interval(row, seed) for row in scores for seed in (0, 1, 0)]
    monkeypatch.setattr(statistics, "MOST_REMEMBERED", 0)
    assert [bootstrap_interval(row, seed) for row in scores for seed in (0, 1, 0)] == remembered


def test_the_mean_of_several_runs_sees_the_runs():
    same_goals = np.array([np.full(100, 0.2), np.full(100, 0.5), np.full(100, 0.8)])
    half = stats.t.ppf(0.975, 2) * 0.3 / math.sqrt(3)
    assert mean_interval(same_goals) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
    assert mean_interval(same_goals[:1]) == bootstrap_interval(same_goals[0])


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval([1.0, math.nan])


def test_a_normalised_mean_by_hand():
    floor, ceiling = [0, 0, 1, 0], [1, 1, 1, 0]  # means of 1/4 and 3/4
    found = normalised_interval([[1, 0, 1, 0], [1, 1, 1, 0]], floor, ceiling)
    assert found.mean == pytest.approx((5 / 8 - 1 / 4) / (1 / 2))
    assert -0.5 <= found.low < found.mean < found.high <= 1.5  # where scores of 0 and 1 would be


@pytest.mark.parametrize("runs", [1, 3])
def test_between_floors_of_zero_and_a_ceiling_of_one_a_mean_is_normalised_already(runs):
    scores = np.random.default_rng(4).random((runs, 40))
    found, plain = normalised_interval(scores, np.zeros(40), np.ones(40), seed=3), mean_interval(scores, seed=3)
    assert found.mean == pytest.approx(plain.mean)
    assert [found.low, found.high] == pytest.approx([plain.low, plain.high])


def test_who_does_what_the_rule_does_is_the_rule_and_pairing_says_so_with_certainty():
    rng = np.random.default_rng(0)
    rule = rng.random(100) < 0.7
    assert normalised_interval(rule, np.zeros(100), rule) == pytest.approx((1.0, 1.0, 1.0))
    assert normalised_interval(rng.permutation(rule), np.zeros(100), rule).low < 0.9  # other goals: luck shows


@pytest.mark.parametrize(("runs", "spread"), [(1, 0.0), (3, 0.1)])
def test_normalised_intervals_cover_although_floor_and_rule_were_measured_too(runs, spread):
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        ease = rng.beta(2, 2, 150)  # mean 1/2
        floor, rule = rng.random(150) < 0.1 * ease, rng.random(150) < 0.5 + 0.5 * ease  # means 0.05 and 0.75
        chances = np.clip(0.2 + 0.6 * ease + rng.normal(0, spread, (runs, 1)), 0, 1)  # mean 0.5
        low, high = normalised_interval(rng.random((runs, 150)) < chances, floor, rule)[1:]
        covered += low <= 0.45 / 0.7 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_nothing_is_normalised_without_a_gap_or_on_other_goals():
    with pytest.raises(ValueError, match=r"a ceiling above the floor, got means of 0\.5 and 0\.5"):
        normalised_interval([0, 1], [0, 1], [1, 0])
    with pytest.raises(ValueError, match="one row of the same goals"):
        normalised_interval([0, 1, 1], [0, 0], [1, 1])


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


def test_one_run_each_speaks_of_two_models_and_several_of_trainings():
    outcomes = np.random.default_rng(5).random((3, 50)) < 0.5
    assert paired_test(outcomes[0], outcomes[1]).speaks_of == MODELS
    assert paired_test(outcomes, outcomes[1]).speaks_of == RUNS


def test_runs_that_point_in_different_directions_show_nothing():
    """A wins by 100 of 500 goals in two runs and loses by 195 in the third: each alone is significant."""
    first, second = np.zeros((3, 500)), np.zeros((3, 500))
    first[:2, :100] = second[2, :195] = 1
    assert all(paired_test(a, b).p_value < 1e-6 for a, b in zip(first, second, strict=True))
    assert paired_test(first, second).p_value > 0.5
    assert paired_test(first, second, same_start=True).p_value > 0.5


def test_goals_do_not_stand_in_for_runs():
    """The more goals, the surer of each model; no surer of what training yields."""
    luck = np.array([[0.45], [0.6], [0.75]])
    for num_goals in (200, 20_000):
        first, second = (np.arange(num_goals) % 100 < 100 * share for share in (luck + 0.1, luck))
        assert mcnemar(int((first[0] & ~second[0]).sum()), int((second[0] & ~first[0]).sum())) < 1e-4
        assert 0.1 < paired_test(first, second).p_value < 0.7


def test_an_agent_that_is_not_trained_has_no_luck_of_its_own():
    rng = np.random.default_rng(6)
    trained, rule = rng.random((3, 200)) < np.array([[0.5], [0.6], [0.7]]), rng.random(200) < 0.9
    test, alone = paired_test(trained, rule), success_interval(trained)
    assert test.speaks_of == RUNS
    assert test.difference.high - test.difference.low == pytest.approx(alone.high - alone.low, rel=0.2)


@pytest.mark.parametrize(("num_runs", "num_goals", "chance"), [(10, 200, 0.995), (5, 500, 0.998), (10, 500, 0.002)])
def test_a_row_that_happens_to_be_all_the_same_is_not_taken_for_certain(num_runs, num_goals, chance):
    """5 % of 200 is 10, and three of its standard errors are 9; without the chance of the row it is 30 % of them."""
    rng = np.random.default_rng(9)
    trained, row = (rng.random((200, rows, num_goals)) < chance for rows in (num_runs, 1))
    assert sum(paired_test(*pair).p_value < 0.05 for pair in zip(trained, row, strict=True)) <= 19


def test_the_chance_of_a_row_alone_is_its_own_and_no_training_has_it():
    ones, runs = np.ones((1, 100)), np.ones((3, 100))
    assert CrossedMean.of(runs, -ones, least_noise=0.01).variance_of_goals == pytest.approx(0.01 / 100)
    assert CrossedMean.of(-ones, runs, least_noise=0.01).variance_of_goals == pytest.approx(0.01 / 100)
    assert CrossedMean.of(runs, -runs, least_noise=0.01).variance_of_goals == 0.0
    assert CrossedMean.of(runs, -ones).variance == 0.0


def test_several_runs_count_the_goals_that_only_one_agent_solved_in_the_mean():
    second = np.zeros((2, 20))
    first = np.zeros((2, 20))
    first[0], first[1, :3] = 1, 1
    for same_start in (False, True):
        result = paired_test(first, second, same_start)
        assert (result.first_only, result.second_only) == (11.5, 0)
    assert paired_test(first, first[::-1], same_start=True)[1:3] == (8.5, 8.5)
    assert paired_test(first, first[::-1])[1:3] == (4.25, 4.25)


def test_one_run_meets_each_run_of_the_other():
    result = paired_test(np.ones(10), np.zeros((3, 10)))
    assert result.difference.mean == result.difference.high == 1.0
    assert result.p_value < 0.01


@pytest.mark.parametrize(("shape", "same_start"), [((10,), False), ((3, 10), False), ((2, 12), True)])
def test_outcomes_on_other_goals_are_refused(shape, same_start):
    with pytest.raises(ValueError, match=r"same (runs and )?goals"):
        paired_test(np.ones((3, 12)), np.ones(shape), same_start)


def test_one_run_is_no_sample_of_trainings():
    with pytest.raises(ValueError, match="several runs"):
        CrossedMean.of(np.ones(12))


def test_pass_hat_k_by_hand():
    # three goals, 4 tries each: 4, 2 and 0 successes; C(c, 2) / C(4, 2) = 6/6, 1/6, 0
    outcomes = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]])
    assert pass_hat_k(outcomes, 1) == pytest.approx(0.5)
    assert pass_hat_k(outcomes, 2) == pytest.approx((1 + 1 / 6) / 3)
    assert pass_hat_k(outcomes, 4) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="k must be"):
        pass_hat_k(outcomes, 5)


@pytest.mark.parametrize(("value", "shown"), [(-0.004, "+0.00"), (-0.0, "+0.00"), (0.004, "+0.00"), (-0.006, "-0.01")])
def test_two_decimals_are_never_minus_zero(value, shown):
    assert f"{hundredths(value):+.2f}" == shown
