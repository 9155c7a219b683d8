"""Saying it shorter: limits, references, the menu of sentences, and a user's own documents."""

import pickle

import gymnasium as gym
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.text_summary import (
    ASPECTS,
    MENU,
    Editor,
    TextSummary,
    is_summary,
    num_words,
    salient,
    sentences_in,
)
from dialogym.evaluation.score import frozen_goals, score

pytest.importorskip("rouge_score")

OWN = '{"document": "The film is long. It has no plot. I left early!", "summary": "a long film"}\n'
LONG = '{"document": "One two three four.", "summary": "' + "a" * 601 + '"}'
GOAL = {
    "document": "Words are hard. However, they lack order. We propose a tree. It grows. The results show it works.",
    "aspect": "outcome",
    "summary": "It works.",
}


@pytest.mark.parametrize("source", ["papers", "reviews"])
def test_documents_and_references_keep_to_their_limits(source):
    task = TextSummary(source)
    for item in task.items:
        assert 5 <= len(sentences_in(item)) <= 15
        assert 0 < num_words(item["summary"]) <= min(40, num_words(item["document"]) / 2)
    assert all((item["summary"] in sentences_in(item)) == (source == "reviews") for item in task.items)


def test_no_document_is_in_two_splits():
    task = TextSummary()
    seen = {
        split: {task.items[n]["document"] for n in task.numbers_of(split)} for split in ("train", "validation", "test")
    }
    assert not seen["train"] & seen["validation"]
    assert not seen["test"] & (seen["train"] | seen["validation"])


def test_the_reference_earns_the_whole_reward_and_the_empty_reply_nothing():
    env = gym.make("TextSummary-v0", interface="text")
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(env.unwrapped.transcript.references[0])
    assert (reward, terminated, info["success"]) == (pytest.approx(1.0), True, True)
    assert list(info["reward_terms"]) == ["rouge1", "rouge2", "rougeL"]
    env.reset(seed=0)
    _, reward, _, _, info = env.step("")
    assert (reward, info["success"]) == (0.0, False)


def test_success_is_rouge_l_of_a_half_within_the_limits():
    assert is_summary(GOAL, 40, "it works")
    assert is_summary(GOAL, 40, "so it really works well")  # 2 of 5 and of 2 words: F1 = 4 / 7
    assert not is_summary(GOAL, 40, "so it really always works very well")  # 4 / 9
    assert is_summary(GOAL, 40, "works it")  # 1 of 2 in order, of both: exactly a half
    assert not is_summary(GOAL, 1, "it works")
    assert not is_summary({**GOAL, "document": "It works well."}, 40, "it works")


def test_an_echo_of_the_whole_document_is_too_long():
    goal = {"document": "A b c d.", "summary": "A b c."}
    assert not is_summary(goal, 40, goal["document"])


@pytest.mark.parametrize("glue", ["-", "'", "é"])
def test_words_that_are_glued_together_are_not_fewer(glue):
    goal = {"document": "The film is long. It has no plot. I left early!", "summary": "the film has no plot"}
    assert is_summary(goal, 40, "the film no plot")
    assert not is_summary(goal, 40, glue.join(["the", "film", "is", "long", "it", "has", "no", "plot"]))


def test_hyphens_of_the_reference_are_allowed():
    goal = {"document": "The film is long. It has no plot. I left early!", "summary": "A so-so, run-of-the-mill film"}
    assert is_summary(goal, 40, goal["summary"])


def test_the_menu_is_sentences_of_the_document():
    editor = Editor(GOAL, 40)
    said = dict(zip(MENU, map(editor.phrase, range(len(MENU))), strict=True))
    assert said == {
        "first": "Words are hard.", "second": "However, they lack order.", "last": "The results show it works.",
        "longest": "However, they lack order.", "contrast": "However, they lack order.",
        "contribution": "We propose a tree.", "result": "The results show it works.",
    }  # fmt: skip
    assert list(editor.summary()) == [ASPECTS.index("outcome")]


def test_a_sentence_that_is_not_there_is_masked():
    editor = Editor({"document": "Words are hard.", "summary": "hard"}, 40)
    assert [kind for kind, allowed in zip(MENU, editor.allowed(), strict=True) if allowed] == [
        "first",
        "last",
        "longest",
    ]
    assert editor.phrase(MENU.index("result")) == "Words are hard."


def test_the_question_says_which_aspect_and_the_reference_is_not_shown():
    env = gym.make("TextSummary-v0", interface="text")
    observation, info = env.reset(seed=0)
    goal = env.unwrapped.transcript.goal
    assert info["messages"][-1]["content"] == f"{goal['document']}\n\nWhat is the {goal['aspect']}?"
    assert "at most 40 words" in info["messages"][0]["content"]
    assert goal["summary"] not in observation + repr(info)


def test_the_salient_sentence_is_the_one_most_like_the_rest():
    assert salient(["It rained.", "The plot is good.", "The plot was bad."]) == "The plot is good."


def test_floors_fail():
    env = gym.make("TextSummary-v0")
    goals = frozen_goals(env, "test", 100).goals
    for floor in ("do_nothing", "random", "repeat_last", "inform_everything", "claim_success"):
        assert score(make_agent(floor, env), env, goals).success.mean() <= env.unwrapped.task.floor, floor


def test_a_table_learns_which_sentence_answers_which_question():
    env = gym.make("TextSummary-v0")
    agent = make_agent("q_learning", env, env_turns=4_000)
    agent.learn(env)
    goals = frozen_goals(env, "test", 100).goals
    learned, by_chance = (score(one, env, goals).returns.mean() for one in (agent, make_agent("random", env)))
    assert learned > by_chance + 0.04


def test_documents_of_ones_own(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(OWN, encoding="utf-8")
    task = TextSummary(data=str(path))
    assert task.items[0] == {"document": "The film is long. It has no plot. I left early!", "summary": "a long film"}
    assert task.partner(task.items[0], None, "train").prompt.endswith("\n\nCan you say this shorter?")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"document": "?", "summary": "a"}', r"line 2: document must contain a word, got '\?'"),
        ('{"document": "This is long enough.", "summary": "!"}', "line 2: summary must contain a word, got '!'"),
        ('{"document": "This is it.", "summary": "this is"}', "line 2: summary must have at most 1.5 words.*got 2"),
        ('{"document": "Это длинный текст.", "summary": "это"}', "line 2: summary must have a letter from a to z"),
        ('{"document": "This is it."}', "line 2: expected the field 'summary'"),
    ],
)
def test_a_wrong_file_is_told(tmp_path, line, message):
    path = tmp_path / "own.jsonl"
    path.write_text(OWN + line, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        TextSummary(data=str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "news"}, "source must be one of papers, reviews, got 'news'"),
        ({"max_words": 0}, "max_words must be an int of at least 1, got 0"),
    ],
)
def test_a_wrong_keyword_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        gym.make("TextSummary-v0", **options)


def test_the_option_at_fault_is_named(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(OWN, encoding="utf-8")
    with pytest.raises(ValueError, match="summary must have at most 1 words, the option max_words, got 3"):
        TextSummary(data=str(path), max_words=1)


def test_documents_keep_their_accents(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"document": "Der Film ist schön. Élan fehlt ihm nicht.", "summary": "schön"}', encoding="utf-8")
    assert TextSummary(data=str(path)).items[0]["document"] == "Der Film ist schön. Élan fehlt ihm nicht."


def test_it_pickles_without_its_data():
    task = TextSummary()
    assert len(pickle.dumps(task)) < 1000
    assert pickle.loads(pickle.dumps(task)).items == task.items
