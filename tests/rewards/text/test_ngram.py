"""The word n-gram model, against probabilities worked by hand, and what must hold for any corpus."""

import itertools
import math
import pickle

import pytest

from dialogym.rewards.text.ngram import DEFAULT_DISCOUNT, NGramModel, discount_of

SENTENCES = [sentence.split() for sentence in ("a b", "a b", "a c", "b c a")]
LONGER = [
    sentence.split()
    for sentence in (
        "the cat sat on the mat",
        "the dog sat on the mat",
        "the cat saw the dog",
        "a dog ran",
        "a cat ran on the mat",
        "",
    )
]


def test_discounts_are_those_of_ney():
    assert discount_of([1, 1, 1, 2, 5]) == pytest.approx(3 / (3 + 2 * 1))
    assert discount_of([1, 1]) == discount_of([2, 2]) == discount_of([]) == DEFAULT_DISCOUNT


def test_bigrams_are_those_worked_by_hand():
    # Bigrams: <a 3, <b 1, ab 2, ac 1, a> 1, b> 2, bc 1, c> 1, ca 1; n1 = 6, n2 = 2, so D = 6 / 10.
    # Kinds of words before each: a {<, c} 2, b {<, a} 2, c {a, b} 2, end {a, b, c} 3; no 1, so D = 0.75. Of 9 in all.
    model = NGramModel(order=2).fit(SENTENCES)
    uniform = 1 / 5  # a, b, c, the end, and one unknown word
    b = (2 - 0.75) / 9 + 4 * 0.75 / 9 * uniform
    assert model.probability("b", ["a"]) == pytest.approx((2 - 0.6) / 4 + 3 * 0.6 / 4 * b)
    end = (3 - 0.75) / 9 + 4 * 0.75 / 9 * uniform
    assert model.probability(None, ["c"]) == pytest.approx((1 - 0.6) / 2 + 2 * 0.6 / 2 * end)
    a = (2 - 0.75) / 9 + 4 * 0.75 / 9 * uniform
    assert model.probability("a", []) == pytest.approx((3 - 0.6) / 4 + 2 * 0.6 / 4 * a)
    assert model.probability("z", ["b"]) == pytest.approx(2 * 0.6 / 3 * 4 * 0.75 / 9 * uniform)


def test_the_beginning_of_a_sentence_keeps_its_plain_counts_in_lower_orders():
    # Of trigrams, "< a" was seen 3 times before "< b"'s 1, though each is preceded by nothing.
    model = NGramModel(order=3).fit(SENTENCES)
    assert model.probability("a", []) > 2 * model.probability("b", [])


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_after_any_words_add_up_to_one(order):
    model = NGramModel(order).fit(LONGER)
    vocabulary = [*model.ids, "unseen", None]
    befores = [[], ["the"], ["unseen"], ["on", "the"], ["mat", "mat", "a"], ["the", "cat", "sat", "on", "the"]]
    for before in befores:
        assert math.fsum(model.probability(word, before) for word in vocabulary) == pytest.approx(1.0)


def test_a_sentence_is_the_product_of_its_words_and_its_end():
    model = NGramModel(3).fit(LONGER)
    words = ["the", "cat", "ran", "on", "the", "dog"]
    by_hand = [math.log(model.probability(word, words[:place])) for place, word in enumerate([*words, None])]
    assert model.logprobs(words) == pytest.approx(by_hand)
    assert model.logprob(words) == pytest.approx(math.fsum(by_hand))
    assert model.perplexity(words) == pytest.approx(math.exp(-math.fsum(by_hand) / 7))


def test_sentences_are_likelier_than_their_words_in_another_order():
    model = NGramModel(3).fit(LONGER)
    words = ["the", "cat", "sat", "on", "the", "dog"]
    others = {model.logprob(order) for order in itertools.permutations(words) if list(order) != words}
    assert model.logprob(words) >= max(others)
    assert sum(other < model.logprob(words) - 1 for other in others) > 0.9 * len(others)


def test_unseen_words_are_unlikely_and_finite():
    model = NGramModel(3).fit(LONGER)
    assert -math.inf < model.logprob(["zzz"] * 50) < 50 * model.logprob(["the"])
    assert math.isfinite(model.logprob([]))


def test_it_pickles_and_can_be_fitted_again():
    model = NGramModel(3).fit(LONGER)
    twin = pickle.loads(pickle.dumps(model))
    assert twin.logprobs(["the", "cat", "ran"]) == model.logprobs(["the", "cat", "ran"])
    assert model.fit(SENTENCES).ids.keys() == {"a", "b", "c"}


def test_wrong_use_is_told():
    with pytest.raises(ValueError, match="order must be an int of at least 1, got 0"):
        NGramModel(0)
    with pytest.raises(ValueError, match="fit needs a sentence with a word, got 2 sentences and none has one"):
        NGramModel().fit([[], []])
    with pytest.raises(TypeError, match="a sentence must be a sequence of words, got the text 'the cat'"):
        NGramModel().fit(["the cat"])
    for use in (lambda: NGramModel().logprobs(["a"]), lambda: NGramModel().probability("a", [])):
        with pytest.raises(RuntimeError, match="call fit first"):
            use()
