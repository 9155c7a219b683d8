"""The rewards of small talk: worked by hand, with the anchors that every reward has."""

import pickle

import pytest

from dialogym.rewards import RewardError, Transcript, resolve
from dialogym.rewards.environments.chat import (
    FEATURES,
    ChatRating,
    Coherence,
    Novelty,
    Relevance,
    coherence,
    fit_ratings,
    likeness,
    novelty,
    predicted_rating,
    rating_features,
    relevance,
)

ASKED = "do you like jazz music ?"
GOLD = "no , rock is better"


def chat(reply, expected=(GOLD,), before=ASKED):
    said = [("system", "chat ."), ("user", before), ("assistant", reply)]
    messages = [{"role": role, "content": text} for role, text in said]
    return Transcript.of(messages, goal={"expected": [tuple(expected)]})


def test_likeness_counts_function_words_a_fifth():
    assert likeness("i like jazz", "i like rock") == pytest.approx(2 * 0.4 / (1.4 + 1.4))
    assert likeness("Jazz !", "jazz") == 1.0
    assert likeness("", "jazz") == likeness("jazz", "?") == 0.0


def test_saying_a_word_often_is_no_more_than_saying_it_once():
    assert likeness("jazz jazz jazz", "jazz rock") == likeness("jazz", "jazz rock") == pytest.approx(2 / 3)


def test_a_reply_of_a_similar_moment_is_worth_less_than_the_persons_own():
    assert coherence("rock", ["rock", "jazz"]) == 1.0
    assert coherence("jazz", ["rock", "jazz"]) == 0.8
    with pytest.raises(ValueError, match="at least one text"):
        coherence("jazz", [])


def test_novelty_falls_from_its_onset_to_zero_for_the_same_words():
    assert novelty("rock", ["jazz"]) == 1.0
    assert novelty("jazz rock", ["jazz"]) == pytest.approx((1 - 2 / 3) / 0.4)
    assert novelty("jazz !", ["jazz"]) == 0.0


def test_relevance_is_twice_the_share_of_content_words_spoken_of():
    assert relevance("jazz rock blues", ["do you like jazz ?"]) == pytest.approx(2 / 3)
    assert relevance("i like jazz", ["jazz"]) == 1.0
    assert relevance("yes i am", ["yes i am"]) == 0.0


@pytest.mark.parametrize("reward", [Coherence(), Novelty(), Relevance(), ChatRating(), resolve("chat")])
@pytest.mark.parametrize("reply", ["", " ", "?!"])
def test_a_reply_without_words_scores_the_floor(reward, reply):
    if reply == "?!" and reward.name == "sum":
        return  # its length fits
    assert reward(chat(reply)) == 0.0


def test_the_gold_reply_scores_the_maximum():
    assert Coherence()(chat(GOLD)) == Novelty()(chat(GOLD)) == 1.0
    assert resolve("chat")(chat(GOLD)) == pytest.approx(1.0)
    assert Relevance()(chat("jazz music is great")) == 1.0


def test_an_echo_is_not_new():
    assert Novelty()(chat(ASKED)) == 0.0
    assert resolve("chat")(chat(ASKED)) < resolve("chat")(chat(GOLD)) / 2


def test_coherence_says_what_it_misses_in_another_task():
    with pytest.raises(RewardError, match="must have 'expected'"):
        resolve("coherence")(Transcript.of([{"role": "assistant", "content": "hi"}], goal={}))


def test_the_features_of_a_rating_are_bounded_and_zero_without_words():
    assert rating_features([""]).tolist() == [0.0] * len(FEATURES)
    features = rating_features(["haha ! do you like extraordinary elephants ?"] * 3)
    assert ((features >= 0) & (features <= 1)).all()
    assert features[FEATURES.index("questions")] == features[FEATURES.index("laughter")] == 1.0


def test_a_ridge_regression_recovers_a_taste_for_questions():
    spoken = [["who are you ?"], ["i am me"], ["what is new ?"], ["all is well"]] * 25
    weights = fit_ratings(spoken, [0.9, 0.3, 0.9, 0.3] * 25, ridge=1e-3)
    assert predicted_rating(["where is that ?"], weights) > 0.75 > 0.45 > predicted_rating(["that is there"], weights)
    with pytest.raises(ValueError, match="as many ratings as conversations"):
        fit_ratings(spoken, [0.5])


def test_a_rating_stays_in_its_bounds_and_the_reward_survives_pickling():
    reward = pickle.loads(pickle.dumps(ChatRating({**dict.fromkeys(FEATURES, 5.0), "bias": 0.0})))
    assert reward(chat("how extraordinary ! is it ?")) == 1.0
    assert 0 < ChatRating()(chat("how extraordinary ! is it ?")) <= 1
