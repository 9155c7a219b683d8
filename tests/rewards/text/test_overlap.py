"""Rewards that compare a reply with references, against numbers worked by hand, and their anchors."""

import math

import pytest

from dialogym.rewards import RewardError, resolve
from dialogym.rewards.text.overlap import Bleu, ChrF, ExactMatch, Rouge, TokenF1, exact_match, token_f1
from dialogym.rewards.text.sentiment import Readability, Sentiment, flesch_reading_ease

from ..conversations import saying as conversation

pytest.importorskip("rouge_score")
pytest.importorskip("sacrebleu")
pytest.importorskip("vaderSentiment")

GOLD = "the cat sat on the mat today"
ALL = [TokenF1, ExactMatch, Bleu, ChrF, Rouge, lambda: Rouge("rouge1"), lambda: Rouge("rouge2")]


def saying(reply, *references):
    return conversation(reply, references=references)


@pytest.mark.parametrize("make", ALL)
def test_the_gold_reply_scores_the_maximum_and_the_empty_reply_the_floor(make):
    reward = make()
    assert reward(saying(GOLD, GOLD)) == pytest.approx(1.0)
    assert reward(saying("", GOLD)) == 0.0
    assert reward(saying("  \n", GOLD)) == 0.0
    assert 0.0 <= reward(saying("漢字 🙂", GOLD)) < 0.1


@pytest.mark.parametrize("make", ALL)
def test_of_several_references_the_best_counts(make):
    assert make()(saying(GOLD, "something else entirely", GOLD)) == pytest.approx(1.0)


def test_token_f1_counts_each_token_once():
    assert token_f1("the the the", "the cat") == pytest.approx(2 * 1 / (3 + 2))
    with pytest.raises(ValueError, match="reference must contain a token"):
        token_f1("a", " ")


def test_exact_match_forgives_case_and_space_alone():
    assert exact_match(" The  CAT", "the cat") == 1.0
    assert exact_match("the cat .", "the cat") == 0.0


def test_rouge_is_that_of_its_definition():
    # 3 of the reply's 4 words and of the reference's 3 are shared, in order: P = 3/4, R = 1
    assert Rouge("rouge1")(saying("a red old car", "red old car")) == pytest.approx(2 * 0.75 / 1.75)
    assert Rouge("rouge2")(saying("a red old car", "red old car")) == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert Rouge("rougeL")(saying("car old red", "red old car")) == pytest.approx(1 / 3)


def test_a_task_without_references_is_told():
    with pytest.raises(RewardError, match="this task gives none"):
        resolve("token_f1")(saying("a"))
    with pytest.raises(ValueError, match="kind must be one of rouge1, rouge2, rougeL, got 'rouge9'"):
        Rouge("rouge9")


def test_they_are_known_by_name():
    for name in ("rouge", "bleu", "chrf", "token_f1", "exact_match"):
        assert resolve(name)(saying(GOLD, GOLD)) == pytest.approx(1.0)


def test_sentiment_points_where_it_is_wanted():
    happy, sad = saying("what a wonderful , great film !"), saying("what an awful , boring film .")
    assert Sentiment()(happy) > 0.8 > 0.2 > Sentiment()(sad)
    assert Sentiment("negative")(happy) == pytest.approx(1 - Sentiment()(happy))
    assert Sentiment()(saying("the door is there .")) == pytest.approx(0.5)
    assert Sentiment()(saying("")) == 0.0
    with pytest.raises(ValueError, match="wanted must be one of positive, negative, got 'sad'"):
        Sentiment("sad")


def test_reading_ease_is_fleschs_formula():
    # 6 words, 1 sentence, 6 syllables
    assert flesch_reading_ease("the cat sat on the mat .") == pytest.approx(206.835 - 1.015 * 6 - 84.6)
    # 4 words in 2 sentences, 2 + 3 + 1 + 2 syllables
    assert flesch_reading_ease("Paper banana. The table!") == pytest.approx(206.835 - 1.015 * 2 - 84.6 * 8 / 4)
    assert flesch_reading_ease("...") == -math.inf


def test_readability_is_bounded():
    assert Readability()(saying("the cat sat on the mat .")) == 1.0
    assert Readability()(saying("")) == 0.0
    assert Readability()(saying("institutionalised intercontinental incomprehensibilities")) == 0.0
