"""Trigrams and naive Bayes: numbers worked by hand."""

import math
import pickle
from itertools import pairwise

import numpy as np
import pytest

from dialogym.rewards.text.word_statistics import INTERPOLATION, SHARPNESS, NaiveBayes, Trigrams, Vocabulary, words_of

TEXTS = [text.split() for text in ("a b c", "a b d", "a b c", "c e")]


def test_every_character_is_a_word_or_part_of_one():
    assert words_of('It\'s "great" - 10/10, 漢!') == ["it's", "great", "10", "/", "10", ",", "漢", "!"]
    assert words_of(" \n ") == []


def test_words_that_occur_once_are_unknown():
    vocabulary = Vocabulary(TEXTS)
    assert (vocabulary.size, vocabulary.num_unknown) == (5, 2)
    known = vocabulary.encode(["a", "b", "c"])
    assert len(set(known.tolist())) == 3
    assert vocabulary.encode(["d", "e", "never"]).tolist() == [0, 0, 0]


def test_the_probability_of_a_word_is_the_weighted_sum_worked_by_hand():
    triples, pairs, words, uniform = INTERPOLATION
    model = Trigrams(TEXTS)
    assert model.logprobs(["c"], ["a", "b"])[0] == pytest.approx(
        math.log(triples * 2 / 3 + pairs * 2 / 3 + words * 3 / 11 + uniform / 5)
    )
    assert model.logprobs(["d"], ["x", "a", "b"])[0] == pytest.approx(
        math.log((triples * 1 / 3 + pairs * 1 / 3 + words * 2 / 11 + uniform / 5) / 2)
    )


def test_the_probability_of_a_word_on_its_own_is_worked_by_hand():
    uniform = INTERPOLATION[-1]
    known, unknown = np.exp(Trigrams(TEXTS).word_logprobs(["c", "never"]))
    assert known == pytest.approx((1 - uniform) * 3 / 11 + uniform / 5)
    assert unknown == pytest.approx(((1 - uniform) * 2 / 11 + uniform / 5) / 2)


def test_each_word_is_read_after_the_words_before_it():
    model = Trigrams(TEXTS)
    together = model.logprobs(["a", "b", "c"], ["e"])
    alone = [model.logprobs([word], before)[0] for word, before in (("a", ["e"]), ("b", ["e", "a"]), ("c", ["a", "b"]))]
    assert together == pytest.approx(alone)
    assert model.logprobs([]).shape == (0,)


def test_probabilities_of_the_known_words_and_the_rest_add_up_to_one():
    model = Trigrams(TEXTS)
    known = np.exp([model.logprobs([word], ["a", "b"])[0] for word in "abc"]).sum()
    unknown = 2 * np.exp(model.logprobs(["d"], ["a", "b"])[0])
    assert known + unknown + INTERPOLATION[3] / 5 == pytest.approx(1.0)  # the fifth number begins texts


def test_trigrams_of_nothing_are_refused():
    with pytest.raises(ValueError, match="a text with a word"):
        Trigrams([[]])


def test_naive_bayes_scales_the_log_odds_worked_by_hand():
    texts = [["good", "film"]] * 3 + [["bad", "film"]] * 3
    model = NaiveBayes(texts, [True] * 3 + [False] * 3)
    odds = 2 * math.log((3 + 1) / (0 + 1))  # "good" and "good film"; "film" says nothing
    assert model.probability(["good", "film"]) == pytest.approx(1 / (1 + math.exp(-SHARPNESS * odds)))
    assert model.probability(["film"]) == model.probability(["other"]) == model.probability([]) == 0.5


def test_naive_bayes_is_that_of_scikit_learn_on_the_words_that_are_there():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import BernoulliNB

    rng = np.random.default_rng(0)
    texts = [[f"w{number}" for number in rng.zipf(1.5, size=12) if number < 40] for _ in range(200)]
    labels = [bool(rng.random() < (0.8 if "w2" in words else 0.3)) for words in texts]
    model = NaiveBayes(texts, labels)
    vectorizer = CountVectorizer(analyzer=lambda words: [*zip(words), *pairwise(words)], binary=True, min_df=3)
    peer = BernoulliNB().fit(vectorizer.fit_transform(texts), labels)
    log_odds = vectorizer.transform(texts) @ (peer.feature_log_prob_[1] - peer.feature_log_prob_[0])
    expected = 1 / (1 + np.exp(-SHARPNESS * log_odds))
    assert len(model.keys) == len(vectorizer.vocabulary_) > 40
    assert np.ptp(expected) > 0.1
    assert [model.probability(words) for words in texts] == pytest.approx(expected)


def test_saying_a_word_often_speaks_no_louder():
    model = NaiveBayes([["good"]] * 3 + [["bad"]] * 3, [True] * 3 + [False] * 3)
    assert model.probability(["good"] * 9) == model.probability(["good"]) > 0.5


def test_words_of_two_texts_make_no_pair():
    model = NaiveBayes([["film", "good"], ["bad", "film"]] * 3, [True, False] * 3)
    pair = model.vocabulary.encode(["good", "bad"])
    assert (pair[0] + 1) * model.vocabulary.size + pair[1] not in model.keys


def test_naive_bayes_needs_both_labels():
    with pytest.raises(ValueError, match="both kinds"):
        NaiveBayes([["a"], ["b"]], [True, True])


def test_they_survive_pickling():
    model = pickle.loads(pickle.dumps(Trigrams(TEXTS)))
    assert model.logprobs(["c"], ["a", "b"]) == pytest.approx(Trigrams(TEXTS).logprobs(["c"], ["a", "b"]))
