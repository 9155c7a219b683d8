"""Trained under one condition, tested under another: a task whose right answers are known."""

import json

import gymnasium as gym
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from dialogym.agents.files import digest_of
from dialogym.cli import app
from dialogym.cli_transfer import conditions_of, values_of
from dialogym.envs import Partner, Policy, Task, register_task
from dialogym.envs.speakers import SPEAKERS, FunctionSpeaker
from dialogym.evaluation.compare.scheduler import DONE, Outcome
from dialogym.evaluation.digests import other_side_digests
from dialogym.evaluation.score import FrozenGoals
from dialogym.evaluation.transfer import run as module
from dialogym.evaluation.transfer.conditions import (
    Condition,
    conditions_to_test,
    conditions_to_train,
    crossed,
    name_of,
)
from dialogym.evaluation.transfer.run import transfer
from dialogym.evaluation.transfer.tables import results_of

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")


class SidePartner(Partner):
    """Wants to hear its side, or the other one where that is asked for; mumbles in the wordings of testing."""

    def __init__(self, side, flipped, split):
        self.side, self.right, self.split = side, side ^ flipped, split

    def open(self):
        return [("user", "..." if self.split == "test" else ("left", "right")[self.side])]

    def hear(self, utterance):
        self.success, self.over = utterance == ("left", "right")[self.right], True
        return []

    def summary(self):
        return [0 if self.split == "test" else 1 + self.side]

    def allowed(self):
        return bytes([1, 1])

    def phrase(self, choice):
        return ("left", "right")[choice]

    def facts(self):
        return {"right": self.right}


class Sides(Task):
    """Half of the goals want left; ``flipped`` turns all answers around."""

    name = "Sides"
    menu = ("left", "right")
    summary_sizes = (3,)
    floor = 0.65
    min_gap = 0.3
    policies = {"rule": Policy("choices", lambda observation, info: info["right"])}  # noqa: RUF012

    def __init__(self, flipped=False, menu=None, noise=0.0):
        if not isinstance(flipped, bool):
            raise ValueError(f"flipped must be True or False, got {flipped!r}")
        self.flipped = flipped
        if menu is not None:
            self.menu = tuple(menu)

    def draw_goal(self, rng):
        return {"side": rng.randrange(2), "number": rng.randrange(100_000)}

    def partner(self, goal, streams, split):
        return SidePartner(goal["side"], self.flipped, split)


register_task("TransferSides-v0", Sides, max_turns=1)
SEEN = {"wordings": "train"}
AMOUNTS = {"num_seeds": 2, "num_goals": 60, "num_validation_goals": 10, "config": {"env_turns": 600}}


def in_process(jobs, workers, watcher):
    """Runs jobs without the seconds that a process takes to start."""
    outcomes = {}
    for job in jobs:
        watcher.started(job.name)
        outcomes[job.name] = Outcome(DONE, job.run(*job.args, report=lambda row: None))
        watcher.ended(job.name, outcomes[job.name])
    return outcomes


@pytest.fixture(autouse=True)
def _without_processes(monkeypatch):
    monkeypatch.setattr(module, "run_jobs", in_process)


def grid(out, train, test, **options):
    with (out.parent / "log").open("a") as log:
        return transfer(
            "TransferSides-v0", "q_learning", train, test, out, console=Console(file=log), **{**AMOUNTS, **options}
        )


FLIPS = [{"flipped": False}, {"flipped": True}]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("transfer") / "grid"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_jobs", in_process)
        return out, grid(out, FLIPS, [*({**one, **SEEN} for one in FLIPS), {"flipped": False}])


# Known answers


def test_what_was_learned_holds_where_it_was_learned_and_is_wrong_where_answers_are_turned_around(finished):
    _, results = finished
    cells = results["cells"]
    for trained in FLIPS:
        for tested in FLIPS:
            cell = cells[name_of(trained)][name_of({**tested, **SEEN})]
            assert cell["success"]["mean"] == (1.0 if trained == tested else 0.0)
            assert cell["seeds"] == [0, 1]
            floors = results["floors"][name_of({**tested, **SEEN})]
            floor = max(floors[name]["success"]["mean"] for name in ("do_nothing", "random"))
            assert floors["rule"]["success"]["mean"] == 1.0
            expected = 1.0 if trained == tested else -floor / (1 - floor)
            assert cell["normalised"]["mean"] == pytest.approx(expected, abs=1e-5)
            assert cell["normalised"]["low"] <= cell["normalised"]["mean"] <= cell["normalised"]["high"]


def test_words_that_no_training_heard_are_heard_in_testing_unless_seen_ones_are_asked_for(finished):
    unseen = finished[1]["cells"]["flipped=False"]["flipped=False"]["success"]["mean"]
    assert 0.2 < unseen < 0.8  # it cannot know the side


def test_all_conditions_have_the_same_goals_and_the_tests_say_what_training_does(finished):
    _, results = finished
    assert len({one["goals"]["hash"] for one in results["settings"]["test"].values()}) == 1
    found = {one["under"]: one for one in results["tests"]}
    assert found["flipped=True, wordings=train"]["verdict"] == "better"
    assert found["flipped=False, wordings=train"]["verdict"] == "worse"
    assert {one["speaks_of"] for one in results["tests"]} == {"training runs"}
    assert results["notes"] == []


def test_files_say_the_same(finished):
    out, results = finished
    assert json.loads((out / "transfer.json").read_text()) == results
    assert (out / "transfer.png").read_bytes().startswith(b"\x89PNG")
    text = (out / "transfer.md").read_text()
    assert "| flipped=False | 1.00 \\[" in text
    assert "| rule (oracle) | 1.00" in text
    assert not [path.name for path in out.rglob("*") if path.name.endswith(".tmp")]


# Going on


def test_a_second_call_plays_what_is_left_and_trains_nothing_again(tmp_path, monkeypatch):
    out = tmp_path / "grid"
    first = grid(out, FLIPS[:1], [SEEN], num_seeds=1)
    monkeypatch.setattr(module, "trained", lambda *args: pytest.fail("it was trained before"))
    played = next(out.glob("agents/*/seed-0/scores/*.json"))
    kept = played.read_text()
    played.unlink()
    again = grid(out, FLIPS[:1], [SEEN, {"flipped": True, **SEEN}], num_seeds=1)
    assert played.read_text() == kept
    cells = again["cells"]["flipped=False"]
    assert cells["wordings=train"] == first["cells"]["flipped=False"]["wordings=train"]
    assert cells["flipped=True, wordings=train"]["success"]["mean"] == 0.0
    assert "very models" in again["notes"][0]
    assert set(json.loads((out / "settings.json").read_text())["test"]) == {
        "wordings=train",
        "flipped=True, wordings=train",
    }


def test_other_settings_are_refused_in_the_same_folder(finished, monkeypatch):
    out, _ = finished
    for options, message in [
        ({"config": {"env_turns": 9}}, "config differ in env_turns"),
        ({"num_goals": 7}, "num_goals"),
    ]:
        with pytest.raises(ValueError, match=f"holds results of other settings.*{message}"):
            grid(out, FLIPS, [SEEN], **options)
    monkeypatch.setattr(Sides, "version", 2)
    with pytest.raises(ValueError, match=r"test condition .* differs in grading"):
        grid(out, FLIPS, [{"flipped": False}])


def test_a_condition_whose_partner_was_trained_anew_is_refused(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("one")
    who = f"lm:{tmp_path}/model"

    def settings():
        return {"version": "1", "train": {"partner=lm:model": other_side_digests({"partner": who, "noise": 0.1})}}

    first = settings()
    module._claim(tmp_path / "out", {**first, "test": {}})
    module._claim(tmp_path / "out", {**settings(), "test": {}})
    (tmp_path / "model" / "config.json").write_text("another")
    refused = r"train condition partner=lm:model differs in digests: other files are by now in lm:\S+/model\): choose"
    with pytest.raises(ValueError, match=refused):
        module._claim(tmp_path / "out", {**settings(), "test": {}})


def test_the_settings_of_a_condition_have_the_files_of_its_partner(tmp_path, monkeypatch):
    monkeypatch.setitem(SPEAKERS, "lm", f"{__name__}:silent")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("one")
    plain, spoken = (gym.make("TextDialog-v0", **one) for one in ({}, {"partner": f"lm:{tmp_path}/model"}))
    goals = FrozenGoals("test", [], "")
    assert "digests" not in module._settings_of(Condition("plain", {}), plain, goals)
    assert module._settings_of(Condition("spoken", {}), spoken, goals)["digests"] == {
        f"lm:{tmp_path}/model": digest_of(tmp_path / "model")
    }


def silent(who):
    """A speaker that nobody asks."""
    return FunctionSpeaker(lambda messages: "")


def test_a_language_model_is_tested_in_words_with_one_vocabulary_for_all_conditions(tmp_path):
    pytest.importorskip("transformers")
    config = {"demonstrations": 24, "epochs": 1, "hidden_size": 16, "num_layers": 1, "num_heads": 2}
    with (tmp_path / "log").open("w") as log:
        results = transfer(
            "TransferSides-v0", "sft", [{}], [SEEN, {"flipped": True, **SEEN}], tmp_path / "grid", config=config,
            num_seeds=1, num_goals=10, num_validation_goals=4, console=Console(file=log),
        )  # fmt: skip
    row = [cell["success"]["mean"] for cell in results["cells"]["as it is"].values()]
    assert len(row) == 2
    assert sum(row) <= 1.0  # one reply is right in one of the two
    assert results["model"]["interface"] == "text"
    assert (tmp_path / "grid" / "tokenizer").is_dir()


# What is refused


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([{"flips": True}], [{}], "cannot be made for the train condition 'flips=True': .*did you mean 'flipped'"),
        ([{}], [{"flipped": 0.3}], "test condition 'flipped=0.3': flipped must be True or False"),
        ([{}], [{"split": "train"}], "test conditions cannot differ in split"),
        ([SEEN], [{}], "wordings is for testing"),
        ([{}], [{"wordings": "other"}], "wordings must be one of train, validation, test, got 'other'"),
        ([{}, {}], [{}], "the train condition 'as it is' comes twice"),
        ([], [{}], "at least one condition to train under"),
        ([{}], [{"menu": ["right", "left"]}], "conditions change the menu"),
    ],
)
def test_conditions_that_cannot_be_are_refused_before_anything_runs(tmp_path, train, test, message):
    with pytest.raises(ValueError, match=message):
        grid(tmp_path / "out", train, test)
    assert not (tmp_path / "out").exists()


def test_a_keyword_of_all_conditions_is_not_one_of_some(tmp_path):
    with pytest.raises(ValueError, match="noise is set for all conditions"):
        grid(tmp_path / "out", [{"noise": 0.1}], [{}], env_kwargs={"noise": 0.0})
    with pytest.raises(ValueError, match=r"split cannot be set here: agents learn .*, got split='test'"):
        grid(tmp_path / "out", [{}], [{}], env_kwargs={"split": "test"})


def test_agents_that_do_not_learn_and_wrong_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected an agent that learns .*got 'rule'"):
        transfer("TransferSides-v0", "rule", [{}], [{}], tmp_path / "out")
    with pytest.raises(TypeError, match="unexpected option 'turns'"):
        grid(tmp_path / "out", [{}], [{}], config={"turns": 3})
    with pytest.raises(ValueError, match="num_seeds must be at least 1"):
        grid(tmp_path / "out", [{}], [{}], num_seeds=0)
    with pytest.raises(ValueError, match="at least 2 test goals, got 1 under the condition 'as it is'"):
        grid(tmp_path / "out", [{}], [{}], num_goals=1)
    assert not (tmp_path / "out").exists()


# The command


def test_axes_are_crossed_and_objects_added():
    assert conditions_of(["noise=0,0.3", "goal_change=0.5"]) == [
        {"noise": 0, "goal_change": 0.5},
        {"noise": 0.3, "goal_change": 0.5},
    ]
    assert conditions_of(["noise", '{"profile": "mixed"}', "{}"]) == [
        *({"noise": value} for value in (0, 0.15, 0.3)),
        {"profile": "mixed"},
        {},
    ]
    assert values_of('rule,{"model": "a,b", "t": [1, 2]},"x,y",True') == [
        "rule",
        {"model": "a,b", "t": [1, 2]},
        "x,y",
        True,
    ]
    for wrong, message in [
        (["noises"], "'noises' has no values of its own"),
        (["noise=0", "noise=1"], "noise is an axis already"),
        (["noise="], "expected values after noise="),
        (["{noise}"], "expected a JSON object"),
        (["0.3"], "expected KEY=VALUE,VALUE"),
        (["a=[1"], "not closed"),
    ]:
        with pytest.raises(ValueError, match=message):
            conditions_of(wrong)


def test_names_and_folders_of_conditions_tell_them_apart():
    assert name_of({"noise": 0.30, "profile": "mixed"}) == "noise=0.3, profile=mixed"
    assert name_of({}) == "as it is"
    assert name_of({"partner": "lm:/models/tiny?max_tokens=6"}) == "partner=lm:tiny?max_tokens=6"
    partners = [{"partner": f"lm:{folder}"} for folder in ("/a/tiny", "/b/tiny", "/b/other")]
    assert [one.name for one in conditions_to_test(partners, {})] == [
        "partner=lm:/a/tiny", "partner=lm:/b/tiny", "partner=lm:other"
    ]  # fmt: skip
    names = ["a=x/y", "a=x y", "a=x-y", "../../up", "a" * 200, "a" * 201]
    folders = [Condition(name, {}).folder for name in names]
    assert len({*folders}) == len(names)
    assert all("/" not in folder and not folder.startswith(".") and len(folder) < 80 for folder in folders)
    assert [one.name for one in conditions_to_train(crossed({"a": [1, 2], "b": [3]}), {})] == ["a=1, b=3", "a=2, b=3"]
    assert conditions_to_test([{"wordings": "train", "a": 1}], {"b": 2})[0].options == {"b": 2, "a": 1}


def test_the_command_trains_in_processes_of_its_own_and_prints_the_table(tmp_path, monkeypatch):
    monkeypatch.undo()
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        [
            *("transfer", "TextTwentyQuestions-v0", "--train", "{}", "--test", "wordings=train", "--seeds", "1"),
            *("--goals", "4", "--validation-goals", "3", "--config", "env_turns=50", "--out", str(out), "--jobs", "1"),
        ],
    )
    assert done.exit_code == 0, done.output
    assert "as it is" in done.output
    assert "very models" in done.output.replace("\n", " ")
    assert json.loads((out / "transfer.json").read_text())["agent"] == "q_learning"


# Tables


def played(success):
    return {"success": success, "return": [float(one) for one in success], "turns": [1] * len(success)}


def facts(train, test, seeds, goals=("a",)):
    hashes = dict(zip(test, (*goals, *goals[-1:] * len(test)), strict=False))
    graded = {"task": {"name": "T", "version": 1}, "reward": {"spec": "r", "version": "v"}}
    return {
        "env": "T-v0", "agent": "x", "seeds": seeds, "failures": {},
        "settings": {
            "train": dict.fromkeys(train),
            "test": {one: {"goals": {"count": 4, "hash": hashes[one]}, "grading": graded} for one in test},
        },
    }  # fmt: skip


def test_missing_runs_and_conditions_with_goals_of_their_own_are_told():
    floors = {"u": {"do_nothing": played([0, 0, 0, 0]), "random": played([1, 0, 0, 0]), "rule": played([1, 1, 1, 0])}}
    scores = {"s": {"u": {0: played([1, 0, 1, 0]), 1: played([1, 1, 1, 0])}}, "t": {"u": {0: played([1, 1, 1, 1])}}}
    results = results_of(scores, floors, facts(["s", "t"], ["u", "w"], [0, 1], ("a", "b")))
    assert results["cells"]["s"]["u"]["normalised"]["mean"] == pytest.approx((0.625 - 0.25) / 0.5)
    assert results["cells"]["t"]["u"]["normalised"]["mean"] == pytest.approx(1.5)
    notes = " ".join(results["notes"])
    assert "goals of their own" in notes
    assert "Runs are missing: s, tested under w; t, tested under u; t, tested under w." in notes
    (test,) = results["tests"]
    assert (test["speaks_of"], test["runs"]) == ("models", [1, 1])
    assert test["difference"]["mean"] == 0.5


def test_without_a_rule_success_stands_as_it_is():
    floors = {"u": {"do_nothing": played([0, 0, 0, 0]), "random": played([1, 0, 0, 0])}}
    results = results_of({"s": {"u": {0: played([1, 0, 1, 0])}}}, floors, facts(["s"], ["u"], [0]))
    assert results["cells"]["s"]["u"]["normalised"] is None
    assert any("Not normalised" in note for note in results["notes"])
    assert np.isclose(results["cells"]["s"]["u"]["success"]["mean"], 0.5)
