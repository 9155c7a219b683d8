"""A whole comparison, small: it trains, scores, reports, resumes, and survives failure and interruption."""

import dataclasses
import json
import os
import pathlib
import signal
import sys
import time

import gymnasium as gym
import pytest
from rich.console import Console

from dialogym.agents.files import digest_of
from dialogym.envs.speakers import SPEAKERS, FunctionSpeaker
from dialogym.evaluation.compare.arms import PRESETS, Preset, arms_of
from dialogym.evaluation.compare.run import begin, compare
from dialogym.evaluation.report.results import REQUIRED, read_results
from dialogym.rewards import Length, registry

from ...children import child
from .. import tasks

pytest.importorskip("matplotlib")
ROOT = pathlib.Path(__file__).resolve().parents[3]
MENU = ["do_nothing", "random", "rule", "q_learning"]
SMALL = Preset(
    num_goals=40,
    num_validation_goals=20,
    num_seeds=1,
    env_turns={"q_learning": 3000, "sb3_ppo": 1000, "ppo": 300},
    demonstrations=30,
    num_noise_seeds=2,
    num_noise_goals=20,
    config={
        "sft": {"epochs": 1, "hidden_size": 32, "num_layers": 1},
        "ppo": {"batch_conversations": 16, "hidden_size": 32, "num_layers": 1, "max_reply_tokens": 8, "num_reports": 2},
    },
)


def quiet():
    return Console(file=open(os.devnull, "w"))


def run(out, preset=SMALL, agents=MENU, env_id="EvaluationWords-v0", **options):
    console = quiet()
    try:
        return compare(env_id, preset, out, agents=agents, console=console, **options)
    finally:
        console.file.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A comparison of the agents that need no torch, and its folder."""
    out = tmp_path_factory.mktemp("comparison")
    return run(out), out


def test_the_presets_keep_what_a_comparison_promises():
    quick, full = PRESETS["quick"], PRESETS["full"]
    assert (quick.num_goals >= 500, quick.num_seeds) == (True, 1)
    assert (full.num_goals >= 1000, full.num_seeds) == (True, 3)
    for preset in (quick, full):
        names = {arm.name for arm in arms_of(preset, 0)}
        assert {*REQUIRED, "untrained"} <= names
        budgets = {arm.name: arm.config["env_turns"] for arm in arms_of(preset, 0) if arm.name in ("rl", "sft_rl")}
        assert budgets["rl"] == budgets["sft_rl"]
        keys = [arm.key for arm in arms_of(preset, 0)]
        assert len(set(keys)) == len(keys)


def test_several_runs_on_one_test_goal_are_refused_before_anything_is_trained(tmp_path):
    one_goal = dataclasses.replace(SMALL, num_goals=1, num_seeds=2)
    with pytest.raises(ValueError, match="training runs need at least 2 test goals, got 1 of EvaluationWords-v0"):
        run(tmp_path / "out", one_goal)
    assert not (tmp_path / "out").exists()
    results = run(tmp_path / "out", one_goal, agents=["do_nothing", "rule"])  # which are no trainings
    assert results["agents"]["rule"]["success"]["mean"] == 1.0


def test_scores_are_of_the_held_out_goals(finished):
    results, out = finished
    agents = results["agents"]
    assert list(agents) == MENU
    assert agents["rule"]["success"]["mean"] == 1.0
    assert agents["q_learning"]["success"]["mean"] > 0.9
    assert agents["do_nothing"]["success"]["mean"] == 0.0
    assert results["goals"]["split"] == "test"
    assert results["goals"]["count"] == 40
    assert set(results["left_out"]) == {*REQUIRED, "untrained"} - set(MENU)
    assert agents["q_learning"]["per_seed"][0]["learning_curve"][-1]["validation"] is not None
    assert agents["rule"]["pass_k"] == [1.0, 1.0]
    assert read_results(out / "results.json") == json.loads(json.dumps(results))


def test_the_module_that_is_asked_for_is_known_where_its_agents_play(tmp_path, monkeypatch):
    lines = ["from dialogym.rewards import register_reward", 'register_reward("curt", {"success": 2, "turn": -1})']
    (tmp_path / "curt_reward.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_REWARDS", dict(registry._REWARDS))
    options = {"agents": ["rule", "do_nothing"], "env_kwargs": {"reward": "curt"}}
    results = run(
        tmp_path / "out", dataclasses.replace(SMALL, num_goals=4), env_id="curt_reward:TextDialog-v0", **options
    )
    rule = results["agents"]["rule"]
    assert rule["return"]["mean"] == 2 * rule["success"]["mean"] - rule["turns"]["mean"]


def test_the_reports_and_the_agents_are_there(finished):
    _, out = finished
    assert "Q-learning" in (out / "report.html").read_text()
    assert "| Q-learning |" in (out / "report.md").read_text()
    assert (out / "agents" / "q_learning" / "seed-0" / "agent" / "agent.json").is_file()


def test_provenance_says_how_to_make_it_again(finished):
    provenance = finished[0]["provenance"]
    assert provenance["versions"]["gymnasium"]
    assert provenance["goal_hash"] == finished[0]["goals"]["hash"]
    assert provenance["hardware"]["cores"] >= 1
    assert provenance["seeds"] == [0]
    assert provenance["env"]["id"] == "EvaluationWords-v0"


def test_a_second_call_trains_nothing_again(finished):
    results, out = finished
    files = {path: path.stat().st_mtime_ns for path in out.rglob("arm.json")}
    again = run(out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("arm.json")} == files
    assert again["agents"] == results["agents"]


def test_only_what_is_missing_is_run(finished):
    results, out = finished
    lost = out / "agents" / "random" / "seed-0" / "arm.json"
    lost.unlink()
    fluency = out / "fluency.json"
    measured = json.loads(fluency.read_text())
    fluency.write_text(json.dumps(dict.fromkeys(measured, 999.0)))  # as of an arm that said other things
    kept = out / "agents" / "q_learning" / "seed-0" / "arm.json"
    before = kept.stat().st_mtime_ns
    again = run(out)
    assert lost.is_file()
    assert json.loads(fluency.read_text()) == measured
    assert kept.stat().st_mtime_ns == before
    assert (
        again["agents"]["random"]["per_seed"][0]["per_goal"] == results["agents"]["random"]["per_seed"][0]["per_goal"]
    )


def test_a_comparison_with_a_partner_whose_model_was_trained_anew_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(SPEAKERS, "lm", f"{__name__}:silent")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("one")
    options = {"env_kwargs": {"partner": f"lm:{model}?temperature=1"}, "preset": SMALL, "agents": MENU}
    begun = begin("TextDialog-v0", out=tmp_path / "out", **options)
    digest = {f"lm:{model}?temperature=1": digest_of(model)}
    assert begun.settings["digests"] == digest
    assert begin("TextDialog-v0", out=tmp_path / "out", **options).settings == begun.settings
    (model / "config.json").write_text("another")
    with pytest.raises(
        ValueError, match=r"other files are by now in lm:\S+/model\?temperature=1\): choose another folder"
    ):
        begin("TextDialog-v0", out=tmp_path / "out", **options)
    noted = json.loads((tmp_path / "out" / "settings.json").read_text())
    del noted["digests"]  # as an earlier version began it
    (tmp_path / "out" / "settings.json").write_text(json.dumps(noted))
    with pytest.raises(ValueError, match=r"which files were in lm:\S+ was not noted"):
        begin("TextDialog-v0", out=tmp_path / "out", **options)


def silent(who):
    """A speaker that nobody asks."""
    return FunctionSpeaker(lambda messages: "")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"env_kwargs": {"noise": 0.2}}, "env differ"),
        ({"preset": dataclasses.replace(SMALL, num_goals=41)}, "goals"),
        ({"agents": ["rule"]}, "arms differ"),
    ],
)
def test_a_folder_with_other_settings_is_refused(finished, options, named):
    _, out = finished
    before = (out / "results.json").read_text()
    with pytest.raises(ValueError, match="other settings") as error:
        run(out, **options)
    assert named in str(error.value)
    assert (out / "results.json").read_text() == before


def brief(transcript):
    """A reward of a user's."""
    return -0.1 * len(transcript.reply.split())


@pytest.mark.parametrize("reward", [{"success": 20, "turn": -1, brief: 1}, brief, Length(3, 10)])
def test_a_reward_of_ones_own_is_compared_and_written_without_its_address(tmp_path, reward):
    results = run(tmp_path, agents=["rule"], env_kwargs={"reward": reward})
    assert results["agents"]["rule"]["success"]["mean"] == 1.0
    assert " at 0x" not in (tmp_path / "settings.json").read_text() + (tmp_path / "results.json").read_text()


def test_an_environment_of_tokens_is_compared_in_the_interfaces_of_the_agents(tmp_path):
    env = gym.make("EvaluationWords-v0", interface="tokens", context_length=512)
    assert run(tmp_path, agents=["rule"], env_id=env)["agents"]["rule"]["success"]["mean"] == 1.0


def test_arms_say_by_which_code_they_were_trained(finished):
    results, out = finished
    record = json.loads((out / "agents" / "rule" / "seed-0" / "arm.json").read_text())
    assert results["provenance"]["arm_commits"] == [str(record["commit"])]
    assert record["commit"] == results["provenance"]["commit"]


def test_wrong_names_are_told_the_right_ones(tmp_path):
    with pytest.raises(ValueError, match="quick, full"):
        run(tmp_path, preset="quik")
    with pytest.raises(ValueError, match="q_learning"):
        run(tmp_path, agents=["rules"])
    assert not list(tmp_path.iterdir())


def test_an_arm_that_fails_is_shown_and_the_others_are_kept(tmp_path):
    broken = dataclasses.replace(SMALL, config={"q_learning": {"explore_until": "soon"}})
    results = run(tmp_path, broken, ["rule", "q_learning"])
    assert "TypeError" in results["left_out"]["q_learning"]
    assert results["agents"]["rule"]["success"]["mean"] == 1.0
    assert "Left out: Q-learning" in (tmp_path / "report.md").read_text()


def test_nothing_but_failures_is_an_error(tmp_path):
    broken = dataclasses.replace(SMALL, config={"q_learning": {"explore_until": "soon"}})
    with pytest.raises(RuntimeError, match="every arm failed"):
        run(tmp_path, broken, ["q_learning"])


def test_agents_that_a_task_has_no_place_for_are_left_out(tmp_path):
    class Wordless(tasks.Words):
        menu = ()
        policies = {}  # noqa: RUF012

    tasks.register_task("EvaluationWordless-v0", Wordless, max_turns=3)
    with pytest.raises(RuntimeError, match="no menu of replies"):
        run(tmp_path, SMALL, ["rule", "q_learning"], "EvaluationWordless-v0")


def test_language_models_start_from_sft_and_count_its_turns(tmp_path):
    pytest.importorskip("torch")
    results = run(tmp_path, SMALL, ["rule", "random", "sft", "sft_rl", "untrained"])
    agents = results["agents"]
    assert set(agents) == {"rule", "random", "sft", "sft_rl", "untrained"}
    sft, tuned = agents["sft"]["budget"], agents["sft_rl"]["budget"]
    assert sft["demonstrations"] == tuned["demonstrations"] == 30
    assert tuned["demonstration_turns"] == sft["env_turns"] > 0
    assert 300 <= tuned["env_turns"] < 300 + 16 * 3
    assert tuned["tokens"] > sft["tokens"] > 0
    assert agents["rule"]["fluency"] < agents["untrained"]["fluency"]
    models = results["provenance"]["models"]
    assert set(models) == {"sft", "sft_rl", "untrained"}
    assert models["sft_rl"]["parameters"] > 1000
    assert models["sft_rl"]["decoding"]["max_reply_tokens"] == 8
    assert {test["first"] for test in results["tests"]} >= {"sft_rl", "sft"}
    again = run(tmp_path, SMALL, ["rule", "random", "sft", "sft_rl", "untrained"])
    assert again["agents"]["sft_rl"] == agents["sft_rl"]


SCRIPT = """
import sys
from rich.console import Console
from dialogym.evaluation.compare.arms import Preset
from dialogym.evaluation.compare import compare
if __name__ == "__main__":
    preset = Preset(20, 10, 1, {"q_learning": int(sys.argv[2]), "sb3_ppo": 1, "ppo": 1}, 2)
    compare("TextDialog-v0", preset, sys.argv[1], agents=["rule", "q_learning"], console=Console(width=100))
"""


def start(tmp_path, env_turns):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    arguments = [sys.executable, str(script), str(tmp_path / "out"), str(env_turns)]
    return child(arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_an_interrupted_comparison_goes_on_where_it_stopped(tmp_path):
    log = tmp_path / "out" / "agents" / "q_learning" / "seed-0" / "log.jsonl"
    rule = tmp_path / "out" / "agents" / "rule" / "seed-0" / "arm.json"
    deadline = time.monotonic() + 180
    with start(tmp_path, 40_000) as process:
        while not (rule.is_file() and log.is_file() and log.read_text().count("\n") >= 2):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=180)
    assert process.returncode != 0
    assert "goes on from" in output
    assert not (tmp_path / "out" / "results.json").exists()
    finished, written = rule.stat().st_mtime_ns, log.read_text()

    with start(tmp_path, 40_000) as process:
        output, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert "rule/seed-0: finished before" in output
    assert rule.stat().st_mtime_ns == finished
    assert log.read_text().startswith(written)
    curve = read_results(tmp_path / "out" / "results.json")["agents"]["q_learning"]["per_seed"][0]["learning_curve"]
    turns = [row["env_turns"] for row in curve]
    assert turns == sorted(set(turns))
    assert len(turns) == 20
    assert turns[-1] >= 40_000


def test_the_environment_may_be_given_made(tmp_path):
    env = gym.make("EvaluationWords-v0", noise=0.5)
    results = run(tmp_path, SMALL, ["rule"], env)
    assert results["env"]["kwargs"]["noise"] == 0.5
    assert 0.2 < results["agents"]["rule"]["success"]["mean"] < 0.9


@pytest.mark.parametrize(
    "around", [lambda env: gym.wrappers.TimeLimit(env, 1), lambda env: gym.wrappers.ClipReward(env, 0, 0)]
)
def test_what_would_not_come_along_to_other_processes_is_refused(tmp_path, around):
    with pytest.raises(ValueError, match=r"a comparison .* would leave out (TimeLimit|ClipReward)\(.*max_turns="):
        run(tmp_path, SMALL, ["rule"], around(gym.make("EvaluationWords-v0")))
    with pytest.raises(ValueError, match=r"would leave out TimeLimit\(max_episode_steps=2\)"):
        run(tmp_path, SMALL, ["rule"], env_kwargs={"max_episode_steps": 2})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"split": "validation"},
            "split cannot be set here: agents learn from train goals, .*, got split='validation'",
        ),
        ({"interface": "text"}, "interface cannot be set here: every agent plays in its own way, got interface='text'"),
    ],
)
def test_what_training_and_scoring_settle_is_refused_as_an_option(tmp_path, option, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, SMALL, ["rule"], env_kwargs=option)
    assert not any(tmp_path.iterdir())
