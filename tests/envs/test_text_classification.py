"""Reading a text and saying its label: what counts as an answer, what a table sees, and a user's own labels."""

import copy
import json
import pathlib
import pickle
import re

import gymnasium as gym
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.reviews.corpus import natural, words_of
from dialogym.envs.text_classification import TextClassification
from dialogym.evaluation.score import frozen_goals, score

LINES = "text,label\n" + "\n".join(
    f"the {thing} number {number} is {word} today,{label}"
    for number in range(30)
    for thing, word, label in (
        ("parcel", "lost", "complaint"),
        ("staff", "lovely", "praise"),
        ("shop", "where", "question"),
    )
)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "own.csv"
    path.write_text(LINES, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("positive", "positive"),
        ("It is POSITIVE!", "positive"),
        ("Negative.", "negative"),
        ("it is negative .", "negative"),
        ("positive or negative", None),
        ("positively", None),
        ("", None),
        ("好", None),
    ],
)
def test_a_reply_is_a_label_when_it_names_exactly_one(reply, label):
    assert TextClassification().label_of(reply) == label


def test_every_utterance_is_understood():
    path = pathlib.Path(__file__).parent / "utterances" / "TextClassification-v0.jsonl"
    utterances = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(utterances) >= 60
    assert sum(utterance["label"] is None for utterance in utterances) >= 20
    task = TextClassification()
    for utterance in utterances:
        assert task.label_of(utterance["said"]) == utterance["label"], utterance["said"]


def test_of_three_labels_a_denied_one_leaves_two(own):
    task = TextClassification(data=own)
    assert task.label_of("It is not a complaint.") is None
    assert task.label_of("It's neither a complaint nor praise.") == "question"
    assert task.label_of("not praise but a complaint") == "complaint"


def test_the_right_label_is_rewarded_and_nothing_else():
    env = gym.make("TextClassification-v0", interface="text")
    for reply, reward in (("positive", None), ("negative", None), ("", 0.0), ("both", 0.0)):
        _, info = env.reset(seed=3)
        gold = env.unwrapped.transcript.references[0]
        _, got, terminated, truncated, info = env.step(reply)
        assert (terminated, truncated) == (True, False)
        assert got == (float(reply == gold) if reward is None else reward)
        assert info["success"] == (got == 1.0)


def test_the_label_is_shown_nowhere_before_it_is_said():
    env = gym.make("TextClassification-v0", interface="text")
    observation, info = env.reset(seed=0)
    text = env.unwrapped.transcript.goal["text"]
    user = observation.partition("user: ")[2]
    assert user.splitlines() == [natural(text), "    ", "    Is this review negative or positive?"]
    assert env.unwrapped.task.instructions in info["messages"][0]["content"]
    assert "label" not in info


def test_the_summary_counts_typical_words_and_chance_is_beaten_by_it():
    task = TextClassification()
    texts = [task.items[number] for number in task.numbers_of("validation")[:400]]
    assert all(0 <= count <= 8 for item in texts for count in task.counts(item))
    right = sum((task.counts(item)[1] > task.counts(item)[0]) == (item["label"] == "positive") for item in texts)
    assert right / len(texts) > 0.6  # chance is 0.5


def test_typical_words_come_from_training_texts_alone(own):
    task = TextClassification(data=own)
    words = set().union(*task.typical_words)
    shown = set(words_of(" ".join(text for text, _ in task.labelled("train"))))
    assert words <= shown
    assert "lost" in task.typical_words[task.labels.index("complaint")]
    assert "lost" not in task.typical_words[task.labels.index("praise")]


def test_a_file_of_ones_own_brings_its_own_labels(own):
    env = gym.make("TextClassification-v0", data=own)
    assert env.unwrapped.task.labels == ("complaint", "praise", "question")
    assert env.action_space.n == 3
    goals = frozen_goals(env, "validation", 20).goals
    assert score(make_agent("rule", env), env, goals, split="validation").success.mean() == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text,label\ngood,\n", "line 2: label must contain a word, got ''"),
        ("text,label\n!,a\n", "line 2: text must contain a word, got '!'"),
        ("text,label\na,b\nc,b\n", "data must have 2 to 6 different labels, got 'b'"),
        ("text,lable\na,b\n", "expected the field 'label'.*did you mean 'lable'"),
    ],
)
def test_a_wrong_file_is_told(tmp_path, text, message):
    path = tmp_path / "wrong.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        TextClassification(data=str(path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "amazon"}, "source must be one of imdb"),
        ({"source": ["imdb"]}, r"source must be one of imdb, .* got \['imdb'\]"),
        ({"max_words": 0}, "max_words must be an int of at least 1"),
    ],
)
def test_a_wrong_keyword_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        gym.make("TextClassification-v0", **options)


def test_it_survives_pickling_and_copying(own):
    task = TextClassification(data=own)
    again = pickle.loads(pickle.dumps(task))
    assert again.items == task.items
    assert again.typical_words == task.typical_words
    assert copy.deepcopy(task).labels == task.labels


def test_a_table_learns_more_than_chance():
    env = gym.make("TextClassification-v0")
    agent = make_agent("q_learning", env, env_turns=8_000)
    agent.learn(env)
    assert score(agent, env, frozen_goals(env, "test", 400).goals).success.mean() > 0.6  # chance is 0.5


def test_a_text_is_shown_in_its_own_letters(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("text,label\nОчень ХОРОШО!,да\nschön war's nicht,нет\n", encoding="utf-8")
    task = TextClassification(data=str(path))
    assert [task.shown(item) for item in task.items] == ["Очень ХОРОШО!", "schön war's nicht"]
    assert task.label_of("Это да.") == "да"


def test_a_text_of_which_no_word_is_shown_is_refused(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("text,label\nfine,a\n... well,b\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 3: max_words=3 shows no word of the text, only '\.\.\.'"):
        TextClassification(max_words=3, data=str(path))


@pytest.mark.parametrize(
    ("reply", "label"),
    [("spam", "spam"), ("It is not spam.", "not spam"), ("spam or not spam", None), ("not", None)],
)
def test_a_label_inside_another_is_told_from_it(tmp_path, reply, label):
    path = tmp_path / "own.csv"
    path.write_text("text,label\nbuy now,spam\nsee you at noon,not spam\n", encoding="utf-8")
    assert TextClassification(data=str(path)).label_of(reply) == label


@pytest.mark.parametrize("labels", [("Spam", "spam"), ("c", "c++")])
def test_labels_of_the_same_words_are_refused(tmp_path, labels):
    path = tmp_path / "own.csv"
    path.write_text("text,label\n" + "".join(f"a text,{label}\n" for label in labels), encoding="utf-8")
    with pytest.raises(
        ValueError, match=re.escape(f"labels must differ in their words, got {labels[0]!r} and {labels[1]!r}")
    ):
        TextClassification(data=str(path))


def test_a_text_that_was_labelled_twice_is_in_one_split():
    rows = [{"text": f"text  number {number}", "label": "good"} for number in range(200)]
    rows += [{"text": f"text number {number} ", "label": ("good", "bad")[number % 2]} for number in range(200)]
    task = TextClassification(data=rows)
    texts = [{" ".join(text.split()) for text, _ in task.labelled(split)} for split in ("train", "validation", "test")]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 200
