"""Coverage and fluency of a sentence with given words: stems worked by hand, anchors, and each part of the guard."""

import math

import pytest

from dialogym.rewards import RewardError, resolve
from dialogym.rewards.environments.keywords import NO_SENTENCE, FluencyGuard, Keywords, coverage, stem, tokens_of

from ..conversations import saying

SUBJECTS, VERBS, OBJECTS = ("dog", "cat", "man", "girl"), ("chased", "found", "threw", "wanted"), ("ball", "toy", "hat")
SENTENCES = [
    f"the {subject} {verb} the {adjective} {thing} in the garden ."
    for subject in SUBJECTS
    for verb in VERBS
    for thing in OBJECTS
    for adjective in ("red", "old")
]
GOOD = "the girl chased the red hat in the garden ."
WORDS = ("girl", "hat", "chase")


@pytest.fixture(scope="module")
def guard():
    return FluencyGuard(SENTENCES)


@pytest.mark.parametrize(
    "forms",
    [
        "dragon dragons Dragon's dragons’", "story stories", "love loves loved loving", "run runs running",
        "class classes", "stop stopped stopping", "play plays played playing", "try tries tried trying",
        "fill filled filling", "brave", "king kings", "bus", "this",
    ],
)  # fmt: skip
def test_inflections_have_one_stem(forms):
    assert len({stem(form) for form in forms.split()}) == 1


@pytest.mark.parametrize("pair", ["king ring", "bravery brave", "bus bu", "red reed", "sing s", "need ne", "go went"])
def test_different_words_keep_different_stems(pair):
    first, second = pair.split()
    assert stem(first) != stem(second)


def test_coverage_is_the_share_of_words_used():
    assert coverage("Dragons LOVED it.", ["dragon", "love", "castle"]) == pytest.approx(2 / 3)
    assert coverage("", ["dragon"]) == coverage("dragonfly", ["dragon"]) == 0.0
    assert coverage("brave dragon castle", ["castle", "dragon", "brave"]) == 1.0
    with pytest.raises(ValueError, match="coverage needs at least one word"):
        coverage("a", [])


def test_log_odds_are_bigram_against_bare_word(guard):
    tokens = tokens_of("the dog .")
    total = guard.counts.total() + len(SENTENCES) + len(guard.counts) + 1
    bare = [math.log((count + 1) / total) for count in (3 * len(SENTENCES), len(SENTENCES) // 4, len(SENTENCES))]
    bare.append(math.log((len(SENTENCES) + 1) / total))
    expected = [after - alone for after, alone in zip(guard.model.logprobs(tokens), bare, strict=True)]
    assert guard.log_odds(tokens) == pytest.approx(expected)


def test_a_real_sentence_is_fluent_and_scores_the_maximum(guard):
    assert guard(GOOD, WORDS) == 1.0
    assert Keywords(guard)(saying(GOOD, goal={"words": WORDS})) == 1.0


@pytest.mark.parametrize("reply", ["", "  ", " . ", "?!", "🙂"])
def test_a_reply_without_words_is_not(guard, reply):
    assert guard(reply, WORDS) == 0.0
    assert Keywords(guard)(saying(reply, goal={"words": WORDS})) == 0.0


@pytest.mark.parametrize(
    "reply",
    [
        "girl hat chase", "girl , hat , chase", "girl and hat and chase .", "the girl and the hat and the chase .",
        "garden the hat in red the chased girl the .", "the dog found the old toy in the garden girl hat chase .",
    ],
)  # fmt: skip
def test_lists_and_shuffled_words_are_not(guard, reply):
    assert coverage(reply, WORDS) == 1.0
    assert guard(reply, WORDS) < 0.3


def test_given_words_in_forms_that_were_never_seen_are_a_list_as_well(guard):
    words = ("hat", "toy", "ball", "cat", "man")
    reply = "the girl chased the dog in the garden hat's toy's ball's cat's man's ."
    assert coverage(reply, words) == 1.0
    assert guard.log_odds(tokens_of(reply))[-4] > 0.0  # cat's: unknown after unknown, which the model knows nothing of
    assert guard(reply, words) < 0.3


def test_it_must_be_one_sentence(guard):
    assert guard(GOOD.removesuffix(" ."), WORDS) <= NO_SENTENCE
    assert guard("the girl . chased the red hat in the garden .", WORDS) <= NO_SENTENCE


def test_length_fits_the_number_of_given_words(guard):
    assert guard(GOOD, ("girl", "chase", "red", "hat")) == 1.0
    assert guard(GOOD, ("girl", "chase", "red", "hat", "garden")) == pytest.approx((9 - 5) / (5 + 1))
    long = " ".join(["the girl chased the red hat in the garden"] * 5) + " ."
    assert guard(long, WORDS) < 0.3


def test_repetition_costs(guard):
    twice = "the girl chased the red hat in the garden in the garden ."
    assert guard(twice, WORDS) == pytest.approx(1 - 2 / 12)  # "in the" and "the garden", of 13 tokens


def test_the_share_of_words_multiplies_fluency(guard):
    goal = {"words": ("girl", "castle")}
    assert Keywords(guard)(saying(GOOD, goal=goal)) == pytest.approx(0.5)


def test_another_task_is_told():
    with pytest.raises(RewardError, match="goal must have 'words', got None"):
        resolve("keywords")(saying("hello"))
