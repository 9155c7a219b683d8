"""Environments × agents: each compared by itself, gathered in one table that says what came after SFT."""

import dataclasses
import io
import json
import os
import re
import shutil

import gymnasium as gym
import pytest
from rich.console import Console

from dialogym.envs import shipped_ids
from dialogym.evaluation import suite
from dialogym.evaluation.compare.arms import Preset
from dialogym.evaluation.compare.small import LOOK, SIZES, quick_look, small_preset
from dialogym.evaluation.report.results import BETTER, DIFFER, NO_DIFFERENCE, NOTHING_SHOWN, WORSE
from dialogym.evaluation.statistics import MODELS, RUNS
from dialogym.evaluation.suite import compare_suite, correct_over_environments, markdown, rl_after_sft, table, verdicts
from dialogym.rewards import registry

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
    assert row["rl_after_sft"]["verdict"] in (DIFFER, NO_DIFFERENCE)


def test_files_and_picture_are_left_beside_the_report_of_each_environment(finished):
    results, out = finished
    assert json.loads((out / "suite.json").read_text()) == results
    assert (out / "suite.png").read_bytes().startswith(b"\x89PNG")
    assert "| EvaluationWords-v0 | 30 | 1 | " in (out / "suite.md").read_text()
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


def test_an_environment_of_ones_own_is_named_with_its_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_suite_task.py").write_text(
        f"from dialogym.envs import register_task\nfrom {tasks.__name__} import Words\n"
        "register_task('OwnSuite-v0', Words, max_turns=3)\n"
    )
    try:
        asked = ["own_suite_task:OwnSuite-v0", "OwnSuite-v0", "dialogym:TextWordle-v0"]
        assert suite._registered(asked) == {"OwnSuite-v0": asked[0], "TextWordle-v0": asked[2]}
    finally:
        gym.registry.pop("OwnSuite-v0", None)
    with pytest.raises(ValueError, match=r"no environment Other-v0 is registered; .*one of yours is MODULE:NAME"):
        suite._registered(["own_suite_task:Other-v0"])


def test_what_a_module_registers_beside_its_environment_is_known_where_its_agents_play(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_REWARDS", dict(registry._REWARDS))
    (tmp_path / "terse_task.py").write_text(
        f"from dialogym.envs import register_task\nfrom dialogym.rewards import register_reward\n"
        f"from {tasks.__name__} import Words\nregister_reward('terse', {{'success': 2, 'turn': -1}})\n"
        "register_task('Terse-v0', Words, max_turns=3, reward='terse')\n"
    )
    few = dataclasses.replace(SMALL, num_goals=4)
    try:
        with open(os.devnull, "w") as nowhere:
            found = compare_suite(
                tmp_path, ["terse_task:Terse-v0"], preset=few, only=["rule"], console=Console(file=nowhere)
            )
    finally:
        gym.registry.pop("Terse-v0", None)
    assert not found["left_out"]
    rule = found["environments"]["Terse-v0"]["agents"]["rule"]
    assert (rule["success"]["mean"], rule["return"]["mean"]) == (1.0, 1.0)


def test_rows_of_environments_in_a_namespace_stay_in_the_table_of_a_later_call(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "_outdated", lambda results: None)
    monkeypatch.setattr(suite, "_row", lambda results: results["env"]["id"])
    for folder in ("mine/Words-v0", "mine/Words-v0/rescored", "mine/rescored", "Words-v0", "Words-v0/rescored"):
        results = {"env": {"id": folder.removesuffix("/rescored")}, "settings": {"seed": 0, "preset": "", "arms": {}}}
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "results.json").write_text(json.dumps(results))
    monkeypatch.setattr(suite, "read_results", lambda path: json.loads(path.read_text()))
    rows, old = suite._earlier_rows(tmp_path, 0, dataclasses.replace(SMALL, name=""), set())
    assert (sorted(rows), old) == (["Words-v0", "mine/Words-v0"], {})


def verdict_of(verdict, mean, p=None):
    p = (0.5 if verdict in (NOTHING_SHOWN, NO_DIFFERENCE) else 0.001) if p is None else p
    interval = {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}
    speaks_of = MODELS if verdict in (DIFFER, NO_DIFFERENCE) else RUNS
    test = {"difference": interval, "return_difference": interval, "p_value": p, "return_p_value": p}
    test["speaks_of"] = speaks_of
    return rl_after_sft(test)


@pytest.mark.parametrize(
    ("of_the_test", "said"),
    [
        (BETTER, "adds"),
        (WORSE, "harms"),
        (NOTHING_SHOWN, "nothing shown"),
        (DIFFER, "these two models differ"),
        (NO_DIFFERENCE, "no difference shown"),
    ],
)
def test_only_several_training_runs_say_what_rl_adds(of_the_test, said):
    mean = -0.2 if of_the_test == WORSE else 0.2
    assert verdict_of(of_the_test, mean)["verdict"] == said


def written(**rows):
    row = {"goals": 200, "runs": 3, "agents": {}, "left_out": {}}
    environments = {f"{name}-v0": {**row, "rl_after_sft": rl} for name, rl in rows.items()}
    return markdown({"environments": environments, "left_out": {"Z-v0": "needs the data of nobody"}})


def test_harm_is_written_in_the_table():
    text = written(A=verdict_of(WORSE, -0.2))
    assert "harms: -0.20 [-0.30, -0.10], p = 0.001" in text
    assert "SFT→RL against SFT: 1 × harms (Student's t over training runs" in text
    assert "Z-v0 was left out: needs the data of nobody" in text


def test_the_table_of_a_terminal_is_cut_off_nowhere():
    names = ("do_nothing", "random", "zero_shot", "lora_sft", "lora_rl", "lora_sft_rl", "q_learning", "bert", "rule")
    agents = {name: {"success": {"mean": 0.5}, "normalised": -0.25} for name in names}
    row = {"goals": 200, "runs": 10, "agents": agents, "rl_after_sft": verdict_of(BETTER, 0.2, 0.01)}
    results = {"environments": {"TextTwentyQuestions-v0": row}, "left_out": {}}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(results))
    text = console.export_text()
    assert "…" not in text
    assert text.count("-0.25") == len(names) - 3  # without the agents that success is normalised by
    assert verdicts(results) == [
        "TextTwentyQuestions-v0: RL after SFT, adds: +0.20 [+0.10, +0.30], p = 0.01; in return "
        "adds: +0.20 [+0.10, +0.30], p = 0.01"
    ]


def test_what_the_return_gained_stands_beside_the_success():
    rl = verdict_of(NOTHING_SHOWN, 0.0, 1.0)
    rl["in_return"] = verdict_of(BETTER, 0.2, 0.01)["in_return"]
    text = written(A=rl)
    assert "| RL after SFT: success | RL after SFT: return |" in text
    assert text.count("| nothing shown: +0.00 [-0.10, +0.10], p = 1 | adds: +0.20 [+0.10, +0.30], p = 0.01 |") == 1
    assert text.count("a family of tests of their own: 1 × adds (the same test; Holm") == 1


def test_the_table_counts_what_single_runs_and_what_several_show_apart():
    text = written(A=verdict_of(DIFFER, 0.2), B=verdict_of(NO_DIFFERENCE, 0.0, 1.0), C=verdict_of(BETTER, 0.3))
    assert "1 × these two models differ, 1 × no difference shown (one training run of each, so this speaks of" in text
    assert "1 × adds (Student's t" in text
    assert "× adds" not in written(A=verdict_of(DIFFER, 0.2))


def test_a_gain_at_the_price_of_the_words_is_told():
    for perplexity, told in (([2.0, 54.0], True), ([2.0, 2.3], False), ([None, 5.0], False)):
        text = written(A={**verdict_of(DIFFER, 0.2), "perplexity": perplexity})
        assert ("the words drift, perplexity 2.0 to 54.0" in text) == told


def test_what_it_took_to_come_near_the_ceiling_stands_in_the_table():
    share = {
        "share": 0.5,
        "success": 0.48,
        "reached": 2,
        "runs": 3,
        "tokens": None,
        "seconds": None,
        "gpu_joules": None,
    }
    share["env_turns"] = {"median": 1200, "beyond": 4000, "each": [[1000, True], [1200, True], [4000, False]]}
    shown = {"success": {"mean": 0.5}, "normalised": 0.5}
    row = {"goals": 9, "runs": 3, "left_out": {}, "rl_after_sft": None}
    row["agents"] = {"random": shown, "q_learning": {**shown, "sample_efficiency": [share]}}
    text = markdown({"environments": {"a/b-v0": row}, "left_out": {}})
    assert "| environment | agent | of the ceiling | turns |" in text
    assert r"| a/b-v0 | q\_learning | 0.5 (success 0.48) | 1 200 (2 of 3) |" in text.replace(
        "\N{NARROW NO-BREAK SPACE}", " "
    )
    assert "What it took" not in written(A=verdict_of(BETTER, 0.3))


def test_no_difference_is_minus_nothing_and_no_p_value_is_0():
    rl = verdict_of(BETTER, 0.0, 1e-9)
    rl["difference"] = {"mean": -0.001, "low": -0.004, "high": 0.003}
    assert ": +0.00 [+0.00, +0.00], p < 0.0001 |" in written(A=rl)


def test_a_run_that_failed_is_told_and_not_counted():
    rows = {"A-v0": {"goals": 5, "runs": 2, "agents": {}, "rl_after_sft": None}}
    rows["A-v0"]["left_out"] = {"rl": "not asked for", "sft_rl/seed-2": "the loss is NaN"}
    text = markdown({"environments": rows, "left_out": {}})
    assert "- A-v0: sft_rl/seed-2 was left out: the loss is NaN" in text
    assert "not asked for" not in text


def test_the_suite_is_every_environment_of_the_package_under_equal_terms():
    assert set(SIZES) == set(shipped_ids())
    assert "EvaluationWords-v0" not in shipped_ids()
    assert {small_preset(env_id).num_goals for env_id in shipped_ids()} == {200}
    assert small_preset("dialogym:TextWordle-v0") == small_preset("TextWordle-v0") != small_preset("TextDialog-v0")


def test_a_look_has_an_eighth_of_the_training_and_the_same_model():
    for env_id in [*shipped_ids(), "EvaluationWords-v0"]:
        whole, look = small_preset(env_id, 2), quick_look(env_id, 2)
        assert look.name == LOOK != whole.name
        assert look.demonstrations == whole.demonstrations // 8 > 0
        assert look.labels == whole.labels // 8
        assert look.env_turns == {agent: turns // 8 for agent, turns in whole.env_turns.items()}
        assert look.num_goals <= whole.num_goals / 5
        assert (look.config, look.num_seeds) == (whole.config, 2)


def test_a_look_says_so_wherever_it_is_read_and_its_rows_never_stand_beside_those_of_a_suite(tmp_path):
    ids, out = ["EvaluationWords-v0"], tmp_path / "out"

    def suite(name, env_ids):
        preset = dataclasses.replace(SMALL, num_goals=6, num_validation_goals=2, name=name)
        with (tmp_path / f"{name}.log").open("w") as log:
            console = Console(file=log, width=200)
            results = compare_suite(out, env_ids, 1, preset=preset, console=console, only=["do_nothing"])
        return results, (out / "suite.md").read_text(), (tmp_path / f"{name}.log").read_text()

    results, text, told = suite(LOOK, ids)
    assert results["preset"] == json.loads((out / "suite.json").read_text())["preset"] == "quick look"
    assert text.startswith("# Environments × agents: a quick look\n\n**A quick look**: a small share")
    assert "Environments × agents: a quick look" in told
    assert "Preset “quick look”" in (out / ids[0] / "report.md").read_text()
    shutil.move(out / ids[0], out / "Other-v0")  # as if the look had been at another environment
    results, text, told = suite("suite", ids)
    assert set(results["environments"]) == set(ids)
    assert "quick look" not in (text + told).lower()


def test_the_question_of_every_environment_is_judged_by_holm_over_all_of_them():
    alone = [verdict_of(BETTER, 0.2, 0.02), verdict_of(BETTER, 0.2, 0.001), verdict_of(NOTHING_SHOWN, 0.2, 0.04)]
    assert [one["verdict"] for one in alone] == ["adds", "adds", "adds"]
    correct_over_environments(alone)
    assert [one["p"] for one in alone] == pytest.approx([0.04, 0.003, 0.04])
    more = [dict(one) for one in alone] + [verdict_of(NOTHING_SHOWN, 0.1, 0.5)]
    correct_over_environments(more)
    assert [one["verdict"] for one in more] == ["nothing shown", "adds", "nothing shown", "nothing shown"]
    assert [one["p"] for one in more] == pytest.approx([0.06, 0.004, 0.08, 0.5])


def test_success_and_return_are_two_families():
    found = [verdict_of(NOTHING_SHOWN, 0.0, p) for p in (0.5, 0.6)]
    found[0]["in_return"] = verdict_of(BETTER, 0.2, 0.02)["in_return"]
    correct_over_environments(found)
    assert [one["p"] for one in found] == [1.0, 1.0]
    assert [one["in_return"]["p"] for one in found] == pytest.approx([0.04, 0.6])
    assert [one["in_return"]["verdict"] for one in found] == ["adds", "nothing shown"]


def test_training_seeds_can_be_added_later(finished, tmp_path):
    copy = tmp_path / "suite"
    shutil.copytree(finished[1], copy)
    ids, two = ["EvaluationWords-v0"], dataclasses.replace(SMALL, num_seeds=2)
    with (tmp_path / "log").open("w") as log:
        results = compare_suite(copy, ids, jobs=2, preset=two, console=Console(file=log, width=200))
    told = (tmp_path / "log").read_text()
    assert "sft_rl/seed-0: finished before" in told
    assert "✓ sft_rl/seed-1" in told
    assert results["environments"]["EvaluationWords-v0"]["rl_after_sft"]["speaks_of"] == RUNS
    with pytest.raises(ValueError, match="other settings"):
        compare_suite(copy, ids, preset=dataclasses.replace(two, num_goals=20))


def test_another_algorithm_can_be_put_beside_ppo_later(finished, tmp_path):
    results, out = finished
    assert "sft_grpo" not in markdown(results)  # nobody asked for it
    copy, ids = tmp_path / "suite", ["EvaluationWords-v0"]
    shutil.copytree(out, copy)
    small = {"batch_conversations": 8, "group_size": 4, "num_reports": 1}
    preset = dataclasses.replace(SMALL, config={**SMALL.config, "grpo": small})
    with (tmp_path / "log").open("w") as log:
        results = compare_suite(copy, ids, jobs=1, preset=preset, console=Console(file=log, width=200), also=["grpo"])
    told = (tmp_path / "log").read_text()
    assert "sft_rl/seed-0: finished before" in told
    assert "✓ sft_grpo/seed-0" in told
    row = results["environments"]["EvaluationWords-v0"]
    turns = {name: row["agents"][name]["env_turns"] for name in ("sft", "sft_rl", "sft_grpo")}
    assert turns["sft_grpo"] - turns["sft"] >= 120
    assert "| sft_grpo |" in markdown(results)
    tests = json.loads((copy / ids[0] / "results.json").read_text())["tests"]
    pairs = {(test["first"], test["second"]) for test in tests}
    assert {("sft_grpo", "sft"), ("sft_grpo", "sft_rl")} <= pairs
    assert "SFT → GRPO" in (copy / ids[0] / "report.md").read_text()


def test_earlier_rows_of_another_version_are_left_out_and_told(tmp_path):
    quick = dataclasses.replace(SMALL, num_goals=6, num_validation_goals=2)
    out = tmp_path / "out"

    def suite():
        with (tmp_path / "log").open("a") as log:
            console = Console(file=log, width=300)
            return compare_suite(out, ["EvaluationWords-v0"], 1, preset=quick, console=console, only=["do_nothing"])

    first = suite()["environments"]["EvaluationWords-v0"]
    assert first["grading"]["task"] == {"name": "Words", "version": 1}
    shutil.copytree(out / "EvaluationWords-v0", out / "Other-v0")  # as an earlier call left another environment
    assert set(suite()["environments"]) == {"EvaluationWords-v0", "Other-v0"}
    path = out / "Other-v0" / "results.json"
    kept = path.read_text()
    for old, why in [
        (lambda settings: settings["grading"]["task"].update(version=0), "version 0; .*; now it is .*version 1"),
        (lambda settings: settings.pop("grading"), "a version that is not known"),
    ]:
        results = json.loads(kept)
        old(results["settings"])
        path.write_text(json.dumps(results))
        found = suite()
        assert set(found["environments"]) == {"EvaluationWords-v0"}
        assert re.search(why, found["left_out"]["Other-v0"])
        assert "Other-v0 was left out: an earlier call" in (out / "suite.md").read_text()
    assert "Other-v0 is left out: an earlier call" in (tmp_path / "log").read_text()


def test_rows_of_different_versions_of_the_package_are_told():
    row = {"goals": 200, "runs": 1, "agents": {}, "rl_after_sft": None, "left_out": {}}
    rows = {"A-v0": {**row, "version": "0.1.0"}, "B-v0": {**row, "version": "0.2.0"}}
    assert "versions of dialogym (0.1.0: A-v0; 0.2.0: B-v0)" in markdown({"environments": rows, "left_out": {}})


def test_supervised_agents_that_were_still_learning_are_told():
    row = {"goals": 200, "runs": 1, "agents": {}, "rl_after_sft": None, "left_out": {}}
    rows = {"A-v0": row, "B-v0": {**row, "cut_short": ["SFT was still learning when it ended"]}}
    assert "- B-v0: SFT was still learning when it ended.\n" in markdown({"environments": rows, "left_out": {}})
