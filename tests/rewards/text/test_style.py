import random

import pytest

from dialogym.rewards import DistinctN, Length, Repetition, distinct_n, length_score, repeated_share
from dialogym.rewards.text.style import ngrams

from ..conversations import saying

BOUNDS = {Length: (0.0, 1.0), Repetition: (-1.0, 0.0), DistinctN: (0.0, 1.0)}


@pytest.mark.parametrize("kind", BOUNDS)
def test_the_gold_reply_scores_the_maximum_and_the_empty_reply_the_floor(kind):
    floor, maximum = BOUNDS[kind]
    reward = kind()
    for before in ((), ("what area would you like ?",)):
        assert reward(saying(*before, "which food do you want tonight")) == maximum
        assert reward(saying(*before, "")) == floor
        assert reward(saying(*before, " \n")) == floor


@pytest.mark.parametrize("kind", BOUNDS)
def test_scores_stay_in_their_bounds_and_repeat_for_the_same_words(kind):
    rng, reward = random.Random(1), kind()
    low, high = BOUNDS[kind]
    for _ in range(300):
        replies = [" ".join(rng.choices(["a", "b", "c", "d"], k=rng.randrange(70))) for _ in range(rng.randrange(1, 5))]
        score = reward(saying(*replies))
        assert low <= score <= high
        assert reward(saying(*replies)) == score


def test_nothing_said_yet_scores_the_floor():
    assert [kind()(saying()) for kind in BOUNDS] == [low for low, _ in BOUNDS.values()]


def test_length_falls_off_on_both_sides():
    words = ["w"] * 100
    scores = {n: length_score(" ".join(words[:n]), shortest=4, longest=10) for n in (0, 1, 4, 10, 15, 20, 100)}
    assert scores == {0: 0.0, 1: 0.25, 4: 1.0, 10: 1.0, 15: 0.5, 20: 0.0, 100: 0.0}


def test_repetition_is_the_share_of_ngrams_said_before():
    assert repeated_share("a b a b", n=2) == pytest.approx(1 / 3)  # ab, ba, ab
    assert repeated_share("a b c", ["x b C"], n=2) == pytest.approx(1 / 2)  # bc, in any case
    assert repeated_share("area ?", ["area ?"], n=3) == 1.0  # shorter than n, but said before
    assert repeated_share("area ?", ["which area ? tell me"], n=3) == 0.0
    assert Repetition(n=2)(saying("a b c", "z", "b c d")) == pytest.approx(-1 / 2)
    assert Repetition()(saying("which area ?", "which area ?")) == -1.0


def test_distinct_n_is_the_share_of_different_ngrams():
    assert distinct_n(["a b", "a b c"], n=2) == pytest.approx(2 / 3)  # ab, ab, bc
    assert distinct_n(["A a b"], n=1) == pytest.approx(2 / 3)
    assert distinct_n([], n=2) == distinct_n([""], n=2) == 0.0
    assert DistinctN(n=1)(saying("a b", "a c")) == pytest.approx(3 / 4)


def test_ngrams_of_a_short_text_are_the_text():
    assert ngrams("a b c", 2) == [("a", "b"), ("b", "c")]
    assert ngrams("a b", 3) == [("a", "b")]
    assert ngrams("", 3) == []


def test_options_out_of_range_are_errors():
    for low, high in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match=f"got {low} and {high}"):
            Length(low, high)
    for kind in (Repetition, DistinctN):
        with pytest.raises(ValueError, match="n must be at least 1, got 0"):
            kind(0)
