"""What a comparison adapts to its environment."""

import dataclasses
import json

import gymnasium as gym
import pytest

from dialogym.agents.language_model.words import MAX_REPLY_TOKENS
from dialogym.evaluation.compare.arms import PRESETS, arms_of
from dialogym.evaluation.compare.suited import speech_settings, suited_preset

from .. import tasks  # noqa: F401 (registers EvaluationWords-v0)

QUICK = PRESETS["quick"]


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "texts.jsonl"
    texts = [{"text": f"thing {number} is {word}", "label": word} for number in range(40) for word in ("up", "down")]
    path.write_text("\n".join(json.dumps(text) for text in texts))
    return gym.make("TextClassification-v0", data=str(path))


def test_a_conversation_of_many_turns_has_the_demonstrations_of_the_preset_and_no_labels():
    suited = suited_preset(QUICK, gym.make("TextDialog-v0"))
    assert suited == dataclasses.replace(QUICK, labels=0)


def test_a_conversation_of_one_turn_has_ten_times_more_and_a_curve_in_proportion():
    suited = suited_preset(QUICK, gym.make("TextArithmetic-v0"))
    assert suited.demonstrations == 10 * QUICK.demonstrations
    assert suited.demonstration_curve == tuple(10 * count for count in QUICK.demonstration_curve)


def test_on_labelled_texts_the_language_model_and_the_classifier_learn_from_the_same_number_of_gold_labels(labelled):
    suited = suited_preset(QUICK, labelled)
    arms = {arm.name: arm.config for arm in arms_of(suited, 0)}
    assert arms["sft"]["demonstrations"] == arms["bert"]["num_examples"] == QUICK.labels


def test_the_restaurant_guide_has_the_words_that_ship_and_other_tasks_get_their_own(tmp_path):
    pytest.importorskip("transformers")
    assert speech_settings(gym.make("TextDialog-v0"), tmp_path / "none", 0) == {}
    settings = speech_settings(gym.make("EvaluationWords-v0"), tmp_path / "words", 0)
    assert settings["tokenizer"] == str(tmp_path / "words")
    assert 1 < settings["max_reply_tokens"] <= MAX_REPLY_TOKENS
    assert speech_settings(gym.make("EvaluationWords-v0"), tmp_path / "words", 0) == settings
