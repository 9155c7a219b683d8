"""Whose fault failed conversations are: counted, kept, and shown."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest
from typer.testing import CliRunner

from dialogym.agents.registry import make_agent
from dialogym.cli import app
from dialogym.evaluation.blame import added, blame_of, in_words
from dialogym.evaluation.compare.conversations import read_conversations, write_conversations
from dialogym.evaluation.report.page import blame_rows, html_report, markdown_report
from dialogym.evaluation.report.results import results_of
from dialogym.evaluation.score import frozen_goals, score

from ..envs.partners import scripted
from .fake_results import fake_facts, fake_record, fake_results

ID = "TextDialog-v0"
INVENTED = {"turn": 0, "kind": "invented", "what": "food thai"}
LEAKED = {"turn": 1, "kind": "leaked", "what": "all"}


def scored(agent: str, count: int = 6, **options):
    env = gym.make(ID, interface="text", **options)
    goals = frozen_goals(env, "test", count, seed=0).goals
    return score(make_agent(agent, env, seed=0), env, goals), goals


def test_counts_are_of_conversations_and_of_failures():
    audits = [([INVENTED, INVENTED], "partner"), ([], "agent"), ([LEAKED], None), ([INVENTED, LEAKED], "environment")]
    found = blame_of(audits)
    assert found == {
        "conversations": 4, "failed": 3, "agent": 1, "partner": 1, "environment": 1,
        "marks": {"invented": 2, "leaked": 2, "stopped_early": 0, "broke_role": 0, "withheld": 0},
    }  # fmt: skip
    assert in_words(found) == (
        "3 of 4 conversations failed, by the fault of the agent in 1, the partner in 1, the environment in 1. "
        "The partner invented in 2, leaked in 2."
    )
    twice = added([found, None, found])
    assert twice is not None
    assert (twice["conversations"], twice["partner"], twice["marks"]["invented"]) == (8, 2, 4)
    assert blame_of([(None, None)]) is None
    assert added([None]) is None
    assert in_words(blame_of([([], None)])) == "0 of 1 conversations failed. The partner did nothing wrong."


def test_scores_say_whose_fault_it_was():
    stops, _ = scored("rule", partner=scripted("Hello.", "Thank you, goodbye."))
    assert stops.blame()["partner"] == stops.blame()["failed"] == 6
    assert stops.blame()["marks"]["stopped_early"] == 6
    floor, _ = scored("claim_success")
    assert floor.blame()["agent"] == floor.blame()["failed"] == 6
    rule, _ = scored("rule")
    assert (rule.blame()["failed"], set(rule.blame()["marks"].values())) == (0, {0})


def test_a_partner_that_is_not_audited_is_blamed_for_nothing():
    env = gym.make("TextWordle-v0", interface="text")
    scores = score(make_agent("do_nothing", env), env, frozen_goals(env, "test", 2).goals)
    assert scores.blame() is None


def test_kept_conversations_carry_the_audit_and_those_of_before_are_read(tmp_path):
    scores, goals = scored("rule", partner=scripted("Hello.", "Thank you, goodbye."))
    path = tmp_path / "conversations.jsonl"
    write_conversations(path, scores, goals, 20, 3)
    row = json.loads(path.read_text().splitlines()[1])
    assert row["blame"] == "partner"
    assert row["audit"] == [{"turn": 1, "kind": "stopped_early", "what": "Thank you, goodbye."}]
    again = read_conversations(path).kept
    assert [(one.audit, one.blame) for one in again] == [(one.audit, one.blame) for one in scores.kept]
    header, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    for old in rows:
        del old["audit"], old["blame"]
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *rows)))
    assert {one.audit for one in read_conversations(path).kept} == {None}


@pytest.fixture(scope="module")
def results():
    return fake_results()


def test_the_report_has_a_row_for_each_agent_with_an_audit(results):
    assert len(blame_rows(results)) == 1
    assert "Whose fault" not in markdown_report(results) + html_report(results)
    counts = blame_of([([INVENTED], "partner"), ([], "agent"), ([], None)])
    agents = {**results["agents"], "rule": {**results["agents"]["rule"], "blame": counts}}
    blamed = {**results, "agents": agents}
    assert blame_rows(blamed)[1][1:] == ["2 of 3", "1", "1", "0", "1", "0", "0", "0", "0"]
    for page in (markdown_report(blamed), html_report(blamed)):
        assert "Whose fault" in page
        assert "2 of 3" in page


def test_the_results_add_up_the_runs_of_an_agent():
    found = {"rule": [fake_record("rule", 0, np.random.default_rng(0))]}
    found["rule"][0]["best"]["blame"] = blame_of([([], "agent"), ([], None)])
    others = dict.fromkeys(("random", "do_nothing", "repeat_last", "inform_everything", "claim_success"), "no")
    missing = {name: "no" for name in fake_results()["agents"] if name != "rule"}
    results = results_of(found, {"rule/seed-0": None}, fake_facts(), {**others, **missing})
    assert results["agents"]["rule"]["blame"]["failed"] == 1


def test_evaluate_says_it():
    done = CliRunner().invoke(app, ["evaluate", "claim_success", "--goals", "3", "--show", "0"])
    assert done.exit_code == 0, done.output
    assert "3 of 3 conversations failed, by the fault of the agent in 3, the partner in 0" in done.output
