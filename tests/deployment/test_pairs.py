"""Real conversations are rated: what people were answered, and what another agent would have said there."""

import json

import gymnasium as gym
import pytest
from typer.testing import CliRunner

from dialogym import cli
from dialogym.agents import make_agent
from dialogym.agents.language_model.demonstrations import load_messages
from dialogym.agents.preference.judgements import read_judgements, read_pairs
from dialogym.deployment.card import opinions_of
from dialogym.deployment.pairs import read_kept, served_pairs

from .serving import ENV, Echo, quick, said, serving

PEOPLE = [
    ("cheap Indian food in the centre", "what is the phone number?"),
    ("expensive Italian food in the centre", "what is the address?"),
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What two people were answered by the rule."""
    path, made = tmp_path_factory.mktemp("served") / "kept.jsonl", gym.make(ENV)
    with serving(path, make_agent("rule", made), made, limits=quick()) as served:
        for first, second in PEOPLE:
            answer = served.complete(said(first), model="rule")[1]["choices"][0]["message"]["content"]
            assert served.complete(said(first, answer, second), model="rule")[0] == 200
    return path


def test_replies_are_read_as_people_had_them(kept):
    conversations = read_kept(kept)
    assert sorted(tuple(turn.words for turn in one.turns) for one in conversations) == sorted(PEOPLE)
    for one in conversations:
        assert one.agent == "rule"
        assert not any("[" in turn.reply or "(" in turn.reply for turn in one.turns)
        assert [one.messages[turn.place]["content"] for turn in one.turns] == [turn.words for turn in one.turns]


def test_another_agent_is_asked_where_people_were_answered(kept):
    made, places = gym.make(ENV), set()
    for seed in range(6):
        pairs, num_left_out = served_pairs(kept, Echo(made), made, "echo", seed=seed)
        assert num_left_out == 0
        for pair in pairs:
            words = pair.messages[-1]["content"]
            assert pair.agents == ("rule", "echo")
            assert pair.second.endswith(f"you said {words!r}")  # it has read the same conversation
            assert "you said" not in pair.first
            places.add(words)
    assert places == {words for both in PEOPLE for words in both}  # each reply has its chance


def test_one_who_says_the_same_makes_no_pairs(kept):
    made = gym.make(ENV)
    with pytest.raises(ValueError, match="where rule says something else, got none of 2"):
        served_pairs(kept, make_agent("rule", made), made, "rule")


class Fails(Echo):
    def act(self, observation, info):
        if "Indian" in info["messages"][-1]["content"] or self.name == "fails always":
            raise RuntimeError("no idea")
        return super().act(observation, info)


def test_a_conversation_in_which_the_other_agent_fails_is_left_out(kept):
    made = gym.make(ENV)
    for seed in range(3):
        pairs, num_left_out = served_pairs(kept, Fails(made), made, "fails", seed=seed)
        assert (len(pairs), num_left_out) == (1, 1)
        assert "Italian" in pairs[0].messages[1]["content"]
    agent = Fails(made)
    agent.name = "fails always"
    with pytest.raises(ValueError, match=r"got none of 2, 2 of which were left out, the last because .*no idea"):
        served_pairs(kept, agent, made, "fails")


def test_people_rate_them_at_the_terminal(kept, tmp_path, monkeypatch):
    from dialogym.agents import registry

    monkeypatch.setitem(registry.AGENTS, "echo", "tests.deployment.serving:Echo")
    out = tmp_path / "ratings.jsonl"
    command = ["rate", "echo", "--served", str(kept), "--rater", "anna", "--out", str(out)]
    result = CliRunner().invoke(cli.app, command, input="1\n2\n")
    assert result.exception is None, result.output
    assert "expensive Italian food in the centre" in result.output
    judgements = read_judgements(out)
    assert {judgement.agents for judgement in judgements} == {("rule", "echo")}
    assert len(judgements) == len(read_pairs(tmp_path / "ratings.pairs.jsonl")) == 2
    wrong = CliRunner().invoke(
        cli.app, ["rate", "--served", str(kept), "--rater", "anna", "--out", f"{tmp_path}/b.jsonl"]
    )
    assert "dialogym rate AGENT --served FILE" in str(wrong.exception)


def test_the_last_line_of_an_id_is_the_whole_conversation(kept, tmp_path):
    first, second = (json.loads(line) for line in kept.read_text().splitlines())
    begun = {**first, "messages": first["messages"][:-2], "success": True, "comment": "so far"}
    path = tmp_path / "several.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (begun, second, first)))
    assert read_kept(path) == list(reversed(read_kept(kept)))
    read = [list(talk) for talk in load_messages(path).conversations]
    assert read == [second["messages"], first["messages"]]
    opinions = opinions_of(path)  # what was said of it while it was shorter still counts
    assert (opinions.judged, opinions.silent) == (1, 1)
    path.write_text("".join(json.dumps({**line, "id": 7}) + "\n" for line in (first, second)))
    assert len(load_messages(path).conversations) == 2


def test_a_file_of_anything_else_is_refused(tmp_path):
    (tmp_path / "other.jsonl").write_text(json.dumps({"messages": [3], "agent": "a"}) + "\n")
    with pytest.raises(ValueError, match="line 1: expected a conversation that serve kept"):
        read_kept(tmp_path / "other.jsonl")
