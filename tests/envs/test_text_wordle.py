"""Wordle: marks worked by hand, tries that are lost, hard mode, the entropy solver, and a user's own words."""

import itertools
import math
import random
import re
import tracemalloc

import gymnasium as gym
import numpy as np
import pytest

from dialogym.agents.registry import make_agent
from dialogym.envs.text_wordle import (
    SLIP_EVERY,
    Solver,
    TextWordle,
    _code,
    candidates_after,
    entropy,
    fits,
    mark,
    marked,
    marks_table,
)
from dialogym.envs.wordle.understanding import Meaning, understand
from dialogym.evaluation.score import frozen_goals, score

from .own_files import edited_and_pickled
from .utterances import utterances


@pytest.mark.parametrize(
    ("guess", "word", "marks"),
    [
        ("crane", "crane", "!!!!!"), ("crane", "storm", "-?---"), ("allow", "label", "???--"),
        ("label", "allow", "??--?"), ("eerie", "there", "?-?-!"), ("geese", "these", "--!!!"),
        ("speed", "abide", "--?-?"), ("civic", "civil", "!!!!-"),
    ],
)  # fmt: skip
def test_marks_are_those_worked_by_hand(guess, word, marks):
    assert mark(guess, word) == marks


def test_the_table_has_the_marks_of_every_pair():
    words = ("crane", "eerie", "there", "allow", "label", "geese", "these", "civic")
    table = marks_table(words)
    for row, guess in enumerate(words):
        assert table[row].tolist() == [_code(mark(guess, word)) for word in words]


def test_entropy_is_in_bits():
    codes = np.array([[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 1], [5, 5, 5, 7]])
    three_to_one = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert entropy(codes) == pytest.approx([0, 2, 1, three_to_one])


def test_there_are_at_least_a_thousand_different_words():
    words = TextWordle().words
    assert len(set(words)) == len(words) >= 1000
    assert all(len(word) == 5 and word.isascii() and word.islower() for word in words)


def playing(word, **options):
    env = gym.make("TextWordle-v0", interface="text", **options)
    task = env.unwrapped.task
    env.reset(seed=0, options={"goal_id": str(task.words.index(word))})
    return env


def said(env, guess):
    _, _, terminated, truncated, info = env.step(guess)
    return info["messages"][-1]["content"], terminated, truncated, info["success"]


def test_the_word_ends_the_game_whatever_stands_around_it():
    env = playing("storm")
    assert said(env, "I try CRANE !") == ("C - R ? A - N - E -", False, False, False)
    assert said(env, "is it storm ?") == ("S ! T ! O ! R ! M !", True, False, True)


@pytest.mark.parametrize(
    ("guess", "answer"),
    [
        ("zzzzz", "ZZZZZ isn't on my list."), ("", "Please say one word of five letters."),
        ("crane house", "Which one is it? Please say just one word."), ("漢字", "Please say one word of five letters."),
        ("houses", "Please say one word of five letters."),
    ],
)  # fmt: skip
def test_a_guess_that_is_none_costs_a_try(guess, answer):
    env = playing("storm")
    for turn in range(1, 7):
        assert said(env, guess) == (answer, False, turn == 6, False)


def test_hard_mode_refuses_a_guess_that_does_not_use_what_is_known():
    easy, hard = playing("storm"), playing("storm", hard=True)
    for env in (easy, hard):
        said(env, "crane")
    assert said(easy, "house")[0] == "H - O ? U - S ? E -"
    assert said(hard, "house")[0] == "HOUSE doesn't use what you know."
    assert fits("storm", [("crane", "-?---")])


UTTERANCES = utterances("TextWordle-v0")


@pytest.mark.parametrize("said", UTTERANCES, ids=[said["text"] for said in UTTERANCES])
def test_what_people_and_chat_models_say_is_understood(said):
    assert understand(said["text"], TextWordle().known) == Meaning(said["act"], said.get("word"))


def test_there_are_sixty_utterances_and_some_of_every_act():
    assert len({said["text"] for said in UTTERANCES}) >= 60
    assert {said["act"] for said in UTTERANCES} == {"guess", "several", "none"}


def test_every_word_on_the_list_can_be_guessed_in_words_of_ones_own():
    known = TextWordle().known
    for word in known:
        for said in (word, f"Is it {word.upper()}?", f"My guess is **{word.upper()}**.", f'I will try "{word}" now.'):
            assert understand(said, known) == Meaning("guess", word), said


def test_a_word_guessed_before_is_spoken_of_and_a_new_one_is_meant():
    assert understand("crane had an r, so storm", (), ["crane"]).word == "storm"
    assert understand("crane", (), ["crane"]).word == "crane"


@pytest.mark.parametrize("hard", [False, True])
def test_the_solver_reaches_the_ceiling_and_the_floors_stay_low(hard):
    env = gym.make("TextWordle-v0", hard=hard)
    task = env.unwrapped.task
    goals = frozen_goals(env, "test", 100).goals
    assert score(make_agent("rule", env), env, goals).success.mean() >= task.ceiling
    for floor in ("do_nothing", "random", "repeat_last", "inform_everything", "claim_success"):
        assert score(make_agent(floor, env), env, goals).success.mean() <= task.floor


def test_in_hard_mode_the_solver_only_guesses_what_fits():
    words = TextWordle().words
    heard = (("crane", "-?---"),)
    assert fits(Solver(words, hard=True).best(heard), heard)


HEARD = [("crane", mark("crane", "robot")), ("storm", mark("storm", "robot"))]


def test_what_is_left_after_some_guesses_are_the_words_that_fit_them():
    words = TextWordle().words
    left = [words[number] for number in candidates_after(HEARD, words)]
    assert left == [word for word in words if fits(word, HEARD)]
    assert "robot" in left
    assert len(candidates_after([], words)) == len(words)


def test_flawed_demonstrations_guess_any_word_that_fits_and_now_and_then_one_off_the_list():
    task = TextWordle()
    messages = [{"role": "user", "content": marked(*one)} for one in HEARD]
    rng = random.Random(0)
    said = [task.another_reply(messages, rng).removesuffix(".").lower() for _ in range(2000)]
    listed = [word for word in said if word in task.known and fits(word, HEARD)]
    assert set(listed) == {task.words[number] for number in candidates_after(HEARD, task.words)}
    slips = 2000 / SLIP_EVERY
    assert abs(2000 - len(listed) - slips) < 5 * slips**0.5
    assert all(len(word) == 5 for word in said)


def test_a_list_of_ones_own(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"word": "hello"}\n{"word": "world"}', encoding="utf-8")
    assert TextWordle(data=str(path)).words == ("hello", "world")
    assert TextWordle(data=[{"word": "Crane"}, {"word": "HOUSE"}]).words == ("crane", "house")
    plain = tmp_path / "own.txt"
    plain.write_text("hello\nworld\n", encoding="utf-8")
    assert TextWordle(data=str(plain)).words == ("hello", "world")
    with pytest.raises(ValueError, match="word must be new, got 'crane' again"):
        TextWordle(data=[{"word": "Crane"}, {"word": "crane"}])


@pytest.mark.parametrize(
    ("word", "message"),
    [("hell", "line 3: word must be five letters from a to z, got 'hell'"), ("hello", "line 3: word must be new")],
)
def test_a_wrong_list_is_told(tmp_path, word, message):
    path = tmp_path / "own.csv"
    path.write_text(f"word\nhello\n{word}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        TextWordle(data=str(path))


def test_hard_must_be_a_flag():
    with pytest.raises(ValueError, match="hard must be True or False, got 'yes'"):
        TextWordle(hard="yes")


def test_an_edited_list_is_read_again_from_any_folder(tmp_path, monkeypatch):
    task = edited_and_pickled(TextWordle, "word\ncrane\n", "word\nhouse\n", tmp_path, monkeypatch)
    assert task.words == ("house",)


def test_a_table_takes_a_byte_for_each_pair_and_little_more_while_it_is_made():
    words = tuple("".join(letters) for letters in itertools.islice(itertools.product("abcde", repeat=5), 700))
    tracemalloc.start()
    table = marks_table(words)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table.nbytes == 700 * 700
    assert peak < 2 * table.nbytes
    assert all(table[5, number] == _code(mark(words[5], word)) for number, word in enumerate(words))


def test_the_instructions_tell_the_marks_at_a_word_that_is_no_secret():
    task = TextWordle()
    assert "six attempts" in task.instructions
    assert 'say one common English word of five letters and nothing else, for example "CRANE"' in task.instructions
    assert "C ! R ? A - N - E -" in task.instructions
    assert "refused" not in task.instructions
    assert "refused" in TextWordle(hard=True).instructions
    words = re.findall(r"[A-Za-z]+", task.instructions + TextWordle(hard=True).instructions)
    assert {word for word in words if len(word) == 5} == {"CRANE"}
    assert task.split_of({"word": "crane"}) == "train"


def test_the_example_of_the_instructions_is_a_training_word_of_ones_own_list(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("word\n" + "\n".join(sorted(TextWordle().known - {"crane"})), encoding="utf-8")
    task = TextWordle(data=str(path))
    (example,) = [word for word in task.words if f'for example "{word.upper()}"' in task.instructions]
    assert task.split_of({"word": example}) == "train"
    assert len(set(example)) == 5
