"""Files of pairs and judgements: what is written is read, and what is wrong is told with its line."""

import json

import pytest

from dialogym.agents.preference.judgements import (
    Pair,
    append_judgement,
    mend,
    read_judgements,
    read_pairs,
    save_pairs,
    split_judgements,
)

from ..judged import asking, by_taste, judgement


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "ratings.jsonl"
    written = [judgement("tie", pair="p"), judgement("second", pair="q", first="caf\u2028é", seconds=1.5)]
    for one in written:
        append_judgement(path, one)
    assert read_judgements(path) == written
    line = json.loads(path.read_text(encoding="utf-8").split("\n")[0])
    assert list(line) == [
        "messages", "first", "second", "agents", "pair", "shown_first", "choice", "rater", "seconds",
    ]  # fmt: skip


def test_of_two_judgements_of_one_pair_by_one_person_the_later_counts(tmp_path):
    path = tmp_path / "ratings.jsonl"
    for choice, rater in (("first", "anna"), ("first", "ben"), ("second", "anna")):
        append_judgement(path, judgement(choice, rater=rater))
    assert [(one.rater, one.choice) for one in read_judgements(path)] == [("anna", "second"), ("ben", "first")]


def test_pairs_need_neither_agents_nor_an_id(tmp_path):
    path = tmp_path / "pairs.jsonl"
    line = {"messages": [{"role": "user", "content": "open ?"}], "first": "yes .", "second": "no ."}
    path.write_text(json.dumps(line) + "\n" + json.dumps({**line, "second": "never ."}) + "\n")
    one, other = read_pairs(path)
    assert one.agents == ("first", "second")
    assert one.pair != other.pair
    save_pairs(path, [one, other])
    assert read_pairs(path) == [one, other]


def test_an_id_that_comes_again_with_other_content_is_told_with_its_line(tmp_path):
    path = tmp_path / "pairs.jsonl"
    lines = [{"messages": [], "first": f"{n} .", "second": "no .", "pair": "q1"} for n in (1, 1, 2)]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines[:2]))
    assert len(read_pairs(path)) == 1
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    with pytest.raises(ValueError, match=r"line 3: expected an id for every pair, got 'q1' again with other content"):
        read_pairs(path)


def test_of_chosen_and_rejected_replies_either_is_the_first(tmp_path):
    path = tmp_path / "preferences.jsonl"
    rows = [{"prompt": f"number {n} ?", "chosen": f"{n} .", "rejected": "who knows ?"} for n in range(200)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    judgements = read_judgements(path)
    assert 70 < sum(one.choice == "first" for one in judgements) < 130
    for row, one in zip(rows, judgements, strict=True):
        better, worse = (0, 1) if one.choice == "first" else (1, 0)
        assert (one.replies()[better], one.replies()[worse]) == (row["chosen"], row["rejected"])
        assert (one.agents[better], one.agents[worse]) == ("chosen", "rejected")
    assert [one.key for one in judgements] == [pair.key for pair in read_pairs(path)]


def line(**changes):
    told = {
        "pair": "p", "messages": [{"role": "user", "content": "hi"}], "first": "a", "second": "b", "agents": ["x", "y"],
        "shown_first": "first", "choice": "tie", "rater": "anna", "seconds": 1,
    }  # fmt: skip
    return json.dumps({**told, **changes})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("{", "line 2: expected JSON"),
        ("[1]", "line 2: expected an object"),
        (line(choice="left"), "line 2: choice must be one of first, second, tie, got 'left'"),
        (line(shown_first="tie"), "line 2: shown_first must be first or second, got 'tie'"),
        (line(rater=""), "line 2: pair and rater must not be empty"),
        (line(seconds=-1), "line 2: seconds must be a number of at least 0, got -1"),
        (line(seconds="3"), "line 2: seconds must be a number, got '3'"),
        (line(agents=["x"]), "line 2: agents must be two names"),
        (line(first=3), "line 2: first must be text, got 3"),
        (line(messages=[{"role": "bot", "content": "hi"}]), "line 2: message 1 must be"),
        (line(messages=[{"role": "user", "content": 3}]), "line 2: content of message 1 must be text, got 3"),
        (json.dumps({"pair": "p"}), "line 2: expected the field 'messages'"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(tmp_path, wrong, message):
    path = tmp_path / "ratings.jsonl"
    path.write_text(line() + "\n" + wrong + "\n")
    with pytest.raises(ValueError, match=r"ratings\.jsonl, ") as told:
        read_judgements(path)
    assert message in str(told.value)


def test_half_a_line_is_cut_off_and_a_whole_one_without_its_end_is_kept(tmp_path):
    path = tmp_path / "ratings.jsonl"
    assert not mend(path)
    path.write_text(line() + "\n" + line(pair="q")[:30])
    assert mend(path)
    assert path.read_text() == line() + "\n"
    path.write_text(line() + "\n" + line(pair="q"))
    assert not mend(path)
    assert [one.pair for one in read_judgements(path)] == ["p", "q"]
    assert path.read_text().endswith("\n")


@pytest.mark.parametrize("content", ["a letter to\nsomebody", '{"messages": []}\n{"messa', "[1]\n[2", "draft"])
def test_a_file_that_holds_something_else_is_not_mended(tmp_path, content):
    path = tmp_path / "letter.jsonl"
    path.write_text(content)
    assert not mend(path)
    assert path.read_text() == content


def test_an_empty_line_does_not_keep_a_file_from_being_mended(tmp_path):
    path = tmp_path / "ratings.jsonl"
    path.write_text(line() + "\n\n" + line(pair="q")[:30])
    assert mend(path)
    assert [one.pair for one in read_judgements(path)] == ["p"]


def test_the_very_beginning_of_a_line_is_cut_off_too(tmp_path):
    path = tmp_path / "ratings.jsonl"
    path.write_text(line() + "\n{")
    assert mend(path)
    assert path.read_text() == line() + "\n"


def test_a_pair_is_on_one_side_of_the_split_whoever_judged_it_and_however_it_stands():
    judgements = by_taste(300)
    turned = [
        judgement(pair=one.pair, messages=one.messages, first=one.second, second=one.first, rater="ben")
        for one in judgements
    ]
    train, held_out = split_judgements([*judgements, *turned], 0.2)
    sides = [{frozenset((one.messages[0]["content"], *one.replies())) for one in side} for side in (train, held_out)]
    assert not sides[0] & sides[1]
    assert 0.1 < len(held_out) / 600 < 0.3
    assert {one.rater for one in held_out} == {"anna", "ben"}


def test_the_share_held_out_must_make_sense():
    with pytest.raises(ValueError, match=r"held_out_share must be in \(0, 1\), got 1"):
        split_judgements([], 1)


def test_the_id_of_a_pair_hangs_on_its_content():
    pairs = [Pair(asking("open ?"), *replies) for replies in (("a", "b"), ("a", "b"), ("b", "a"))]
    assert pairs[0].pair == pairs[1].pair != pairs[2].pair
