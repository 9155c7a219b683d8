"""Trained with one partner, tested with another: a table whose every cell is known beforehand."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import pytest
from typer.testing import CliRunner

from dialogym.agents.registry import make_agent
from dialogym.cli import app
from dialogym.envs.speakers import SPEAKERS, FunctionSpeaker
from dialogym.evaluation.compare.conversations import read_conversations
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
