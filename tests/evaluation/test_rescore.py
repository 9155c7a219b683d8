"""Conversations are kept whole, and graded again without being played."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from dialogym.agents.registry import make_agent
from dialogym.cli import app
from dialogym.envs import remake
from dialogym.evaluation.compare.arms import Preset
from dialogym.evaluation.compare.conversations import (
    CONVERSATIONS_FILE,
    read_conversations,
    transcripts_of,
    write_conversations,
)
from dialogym.evaluation.compare.run import compare
from dialogym.evaluation.grading import grading
from dialogym.evaluation.replay import replay
from dialogym.evaluation.rescore import rescore, returns_of
from dialogym.evaluation.score import frozen_goals, score, task_of
from dialogym.rewards import Reward, resolve

from . import tasks

FLOORS = Preset(
    num_goals=12, num_validation_goals=4, num_seeds=1, env_turns={"q_learning": 1, "sb3_ppo": 1, "ppo": 1},
    demonstrations=1,
)  # fmt: skip


class Remembers(Reward):
    """Keeps a copy of all that it was told."""

    name = "remembers"

    def __init__(self):
        self.seen = []

    def __call__(self, transcript):
        self.seen.append(facts(transcript))
        return 0.0


def facts(transcript):
    names = ("turn", "max_turns", "ended", "success", "parts_done", "parts_done_now", "num_parts", "references")
    told = {name: getattr(transcript, name) for name in names}
    return {**told, "goal": dict(transcript.goal), "said": transcript.messages, "heard": transcript.spoken_messages}


@pytest.mark.parametrize("agent", ["rule", "random"])
def test_a_reward_is_told_the_same_of_a_kept_conversation_as_when_it_was_played(tmp_path, agent):
    remembers = Remembers()
    env = gym.make("dialogym:TextDialog-v0", reward=remembers, noise=0.3)
    goals = frozen_goals(env, "test", 5).goals
    scores = score(make_agent(agent, env, seed=1), env, goals, batch_size=1)
    task = task_of(env)
    write_conversations(tmp_path / "c.jsonl", scores, goals, env.unwrapped.max_turns, task.num_parts)
    played = read_conversations(tmp_path / "c.jsonl")
    assert played.goals == goals
    assert any(kept.spoken for kept in played.kept)  # placeholders are heard filled
    again = [
        facts(transcript)
        for (goal_id, _), kept in zip(played.goals, played.kept, strict=True)
        for transcript in transcripts_of(
            kept, task.goal(goal_id), task.references(task.goal(goal_id)), played.max_turns, played.num_parts
        )
    ]
    assert again == remembers.seen


@pytest.mark.parametrize("reward", ["bounded", "tcbot", {"sparse": 2.0, "bounded": -0.5}])
def test_the_same_reward_comes_to_the_very_same_returns(tmp_path, reward):
    env = gym.make("dialogym:TextDialog-v0", reward=reward)
    goals = frozen_goals(env, "test", 6).goals
    scores = score(make_agent("rule", env, seed=0), env, goals)
    task = task_of(env)
    write_conversations(tmp_path / "c.jsonl", scores, goals, env.unwrapped.max_turns, task.num_parts)
    returns = returns_of(read_conversations(tmp_path / "c.jsonl"), task, resolve(reward))
    assert returns == scores.returns.tolist()
    assert len(set(returns)) > 1


@pytest.mark.parametrize(("env_id", "extra"), [("TextNegotiation-v0", None), ("TextChat-v0", "chitchat_dataset")])
def test_rewards_that_read_what_the_conversation_filled_into_its_goal_come_to_the_same(tmp_path, env_id, extra):
    if extra is not None:
        pytest.importorskip(extra)
    env = gym.make(f"dialogym:{env_id}")  # "price" of the deal, and what was "expected" in each turn
    goals = frozen_goals(env, "test", 8).goals
    scores = score(make_agent("rule", env, seed=0), env, goals)
    task, core = task_of(env), env.unwrapped
    write_conversations(tmp_path / "c.jsonl", scores, goals, core.max_turns, task.num_parts)
    returns = returns_of(read_conversations(tmp_path / "c.jsonl"), task, core.reward)
    assert returns == scores.returns.tolist()
    assert max(returns) > 0


# A whole comparison


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    pytest.importorskip("matplotlib")
    out = tmp_path_factory.mktemp("compared") / "c"
    with open(os.devnull, "w") as nowhere:
        names = ["do_nothing", "random", "rule"]
        results = compare("EvaluationWords-v0", FLOORS, out, 1, agents=names, console=Console(file=nowhere))
    return out, results


def test_a_comparison_is_graded_by_another_reward_without_playing(compared, tmp_path):
    folder, before = compared
    after = rescore(folder, {"sparse": 3.0}, tmp_path / "new")
    for name, agent in after["agents"].items():
        assert agent["success"] == before["agents"][name]["success"]
        assert agent["turns"] == before["agents"][name]["turns"]
        assert agent["return"]["mean"] == pytest.approx(3 * agent["success"]["mean"], abs=1e-5)  # 3 for a success
    assert after["agents"]["rule"]["return"]["mean"] == 3.0 != before["agents"]["rule"]["return"]["mean"]
    assert json.loads((tmp_path / "new" / "results.json").read_text()) == after
    report = (tmp_path / "new" / "report.md").read_text()
    assert f"version {after['settings']['grading']['reward']['version']}" in report
    assert before["settings"]["grading"]["reward"]["version"] in report  # what it was graded by before
    assert "a reward that the agents did not learn from" in report


def test_graded_by_its_own_reward_a_comparison_is_as_it_was(compared, tmp_path):
    folder, before = compared
    after = rescore(folder, "bounded", tmp_path / "same")
    assert after["settings"]["grading"] == before["settings"]["grading"]
    assert after["agents"] == before["agents"]
    assert after["tests"] == before["tests"]


def test_the_command_takes_a_name_or_json_and_writes_beside_the_comparison(compared):
    folder, _ = compared
    done = CliRunner().invoke(app, ["rescore", str(folder), "--reward", '{"sparse": 2}'])
    assert done.exit_code == 0, done.output
    version = grading(tasks.Words(), resolve({"sparse": 2}))["reward"]["version"]
    assert f"version {version}" in done.output.replace("\n", " ")
    assert (folder / "rescored" / "report.html").is_file()
    for wrong, message in [("{", "JSON of names and weights"), ("nothing", "nothing")]:
        done = CliRunner().invoke(app, ["rescore", str(folder), "--reward", wrong])
        assert done.exit_code != 0
        assert message in str(done.exception)


def test_the_command_imports_the_module_of_a_reward_and_of_an_environment_of_ones_own(compared, tmp_path, monkeypatch):
    folder, _ = compared
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_rescore_reward.py").write_text(
        "from dialogym.rewards import register_reward\nregister_reward('own_rescore', {'sparse': 4})\n"
    )
    ask = ["rescore", str(folder), "--reward", "own_rescore", "--out", str(tmp_path / "new")]
    assert "as --env MODULE:NAME does" in str(CliRunner().invoke(app, ask).exception)
    done = CliRunner().invoke(app, [*ask, "--env", "own_rescore_reward:Other-v0"])
    assert "compares in EvaluationWords-v0, got own_rescore_reward:Other-v0" in str(done.exception)
    done = CliRunner().invoke(app, [*ask, "--env", "own_rescore_reward:EvaluationWords-v0"])
    assert done.exit_code == 0, done.output
    monkeypatch.delitem(gym.registry, "EvaluationWords-v0")
    with pytest.raises(ValueError, match="as --env MODULE:EvaluationWords-v0 does on the command line"):
        rescore(folder, "sparse", tmp_path / "newer")


def without_filled(folder):
    """Takes out of a comparison what an earlier version did not keep."""
    for path in folder.rglob(CONVERSATIONS_FILE):
        header, *rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows = [{name: value for name, value in row.items() if name != "filled"} for row in rows]
        path.write_text("".join(json.dumps(line) + "\n" for line in (header, *rows)))


def test_conversations_that_filled_in_their_goals_are_graded_as_played_or_refused(tmp_path):
    with open(os.devnull, "w") as nowhere:
        names = ["do_nothing", "random", "rule"]
        before = compare("TextNegotiation-v0", FLOORS, tmp_path, 1, agents=names, console=Console(file=nowhere))
    after = rescore(tmp_path, "surplus")
    assert after["agents"] == before["agents"]
    assert after["agents"]["rule"]["return"]["mean"] > 0
    without_filled(tmp_path)
    with pytest.raises(ValueError, match=r"TextNegotiation fill something into their goals .* delete the arm\.json"):
        rescore(tmp_path, "surplus")


def test_conversations_of_before_are_graded_where_they_fill_in_nothing(compared, tmp_path):
    folder, before = compared
    old = shutil.copytree(folder, tmp_path / "old")
    without_filled(old)
    assert rescore(old, "bounded")["agents"] == before["agents"]


def test_folders_that_cannot_be_graded_again_say_why(compared, tmp_path, monkeypatch):
    folder, _ = compared
    with pytest.raises(FileNotFoundError, match=r"holds no results.json"):
        rescore(tmp_path, "sparse")
    with pytest.raises(ValueError, match="holds a comparison: choose another"):
        rescore(folder, "sparse", folder)
    monkeypatch.setattr(tasks.Words, "content", lambda self, goal: f"new {goal}")
    with pytest.raises(ValueError, match=r"the goals of .* are others by now"):
        rescore(folder, "sparse", tmp_path / "out")
    monkeypatch.undo()
    kept = folder / "agents" / "rule" / "seed-0" / CONVERSATIONS_FILE
    text = kept.read_text()
    try:
        for content, message in [
            (text.replace('"schema": 1', '"schema": 2'), "schema must be 1, got 2"),
            (text + "{}\n", "line 14: not a conversation"),
            ("", "line 1: not a conversation"),
        ]:
            kept.write_text(content)
            with pytest.raises(ValueError, match=message):
                rescore(folder, "sparse", tmp_path / "out")
        kept.unlink()
        with pytest.raises(FileNotFoundError, match="before conversations were kept whole"):
            rescore(folder, "sparse", tmp_path / "out")
    finally:
        kept.write_text(text)
    assert not (tmp_path / "out").exists()


# Success judged anew


@pytest.mark.parametrize(("env_id", "agent"), [
    ("TextDialog-v0", "rule"), ("TextDialog-v0", "random"), ("TextNegotiation-v0", "random"), ("TextWordle-v0", "rule"),
    ("TextChat-v0", "random"), ("TextArithmetic-v0", "rule"),
])  # fmt: skip
def test_what_was_said_comes_to_the_same_when_it_is_said_again(tmp_path, env_id, agent):
    env = gym.make(f"dialogym:{env_id}", **({"noise": 0.3} if env_id == "TextDialog-v0" else {}))
    goals = frozen_goals(env, "test", 8).goals
    scores = score(make_agent(agent, env, seed=1), env, goals)
    write_conversations(tmp_path / "c.jsonl", scores, goals, env.unwrapped.max_turns, task_of(env).num_parts)
    played = read_conversations(tmp_path / "c.jsonl")
    verdicts = replay(played, remake(env, interface="text", split="test"), 2)
    assert verdicts.unjudged == {}
    assert verdicts.success == scores.success.astype(int).tolist()
    assert verdicts.returns == pytest.approx(scores.returns.tolist())
    assert verdicts.turns == scores.turns.tolist()
    assert verdicts.conversations == scores.conversations[:2]


def strict(self, utterance):
    """Success on the first try alone; the conversation goes as it went."""
    self.asked += 1
    right = utterance.strip() == tasks.after(self.word)
    self.success = right and self.asked == 1 and self.word in tasks.WORDS[:20]
    self.over = right or self.asked == 3
    return [] if self.over else [("user", "no , again .")]


def test_success_is_judged_anew_by_a_mended_grader_and_the_report_says_so(compared, tmp_path, monkeypatch):
    folder, before = compared
    monkeypatch.setattr(tasks.WordPartner, "hear", strict)
    monkeypatch.setattr(tasks.Words, "version", 2)
    after = rescore(folder, out=tmp_path / "new", success=True)
    task = tasks.Words()
    ids = [goal_id for goal_id, _ in read_conversations(folder / "agents/rule/seed-0" / CONVERSATIONS_FILE).goals]
    expected = [int(task.goal(goal_id)["word"] in tasks.WORDS[:20]) for goal_id in ids]
    assert 0 < sum(expected) < len(expected)
    rule = after["agents"]["rule"]
    assert rule["per_seed"][0]["per_goal"]["success"] == expected
    assert rule["success"]["mean"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert rule["return"]["mean"] < before["agents"]["rule"]["return"]["mean"]
    assert after["settings"]["grading"]["task"]["version"] == 2
    assert after["settings"]["grading"]["reward"] == before["settings"]["grading"]["reward"]
    assert after["rescored"]["changed_verdicts"]["rule/seed-0"] == len(expected) - sum(expected)
    assert after["rescored"]["changed_verdicts"]["do_nothing/seed-0"] == 0
    assert rule["pass_k"] is None
    report = (tmp_path / "new" / "report.md").read_text()
    assert "Success was judged anew" in report
    assert "a reward that the agents did not learn from" not in report
    returns = rescore(folder, "sparse", tmp_path / "returns")  # without: success is that of the version which played
    assert returns["settings"]["grading"]["task"]["version"] == 1
    assert returns["agents"]["rule"]["success"] == before["agents"]["rule"]["success"]
    assert "returns were taken from the task at version 2" in (tmp_path / "returns" / "report.md").read_text()


def test_success_is_not_judged_anew_where_the_agent_would_not_have_said_the_same(compared, tmp_path, monkeypatch):
    folder, _ = compared
    kinder = lambda self, utterance: strict(self, utterance) and [("user", "nearly !")]  # noqa: E731
    monkeypatch.setattr(tasks.WordPartner, "hear", kinder)
    with pytest.raises(ValueError, match=r"12 of 12 .*the agent would read other words before its turn 2"):
        rescore(folder, out=tmp_path / "new", success=True)

    def asks_more(self, utterance):
        self.asked += 1
        return [("user", "and ?")]

    monkeypatch.setattr(tasks.WordPartner, "hear", asks_more)
    with pytest.raises(ValueError, match=r"cannot be judged anew"):
        rescore(folder, out=tmp_path / "new", success=True)
    assert not (tmp_path / "new").exists()


def test_the_command_judges_success_anew(compared, tmp_path, monkeypatch):
    folder, _ = compared
    monkeypatch.setattr(tasks.WordPartner, "hear", strict)
    done = CliRunner().invoke(app, ["rescore", str(folder), "--success", "--out", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    assert "Verdicts that changed: do_nothing/seed-0 0" in done.output
    done = CliRunner().invoke(app, ["rescore", str(folder)])
    assert "expected --reward, or --success" in str(done.exception)


def test_a_comparison_graded_by_another_version_is_not_gone_on_with(compared, monkeypatch):
    folder, _ = compared
    monkeypatch.setattr(tasks.Words, "version", 2)
    with pytest.raises(ValueError, match="grading differ in task"):
        compare("EvaluationWords-v0", FLOORS, folder, 1, agents=["do_nothing", "random", "rule"])


# Versions


@dataclasses.dataclass
class Pays(Reward):
    amount: float
    words: frozenset = frozenset({"thanks", "please", "sorry"})

    def __call__(self, transcript):
        return self.amount


def pays(transcript, amount):
    return amount


def closed_over(amount):
    return lambda transcript: amount


def of(reward):
    return grading(task_of(gym.make("dialogym:TextDialog-v0")), resolve(reward))["reward"]["version"]


def test_the_version_of_a_reward_is_of_its_weight_its_settings_and_its_source():
    assert of(Pays(1.0)) == of(Pays(1.0))
    versions = [of(Pays(1.0)), of(Pays(2.0)), of(2.0 * Pays(1.0)), of(lambda t: 1.0), of(lambda t: 2.0), of("sparse")]
    assert len(set(versions)) == len(versions)
    assert of(partial(pays, amount=1.0)) != of(partial(pays, amount=2.0))
    assert of(closed_over(1.0)) == of(closed_over(1.0)) != of(closed_over(2.0))
    assert of(Pays(1.0).__call__) != of(Pays(2.0).__call__)
    newer = Pays(1.0)
    newer.version = 2
    assert of(newer) != of(Pays(1.0))


def test_the_version_of_a_reward_is_the_same_in_every_process():
    program = (
        "import gymnasium as gym; from dialogym.evaluation.grading import grading; "
        "from tests.evaluation.test_rescore import of, Pays; print(of(Pays(1.0)), of('bounded'))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True
    )
    assert said.stdout.split() == [of(Pays(1.0)), of("bounded")], said.stderr


def test_a_task_s_version_is_in_the_grading():
    task = task_of(gym.make("dialogym:TextDialog-v0"))
    assert grading(task, resolve("bounded"))["task"] == {"name": task.name, "version": task.version}
    assert np.isscalar(task.version)
