"""Trained with one partner, tested with another: a table whose every cell is known beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from typer.testing import CliRunner

from dialogym.agents.registry import make_agent
from dialogym.cli import app
from dialogym.envs import task_class
from dialogym.envs.speakers import SPEAKERS, FunctionSpeaker
from dialogym.evaluation.compare.conversations import read_conversations
from dialogym.evaluation.grading import grading
from dialogym.evaluation.partners import RESULTS_FILE, TABLE_FILE, cross_partners, label, labels
from dialogym.evaluation.score import frozen_goals, score

from ..envs.partners import scripted

ID = "TextDialog-v0"
LEAVES = "says:leaves"


def made_of(who: str) -> FunctionSpeaker:
    return FunctionSpeaker(scripted("Hello.", "Thank you, goodbye."))


@pytest.fixture(autouse=True)
def _speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPEAKERS, "says", f"{__name__}:made_of")


def test_every_cell_is_what_evaluation_says_and_the_partner_is_blamed(tmp_path):
    results = cross_partners(ID, ["rule", "claim_success"], ["rule", LEAVES], tmp_path, num_goals=12)
    cells = {(cell["agent"], cell["partner"]): cell for cell in results["cells"]}
    env = gym.make(ID, interface="choices")
    alone = score(make_agent("rule", env), env, frozen_goals(env, "test", 12).goals)
    assert cells["rule", "rule"]["per_goal"] == alone.success.astype(int).tolist() == [1] * 12
    assert cells["rule", "rule"]["success"]["low"] == pytest.approx(0.757, abs=1e-3)  # Wilson, 12 of 12
    left = cells["rule", LEAVES]
    assert (left["success"]["mean"], left["blame"]["partner"], left["fair_success"]) == (0.0, 12, None)
    assert cells["claim_success", "rule"]["blame"]["agent"] == 12
    (first, second) = results["differences"]
    assert (first["agent"], first["difference"]["mean"]) == ("rule", -1.0)
    assert first["p_value"] == pytest.approx(2 * 0.5**12)
    assert first["p_holm"] == pytest.approx(4 * 0.5**12)
    assert (second["agent"], second["difference"]["mean"], second["p_value"]) == ("claim_success", 0.0, 1.0)
    assert results["trained_with"] == {"rule": None, "claim_success": None}
    assert json.loads((tmp_path / RESULTS_FILE).read_text()) == results
    table = (tmp_path / TABLE_FILE).read_text()
    assert "| rule | – | 100.0% (75.8 to 100.0) | 0.0% (0.0 to 24.2) |" in table
    kept = read_conversations(tmp_path / "conversations" / "rule--says_leaves.jsonl").kept
    assert [one.blame for one in kept] == ["partner"] * 12


def test_a_trained_agent_says_what_it_was_trained_with(tmp_path):
    for partner in (None, LEAVES):
        env = gym.make(ID, **({} if partner is None else {"partner": partner}))
        make_agent("q_learning", env).save(tmp_path / str(partner))
    folders = [str(tmp_path / "None"), str(tmp_path / LEAVES)]
    results = cross_partners(ID, folders, ["rule", LEAVES], tmp_path / "out", num_goals=2)
    assert [results["trained_with"][folder] for folder in folders] == ["rule", LEAVES]


def test_what_is_finished_is_not_played_again_and_other_settings_are_refused(tmp_path):
    told: list[str] = []
    first = cross_partners(ID, ["claim_success"], ["rule"], tmp_path, num_goals=3, progress=told.append)
    again = cross_partners(ID, ["claim_success"], ["rule"], tmp_path, num_goals=3, progress=told.append)
    assert first == again
    assert told == ["claim_success with rule: success 0.000", "claim_success with rule: finished before"]
    with pytest.raises(ValueError, match="holds a table of other settings"):
        cross_partners(ID, ["claim_success"], ["rule"], tmp_path, num_goals=4)


def test_a_table_says_by_what_it_was_graded_and_is_not_gone_on_with_under_another_version(tmp_path, monkeypatch):
    results = cross_partners(ID, ["claim_success"], ["rule"], tmp_path, num_goals=3)
    core: Any = gym.make(ID).unwrapped
    assert results["settings"]["grading"] == grading(core.task, core.reward)
    before = core.task.version
    assert f"Graded: success by TextDialog, version {before}; reward" in (tmp_path / TABLE_FILE).read_text()
    monkeypatch.setattr(task_class(ID), "version", before + 1)
    with pytest.raises(
        ValueError, match=rf"graded: .* version {before}; .*now: .* version {before + 1}; .*another folder"
    ):
        cross_partners(ID, ["claim_success"], ["rule"], tmp_path, num_goals=3)
    assert json.loads((tmp_path / RESULTS_FILE).read_text()) == results


def test_a_table_that_does_not_say_by_what_it_was_graded_is_not_gone_on_with(tmp_path):
    cross_partners(ID, ["claim_success"], ["rule"], tmp_path, num_goals=3)
    old = json.loads((tmp_path / RESULTS_FILE).read_text())
    del old["settings"]["grading"], old["settings"]["digests"]
    (tmp_path / RESULTS_FILE).write_text(json.dumps(old))
    with pytest.raises(ValueError, match=r"grading was None, .*; digests was None"):
        cross_partners(ID, ["claim_success"], ["rule"], tmp_path, num_goals=3)


def test_another_agent_in_the_same_folder_is_not_taken_for_the_one_that_played(tmp_path):
    def saved(name: str) -> str:
        make_agent(name, gym.make(ID)).save(tmp_path / "agent")
        return str(tmp_path / "agent")

    told: list[str] = []
    agents, out = [saved("claim_success"), "rule"], tmp_path / "out"
    first = cross_partners(ID, agents, ["rule"], out, num_goals=3)
    (tmp_path / "agent" / "README.md").write_text("a card, which is not part of the agent")
    assert cross_partners(ID, agents, ["rule"], out, num_goals=3, progress=told.append) == first
    assert [line.partition(": ")[2] for line in told] == ["finished before"] * 2
    saved("rule")
    with pytest.raises(ValueError, match=r"other files are by now in .*/agent\).*choose another folder"):
        cross_partners(ID, agents, ["rule"], out, num_goals=3)
    anew = cross_partners(ID, agents, ["rule"], tmp_path / "anew", num_goals=3)
    assert anew["cells"][0]["success"]["mean"] == 1.0


def said_in_the_file(who: str) -> FunctionSpeaker:
    """What the model in the folder of ``lm:FOLDER`` says: the text in it, read when the speaker is made."""
    words = Path(who.removeprefix("lm:").partition("?")[0], "words.txt").read_text().split("|")
    return FunctionSpeaker(scripted(*words))


def test_another_model_in_the_folder_of_a_partner_is_not_taken_for_the_one_that_played(tmp_path, monkeypatch):
    monkeypatch.setitem(SPEAKERS, "lm", f"{__name__}:said_in_the_file")
    model, cold, warm = tmp_path / "model", f"lm:{tmp_path}/model", f"lm:{tmp_path}/model?temperature=1"
    model.mkdir()
    (model / "words.txt").write_text("Thank you, goodbye.")
    first = cross_partners(ID, ["rule"], ["rule", cold, warm], tmp_path / "out", num_goals=3)
    digests = first["settings"]["digests"]
    assert {*digests} == {cold, warm}
    assert digests[cold] == digests[warm]
    (model / "words.txt").write_text("Where am I?|Thank you, goodbye.")
    with pytest.raises(ValueError, match=r"other files are by now in lm:\S+/model, lm:\S+temperature=1\)"):
        cross_partners(ID, ["rule"], ["rule", cold, warm], tmp_path / "out", num_goals=3)
    cross_partners(ID, ["rule"], [cold], tmp_path / "anew", num_goals=3)
    (played,) = (tmp_path / "anew" / "conversations").iterdir()
    assert "Where am I?" in played.read_text()  # though this process had read the model before


def test_an_agent_that_acts_at_random_does_the_same_after_an_interruption(tmp_path):
    class Stopped(Exception):
        pass

    def stop(line: str) -> None:
        raise Stopped

    whole = cross_partners(ID, ["random"], ["rule", LEAVES], tmp_path / "whole", num_goals=12)
    with pytest.raises(Stopped):
        cross_partners(ID, ["random"], ["rule", LEAVES], tmp_path / "parts", num_goals=12, progress=stop)
    assert cross_partners(ID, ["random"], ["rule", LEAVES], tmp_path / "parts", num_goals=12) == whole
    played = [folder / "conversations" / "random--says_leaves.jsonl" for folder in tmp_path.iterdir()]
    assert played[0].read_text() == played[1].read_text()


@pytest.mark.parametrize(
    ("agents", "partners", "options", "error"),
    [
        ([], ["rule"], {}, "agents must be different ones, at least one, got none"),
        (["rule"], ["rule", "rule"], {}, "partners must be different ones, at least one, got rule, rule"),
        (["rule"], ["rule"], {"partner": "rule"}, "the partner varies"),
        (["rule"], ["nobody"], {}, "partner must be 'rule'"),
    ],
)
def test_what_makes_no_table_is_told(tmp_path, agents, partners, options, error):
    with pytest.raises(ValueError, match=error):
        cross_partners(ID, agents, partners, tmp_path, env_kwargs=options)


def test_partners_that_differ_in_their_settings_alone_are_named_in_full():
    partners = ["lm:a/smollm2", "lm:a/smollm2?temperature=1", "http://one/v1#q", "rule"]
    results = {"settings": {"agents": ["rule"], "partners": partners}, "trained_with": {"rule": None}}
    assert [labels(results)[name] for name in partners] == [*partners[:2], "q", "rule"]


def test_labels_are_short():
    assert label("lm:/models/smollm2?temperature=1") == "lm:smollm2"
    assert label("http://localhost:8000/v1#tiny") == "tiny"
    assert label("runs/ppo-0/agent") == "ppo-0/agent"
    assert label("rule") == "rule"


def test_the_command_prints_the_table(tmp_path):
    arguments: list[Any] = ["partners", ID, "--agent", "rule", "--partner", "rule", "--partner", LEAVES]
    done = CliRunner().invoke(app, [*arguments, "--goals", "4", "--out", str(tmp_path)], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "rule with says:leaves: success 0.000" in done.output
    assert "100.0% (51.0 to 100.0)" in done.output
