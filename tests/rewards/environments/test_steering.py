"""Steering: guards worked by hand, and what the product of sentiment and guards cannot be bought with."""

import sys

import numpy as np
import pytest

from dialogym.rewards import Plausibility, Reward, Steering, Transcript, plausibility, resolve
from dialogym.rewards.environments.steering import (
    DISORDERED,
    GUARDS,
    ORDERED,
    PLAIN,
    STRANGE,
    TOO_PLAIN,
    TOO_STRANGE,
    guards,
    ramp,
)
from dialogym.rewards.text import sentiment
from dialogym.rewards.text.word_statistics import Trigrams, words_of

OPENING = "i went to see this film with my brother and"
FINE = "we both liked the quiet way in which it tells its story , and the lead is very good ."


class Surprised:
    """A language model that finds every word as surprising, on its own by ``gain`` nats more."""

    def __init__(self, nats, gain=ORDERED):
        self.nats, self.gain = nats, gain

    def logprobs(self, words, context=()):
        return np.full(len(words), -self.nats)

    def word_logprobs(self, words):
        return np.full(len(words), -self.nats - self.gain)


class Constant(Reward):
    """Likes everything alike, and counts how it was asked."""

    def __init__(self, value):
        self.value, self.sizes = value, []

    def __call__(self, transcript):
        return self.value

    def batch(self, transcripts):
        self.sizes.append(len(transcripts))
        return [self.value] * len(transcripts)


def saying(reply, **goal):
    messages = [{"role": "user", "content": OPENING}, {"role": "assistant", "content": reply}]
    return Transcript.of(messages, goal=goal)


def test_a_ramp_rises_or_falls_between_its_ends():
    assert [ramp(x, 0, 4) for x in (-1, 0, 1, 4, 9)] == [0, 0, 0.25, 1, 1]
    assert [ramp(x, 4, 0) for x in (-1, 1, 9)] == [1, 0.75, 0]


def test_plausible_text_passes_every_guard():
    assert guards(FINE, OPENING, Surprised(5.0)) == dict.fromkeys(GUARDS, 1.0)
    assert plausibility(FINE, OPENING) == 1.0


@pytest.mark.parametrize("reply", ["", " ", "...", "?!", "\n", "漢 🙂"])
def test_a_reply_without_words_scores_the_floor(reply):
    found = guards(reply, OPENING)
    assert set(found) == set(GUARDS)
    assert plausibility(reply, OPENING) == Steering(Constant(1.0))(saying(reply)) == 0.0


@pytest.mark.parametrize(
    ("reply", "guard", "value"),
    [
        ("we all liked it a lot .", "length", 0.5),
        (" ".join(f"a{number}" for number in range(90)), "length", 0.5),
        ("great movie , great", "variety", 0.5),  # one of three content words repeats
        ("it is very very very fine", "variety", 0.5),
        ("so good , so good , so good ,", "novelty", 0.0),
        (OPENING, "novelty", 0.0),
        ("brilliant acting , lovely story , superb music , best film", "grammar", 0.0),
    ],
)
def test_each_guard_takes_what_it_is_for(reply, guard, value):
    expected = {"great movie , great": ramp(1 / 3, 0.5, 0.2)}.get(reply, value)
    assert guards(reply, OPENING)[guard] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("nats", "value"),
    [
        (TOO_PLAIN - 1, 0), ((TOO_PLAIN + PLAIN) / 2, 0.5), (PLAIN, 1), (STRANGE, 1),
        ((STRANGE + TOO_STRANGE) / 2, 0.5), (TOO_STRANGE + 1, 0),
    ],
)  # fmt: skip
def test_words_may_be_neither_too_surprising_nor_too_plain(nats, value):
    assert guards(FINE, OPENING, Surprised(nats))["fluency"] == pytest.approx(value)


@pytest.mark.parametrize(
    ("gain", "value"), [(DISORDERED - 1, 0), ((DISORDERED + ORDERED) / 2, 0.5), (ORDERED, 1), (ORDERED + 1, 1)]
)
def test_words_must_be_likelier_after_each_other_than_on_their_own(gain, value):
    assert guards(FINE, OPENING, Surprised(5.0, gain))["order"] == pytest.approx(value)


def test_frequent_words_are_no_text_without_their_order():
    language = Trigrams([words_of(FINE)] * 3 + [words_of(OPENING)] * 3)
    assert guards(FINE, OPENING, language)["order"] == 1.0
    assert guards(" ".join(sorted(words_of(FINE))), OPENING, language)["order"] == 0.0


def test_what_no_pattern_of_ours_knows_is_read_all_the_same():
    assert plausibility(FINE + " 漢" * 50, OPENING) < 0.2


def test_no_sentiment_buys_what_a_guard_takes():
    steering = Steering(Constant(1.0))
    assert steering(saying("great great great great")) == 0.0
    assert steering(saying(FINE)) == 1.0
    assert Steering(Constant(0.25))(saying(FINE)) == 0.25
    assert Steering(Constant(0.5))(saying(FINE, language=Surprised((STRANGE + TOO_STRANGE) / 2))) == pytest.approx(0.25)


def test_a_batch_asks_the_sentiment_once_and_scores_as_single_calls_do():
    sentiment = Constant(0.5)
    transcripts = [saying(FINE), saying("great great great great"), saying("we all liked it a lot .")]
    assert Steering(sentiment).batch(transcripts) == [Steering(sentiment)(one) for one in transcripts] == [0.5, 0, 0.25]
    assert sentiment.sizes == [3]


def test_the_opening_is_the_goals_or_what_was_said_before():
    assert Plausibility()(saying(OPENING)) == 0.0
    assert Plausibility()(saying(OPENING, opening="something else")) == 1.0


@pytest.mark.parametrize("answer", [FINE, "fine ."])
def test_what_the_partner_answers_is_no_opening(answer):
    for asked, value in (("what do you think ?", 1.0), (FINE, 0.0)):
        said = [("user", asked), ("assistant", FINE), ("user", answer)]
        messages = [{"role": role, "content": content} for role, content in said]
        assert Plausibility()(Transcript.of(messages)) == value  # who repeats the user is no more plausible for it


def test_vader_reads_the_reply_towards_the_goals_target():
    pytest.importorskip("vaderSentiment")
    positive, negative = (resolve("steering")(saying(FINE, target=target)) for target in ("positive", "negative"))
    assert positive > 0.5 > negative
    assert positive + negative == pytest.approx(1.0)
    assert resolve("steering")(saying(FINE)) == positive
    assert resolve("plausibility")(saying(FINE)) == 1.0


def test_without_vader_the_extra_is_named_and_another_sentiment_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    sentiment._analyzer.cache_clear()
    with pytest.raises(ImportError, match=r'pip install "dialogym\[metrics\]"'):
        resolve("steering")
    assert Steering(Constant(1.0))(saying(FINE)) == 1.0
