"""The results dict: its schema, its numbers, its file."""

import copy
import json
import math

import numpy as np
import pytest

from dialogym.evaluation.contenders import CONTENDERS, takes_part
from dialogym.evaluation.report.results import (
    BETTER,
    DIFFER,
    NO_DIFFERENCE,
    NOTHING_SHOWN,
    PAIRS,
    REQUIRED,
    WORSE,
    check_results,
    read_results,
    results_of,
    write_results,
)
from dialogym.evaluation.statistics import MODELS, RUNS, mcnemar, paired_test, wilson_interval

from ..fake_results import NUM_GOALS, fake_record, fake_results

pytest.importorskip("scipy")


@pytest.fixture(scope="module")
def results():
    return fake_results()


def test_every_agent_of_the_schema_is_there(results):
    check_results(results)
    assert set(REQUIRED) <= set(results["agents"])
    assert results["schema"] == 1


def test_one_seed_has_the_wilson_interval_of_its_goals(results):
    sft = results["agents"]["sft"]
    successes = sum(sft["per_seed"][0]["per_goal"]["success"])
    expected = wilson_interval(successes, NUM_GOALS)
    assert (sft["success"]["mean"], sft["success"]["low"], sft["success"]["high"]) == pytest.approx(expected, abs=1e-6)


def test_normalised_is_0_at_the_better_floor_and_1_at_the_rule(results):
    agents = results["agents"]
    assert agents["rule"]["normalised"] == 1.0
    assert max(agents[name]["normalised"] for name in ("random", "do_nothing")) == 0.0


def test_the_budget_of_sft_then_rl_holds_that_of_sft(results):
    budget = results["agents"]["sft_rl"]["budget"]
    assert budget["env_turns"] == 27_000 + 2800
    assert budget["demonstration_turns"] == 2800
    assert budget["tokens"] == 800_000
    assert budget["demonstrations"] == 400
    assert results["agents"]["sft"]["budget"]["demonstration_turns"] == 2800
    assert results["agents"]["rl"]["budget"]["demonstration_turns"] == 0


def test_final_is_where_training_stopped(results):
    agents = results["agents"]
    assert agents["rl"]["final"]["success"]["mean"] == 0.0 != agents["rl"]["success"]["mean"]
    assert agents["sft"]["final"] == {name: agents["sft"][name] for name in ("success", "return", "turns")}
    assert agents["rule"]["final"] is None


def test_the_tests_are_paired_and_adjusted(results):
    tests = {(test["first"], test["second"]): test for test in results["tests"]}
    asked = [one for one in CONTENDERS if takes_part(one, pretrained=False) and not one.on_request]
    compared = {one.name for one in asked} - {"bert"}  # no labels here
    assert set(tests) == {pair for pair in PAIRS if set(pair) <= compared}
    gain = tests["sft_rl", "sft"]
    difference = results["agents"]["sft_rl"]["success"]["mean"] - results["agents"]["sft"]["success"]["mean"]
    assert gain["difference"]["mean"] == pytest.approx(difference, abs=1e-5)
    assert (gain["first_only"] - gain["second_only"]) / NUM_GOALS == pytest.approx(difference, abs=1e-5)
    assert all(test["p_holm"] >= test["p_value"] for test in results["tests"])
    assert gain["significant"]


def gain_of(results):
    return next(test for test in results["tests"] if (test["first"], test["second"]) == ("sft_rl", "sft"))


def outcomes_of(results, name):
    return np.array([seed["per_goal"]["success"] for seed in results["agents"][name]["per_seed"]])


def test_one_training_run_each_shows_that_two_models_differ_and_no_more(results):
    gain = gain_of(results)
    assert (gain["speaks_of"], gain["verdict"], gain["runs"]) == (MODELS, DIFFER, [1, 1])
    assert gain["p_value"] == mcnemar(round(gain["first_only"]), round(gain["second_only"]))
    assert {test["verdict"] for test in results["tests"]} <= {DIFFER, NO_DIFFERENCE}


def test_several_training_runs_are_the_sample_paired_by_seed_where_one_began_from_the_other():
    results = fake_results(seeds=3)
    gain = gain_of(results)
    expected = paired_test(outcomes_of(results, "sft_rl"), outcomes_of(results, "sft"), same_start=True)
    assert (gain["speaks_of"], gain["verdict"], gain["runs"]) == (RUNS, BETTER, [3, 3])
    assert gain["p_value"] == expected.p_value
    other = next(test for test in results["tests"] if (test["first"], test["second"]) == ("sft_rl", "rl"))
    expected = paired_test(outcomes_of(results, "sft_rl"), outcomes_of(results, "rl"))
    assert other["p_value"] == expected.p_value
    assert next(test for test in results["tests"] if test["second"] == "rule")["runs"] == [3, 1]


def compared(sft, after):
    """The test of SFT→RL against SFT, whose runs succeed at these rates; a rate of None is a seed that failed."""
    rng = np.random.default_rng(1)
    records = {
        name: [fake_record(name, seed, rng, rate) for seed, rate in enumerate(rates) if rate is not None]
        for name, rates in (("sft", sft), ("sft_rl", after))
    }
    facts: dict = {name: {} for name in ("env", "goals", "settings", "provenance")}
    return gain_of(results_of(records, {}, {**facts, "task": {"floor": 0, "ceiling": 1}, "sample_goals": []}, {}))


@pytest.mark.parametrize(
    ("sft", "after", "verdict"),
    [
        ((0.5, 0.6, 0.55), (0.8, 0.9, 0.84), BETTER),
        ((0.8, 0.9, 0.84), (0.5, 0.6, 0.55), WORSE),
        ((0.5, 0.6, 0.55), (0.9, 0.65, 0.51), NOTHING_SHOWN),
        ((0.5, None, None), (0.9, None, None), DIFFER),
        ((0.5, None, None), (0.5, None, None), NO_DIFFERENCE),
    ],
)
def test_the_verdict_says_what_the_runs_can_show(sft, after, verdict):
    assert compared(sft, after)["verdict"] == verdict


def test_a_seed_that_failed_leaves_out_its_partner_and_a_single_run_left_over_is_a_model():
    assert compared((0.5, 0.6, 0.55), (0.8, None, 0.84))["runs"] == [2, 2]
    alone = compared((0.5, 0.6, 0.55), (None, 0.9, None))
    assert (alone["runs"], alone["speaks_of"]) == ([1, 1], MODELS)
    assert alone["difference"]["mean"] == pytest.approx(0.3, abs=0.1)  # against the run of the same seed


def test_pass_k_falls(results):
    values = results["agents"]["rule"]["pass_k"]
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    assert results["agents"]["rl"]["pass_k"] is None


def test_aims_carry_their_number_whether_met_or_not(results):
    aims = {(aim["agent"], aim["aim"]): aim for aim in results["aims"]}
    assert aims["sft_rl", "success above sft's, interval of the difference above 0"]["met"]
    worse = fake_results()
    assert all(math.isfinite(aim["found"]) for aim in worse["aims"])
    assert {aim["agent"] for aim in worse["aims"]} >= {
        "do_nothing",
        "random",
        "rule",
        "q_learning",
        "sb3_ppo",
        "sft_rl",
    }


def test_several_seeds_each_have_a_row():
    agents = fake_results(seeds=3)["agents"]
    assert [seed["seed"] for seed in agents["sft_rl"]["per_seed"]] == [0, 1, 2]
    assert len(agents["rule"]["per_seed"]) == 1
    means = [seed["success"]["mean"] for seed in agents["sft"]["per_seed"]]
    assert agents["sft"]["success"]["mean"] == pytest.approx(sum(means) / 3, abs=1e-5)


def test_an_arm_that_failed_is_left_out_and_said_to_be():
    results = fake_results(without=("rl",))
    check_results(results)
    assert "rl" not in results["agents"]
    assert all("rl" not in (test["first"], test["second"]) for test in results["tests"])
    results["left_out"] = {}
    with pytest.raises(ValueError, match="'rl'"):
        check_results(results)


BREAKAGES = {
    "schema must be 1": lambda r: r.update(schema=2),
    "no 'provenance'": lambda r: r.pop("provenance"),
    "no 'hash'": lambda r: r["goals"].pop("hash"),
    "agents.sft.success": lambda r: r["agents"]["sft"].update(success=0.5),
    "low <= mean": lambda r: r["agents"]["sft"]["success"].update(low=0.9, mean=0.5),
    "budget has no 'tokens'": lambda r: r["agents"]["sft"]["budget"].pop("tokens"),
    "no 'normalised'": lambda r: r["agents"]["sft"].pop("normalised"),
    "must not be empty": lambda r: r["agents"]["sft"].update(per_seed=[]),
    "must be finite": lambda r: r["agents"]["sft"]["per_seed"][0].update(fluency=math.nan),
}


@pytest.mark.parametrize("message", BREAKAGES)
def test_what_breaks_the_schema_is_refused(results, message, tmp_path):
    broken = copy.deepcopy(results)
    BREAKAGES[message](broken)
    with pytest.raises(ValueError, match=message):
        write_results(broken, tmp_path / "results.json")
    assert not list(tmp_path.iterdir())


def test_the_file_reads_back_and_is_strict_json(results, tmp_path):
    path = tmp_path / "results.json"
    write_results(results, path)
    assert read_results(path) == json.loads(json.dumps(results))
    text = path.read_text()
    assert "NaN" not in text
    assert len(text.splitlines()) < 5000  # a list of a thousand numbers is one line
