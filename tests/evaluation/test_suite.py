"""Environments × agents: each compared by itself, gathered in one table that says what RL adds."""

import dataclasses
import json
import os

import pytest
from rich.console import Console

from dialogym.envs import shipped_ids
from dialogym.evaluation.compare.arms import Preset
from dialogym.evaluation.suite import compare_suite, markdown, rl_adds, suite_preset

from . import tasks

pytest.importorskip("matplotlib")
transformers = pytest.importorskip("transformers")
SMALL = Preset(
    num_goals=30,
    num_validation_goals=10,
    num_seeds=1,
    env_turns={"q_learning": 2000, "sb3_ppo": 0, "ppo": 120},
    demonstrations=20,
    config={
        "sft": {"epochs": 1, "hidden_size": 32, "num_layers": 1},
        "ppo": {"batch_conversations": 8, "hidden_size": 32, "num_layers": 1, "num_reports": 1},
    },
)


class Fails(tasks.Words):
    """A task that can be learned but not tested."""

    def partner(self, goal, streams, split):
        if split == "test":
            raise RuntimeError("the oven is cold")
        return super().partner(goal, streams, split)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("suite")
    with open(os.devnull, "w") as nowhere:
        results = compare_suite(out, ["EvaluationWords-v0"], jobs=2, preset=SMALL, console=Console(file=nowhere))
    return results, out


def test_every_agent_that_has_a_place_is_in_the_row(finished):
    row = finished[0]["environments"]["EvaluationWords-v0"]
    assert set(row["agents"]) == {"do_nothing", "random", "rule", "q_learning", "sft", "sft_rl"}
    assert row["agents"]["rule"]["normalised"] == 1.0
    assert row["agents"]["do_nothing"]["success"]["mean"] == 0.0
    assert row["rl_adds"]["verdict"] in ("adds", "nothing shown", "harms")


def test_files_and_picture_are_left_beside_the_report_of_each_environment(finished):
    results, out = finished
    assert json.loads((out / "suite.json").read_text()) == results
    assert (out / "suite.png").read_bytes().startswith(b"\x89PNG")
    assert "| EvaluationWords-v0 | " in (out / "suite.md").read_text()
    assert (out / "EvaluationWords-v0" / "report.html").is_file()


def test_the_model_speaks_with_a_vocabulary_fitted_to_the_environment(finished):
    folder = finished[1] / "EvaluationWords-v0" / "agents" / "sft_rl" / "seed-0" / "agent"
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    assert len(tokenizer("word17", add_special_tokens=False)["input_ids"]) <= 3


def test_environments_run_side_by_side_and_one_that_fails_costs_no_other(tmp_path):
    preset = dataclasses.replace(SMALL, config={"sft": {"tokenizer": str(tmp_path / "missing")}})
    ids = ["EvaluationWords-v0", "EvaluationFails-v0"]
    tasks.register_task("EvaluationFails-v0", Fails, max_turns=3)
    with (tmp_path / "log").open("w") as log:
        results = compare_suite(tmp_path / "out", ids, jobs=2, preset=preset, console=Console(file=log, width=200))
    assert set(results["environments"]) == {"EvaluationWords-v0"}
    agents = results["environments"]["EvaluationWords-v0"]["agents"]
    assert set(agents) == {"do_nothing", "random", "rule", "q_learning"}
    assert results["left_out"]["EvaluationFails-v0"].startswith("every arm failed:")
    assert "the oven is cold" in results["left_out"]["EvaluationFails-v0"]
    told = (tmp_path / "log").read_text()
    assert "✓ EvaluationWords-v0 rule/seed-0" in told
    assert "✗ EvaluationFails-v0 rule/seed-0" in told


def test_an_unknown_environment_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match=r"no environment TextDialogue-v0 is registered; .*TextDialog-v0"):
        compare_suite(tmp_path, ["EvaluationWords-v0", "TextDialogue-v0"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("difference", "p", "verdict"),
    [(0.2, 0.001, "adds"), (-0.2, 0.001, "harms"), (0.2, 0.3, "nothing shown"), (-0.01, 1.0, "nothing shown")],
)
def test_the_verdict_is_that_of_the_paired_test(difference, p, verdict):
    interval = {"mean": difference, "low": difference - 0.1, "high": difference + 0.1}
    assert rl_adds({"difference": interval, "return_difference": interval, "p_holm": p})["verdict"] == verdict


def test_harm_is_written_in_the_table():
    interval = {"mean": -0.2, "low": -0.3, "high": -0.1}
    rl = rl_adds({"difference": interval, "return_difference": interval, "p_holm": 0.001})
    results = {
        "environments": {"A-v0": {"goals": 200, "agents": {}, "rl_adds": rl, "left_out": {}}},
        "left_out": {"B-v0": "needs the data of nobody"},
    }
    text = markdown(results)
    assert "harms: -0.20 [-0.30, -0.10], p = 0.001" in text
    assert "1 × harms" in text
    assert "B-v0 was left out: needs the data of nobody" in text


def test_a_gain_at_the_price_of_the_words_is_told():
    interval = {"mean": 0.2, "low": 0.1, "high": 0.3}
    rl = rl_adds({"difference": interval, "return_difference": interval, "p_holm": 0.001})
    for perplexity, told in (([2.0, 54.0], True), ([2.0, 2.3], False), ([None, 5.0], False)):
        row = {"goals": 200, "agents": {}, "rl_adds": {**rl, "perplexity": perplexity}, "left_out": {}}
        text = markdown({"environments": {"A-v0": row}, "left_out": {}})
        assert ("the words drift, perplexity 2.0 to 54.0" in text) == told


def test_the_suite_is_every_environment_of_the_package_under_equal_terms():
    assert {"TextDialog-v0", "TextClassification-v0"} <= set(shipped_ids())
    assert "EvaluationWords-v0" not in shipped_ids()
    assert suite_preset().num_goals >= 200
    assert suite_preset(140).demonstrations == 140
