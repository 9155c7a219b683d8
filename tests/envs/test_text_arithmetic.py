"""Word problems: right answers, wrong answers, levels, the curriculum, and a user's own problems."""

import json
import pathlib
import pickle
import re
from decimal import Decimal

import gymnasium as gym
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.text_arithmetic import (
    FAMILIES,
    LEVELS,
    WINDOW,
    TextArithmetic,
    _worded,
    is_right,
    solution,
    work_out,
)
from dialogym.envs.understanding.answers import answer_of
from dialogym.evaluation.score import frozen_goals, score

BY_HAND = {
    "sum": ((3, 4), 7), "difference": ((9, 4), 5), "product": ((3, 4), 12), "share": ((12, 4), 3),
    "sum_difference": ((10, 12, 5), 17), "buy": ((3, 4, 5), 17), "gives_groups": ((20, 3, 5), 5),
    "times_as_many": ((4, 3), 16), "travel": ((2, 30, 7), 67), "change": ((50, 3, 4, 2, 5), 28),
    "average": ((2, 3, 7), 4), "percent": ((25, 80), 60), "remainder": ((14, 4), 2),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_comes_to_what_was_worked_by_hand(family):
    numbers, answer = BY_HAND[family]
    assert work_out(FAMILIES[family].steps, numbers)[0] == answer


def test_the_rule_shows_its_calculations_and_every_one_of_them_holds():
    items = TextArithmetic().items
    for item in items[::11]:
        *calculations, end = solution(item).removesuffix(".").split(". ")
        assert calculations
        assert end == f"The answer is {item['answer']}"
        for calculation in calculations:
            if "divided" in calculation:
                first, second, rest = map(int, re.findall(r"\d+", calculation))
                assert first % second == rest
            else:
                left, right = calculation.split(" = ")
                assert eval(left) == int(right)
        assert is_right(item["answer"], solution(item))


def test_what_is_shared_is_never_said_as_if_it_were_one_share():
    for wording in (*FAMILIES["share"].train, *FAMILIES["share"].test):
        assert not re.search(r"\b(?:rows|bags|boxes|piles) of \{0\}", wording), wording  # "3 rows of 51 books" are 153


@pytest.mark.parametrize("family", FAMILIES)
def test_every_wording_says_every_number_once(family):
    item = next(item for item in TextArithmetic().items if item["family"] == family)
    for split in ("train", "test"):
        for wording in range(40):
            found = sorted(map(int, re.findall(r"\d+", _worded(item, wording, split))))
            assert found == sorted(item["numbers"])


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("12", True), (" 12 \n", True), ("12 .", True), ("12.", True), ("+12", True), ("12.0", True), ("-12", False),
        ("The answer is 12.", True), ("12 13", False), ("11 12", False), ("12 apples", True), ("", False),
        ("twelve", True), ("1 2", False), ("1e1", False), ("十二", False), ("nan", False), ("$12.00", True),
        ("The answer is 13, not 12.", False), ("12 + 1", False), ("not 12", False), ("12 or 13", False),
    ],
)  # fmt: skip
def test_only_the_one_number_that_is_claimed_is_right(reply, right):
    assert is_right(12, reply) is right


def test_every_utterance_is_understood():
    path = pathlib.Path(__file__).parent / "utterances" / "TextArithmetic-v0.jsonl"
    utterances = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(utterances) >= 60
    assert sum(utterance["number"] is None for utterance in utterances) >= 20
    for utterance in utterances:
        expected = None if utterance["number"] is None else Decimal(str(utterance["number"]))
        assert answer_of(utterance["said"]) == expected, utterance["said"]


@pytest.mark.parametrize("family", FAMILIES)
def test_saying_the_problem_again_claims_no_answer(family):
    items = [item for item in TextArithmetic().items if item["family"] == family][:50]
    for wording, item in enumerate(items):
        if len(set(item["numbers"])) > 1:
            problem = _worded(item, wording, "train" if wording % 2 else "test")
            assert answer_of(problem) is None, problem


def test_the_gold_answer_scores_one_and_an_empty_or_unparsable_one_nothing():
    env = gym.make("TextArithmetic-v0", interface="text")
    for reply, reward in ((None, 1.0), ("", 0.0), ("many", 0.0)):
        env.reset(seed=4)
        gold = env.unwrapped.transcript.references[0]
        _, got, terminated, truncated, info = env.step(gold if reply is None else reply)
        assert (got, terminated, truncated, info["success"]) == (reward, True, False, reward == 1.0)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_has_only_its_families(level):
    task = TextArithmetic(level=level)
    assert {item["family"] for item in task.items} == {n for n, family in FAMILIES.items() if family.level == level}
    assert len(task.numbers_of("test")) > 100


def test_the_same_problem_is_never_on_two_sides_and_wordings_are_kept_apart():
    task = TextArithmetic()
    contents = [
        {task.content(task.items[n]) for n in task.numbers_of(split)} for split in ("train", "validation", "test")
    ]
    assert not (contents[0] & contents[1] | contents[0] & contents[2] | contents[1] & contents[2])
    assert not any(set(family.train) & set(family.test) for family in FAMILIES.values())


def test_a_problem_of_ones_own_with_other_white_space_is_on_the_same_side():
    spaces = (" ", "  ", "\n", "\t")
    rows = [{"problem": f"{space}What is{space}{n} + 1?\r\n", "answer": n + 1} for n in range(50) for space in spaces]
    task = TextArithmetic(data=rows)
    for number in range(0, len(rows), len(spaces)):
        same = task.items[number : number + len(spaces)]
        assert len({task.split_of(item) for item in same}) == len({task.content(item) for item in same}) == 1


def test_answers_are_whole_and_not_negative():
    for item in TextArithmetic().items:
        assert isinstance(item["answer"], int)
        assert item["answer"] >= 0, item


def test_the_curriculum_rises_with_success_and_stays_with_failure():
    env = gym.make("TextArithmetic-v0", interface="text", curriculum=True)
    levels = []
    for number in range(3 * WINDOW):
        env.reset(seed=number)
        transcript = env.unwrapped.transcript
        levels.append(transcript.goal["level"])
        env.step(transcript.references[0])
    assert levels == [1] * WINDOW + [2] * WINDOW + [3] * WINDOW
    failing = gym.make("TextArithmetic-v0", interface="text", curriculum=True)
    for number in range(2 * WINDOW):
        failing.reset(seed=number)
        failing.step("no idea")
    assert failing.unwrapped.task.curriculum.level == 1
    assert pickle.loads(pickle.dumps(env)).unwrapped.task.curriculum.level == 3


def test_the_curriculum_does_not_touch_held_out_problems():
    task = TextArithmetic(curriculum=True)
    assert {task.goal(goal_id)["level"] for goal_id in task.goal_ids("test", 100)} == set(LEVELS)


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("problem,answer\n" + "\n".join(f"what is {n} + 1 ?,{n + 1}" for n in range(60)), encoding="utf-8")
    env = gym.make("TextArithmetic-v0", interface="text", data=str(path))
    assert score(make_agent("rule", env), env, frozen_goals(env, "test", 5).goals).success.mean() == 1.0
    path.write_text("problem,answer\nwhat is 2 ?,two\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2: answer must be a number, or end in #### and a number, got 'two'"):
        TextArithmetic(data=str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 4}, "level must be one of 1, 2, 3, mixed, got 4"),
        ({"curriculum": "no"}, "curriculum must be True or False, got 'no'"),
        ({"level": 1, "curriculum": True}, "curriculum needs"),
    ],
)
def test_a_wrong_keyword_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        TextArithmetic(**options)


@pytest.mark.parametrize(("answer", "reply"), [("1e22", "1" + 22 * "0"), ("1e-7", "0.0000001"), ("-2.50", "-2.5")])
def test_an_answer_of_ones_own_can_be_said_however_it_is_written(tmp_path, answer, reply):
    path = tmp_path / "own.jsonl"
    path.write_text(f'{{"problem": "how much ?", "answer": {answer}}}', encoding="utf-8")
    task = TextArithmetic(data=str(path))
    assert task.references(task.items[0]) == (reply,)
    assert is_right(task.items[0]["answer"], reply)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("NaN", "line 1: answer must be finite, got nan"),
        ("-Infinity", "line 1: answer must be finite, got -inf"),
        ("1" + 400 * "0", "line 1: answer must have at most 400 digits"),
    ],
)
def test_an_answer_that_cannot_be_said_is_refused(tmp_path, answer, message):
    path = tmp_path / "own.jsonl"
    path.write_text(f'{{"problem": "how much ?", "answer": {answer}}}', encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        TextArithmetic(data=str(path))
