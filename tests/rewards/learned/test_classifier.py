"""A sequence classifier as a reward: probabilities of a tiny one, its labels, and the folder of a saved agent."""

import json
import sys

import gymnasium as gym
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from dialogym.agents.registry import make_agent
from dialogym.rewards import Classifier, Steering, Transcript

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "was", "lovely", "awful", "long", "."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A BERT of random weights with two labels."""
    place = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, id2label={0: "negative", 1: "Positive"}, label2id={"negative": 0, "Positive": 1},
        initializer_range=0.1,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(str(place))
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(str(place))
    return str(place)


def saying(reply, before="the film", **goal):
    messages = [{"role": "user", "content": before}, {"role": "assistant", "content": reply}]
    return Transcript.of(messages, goal=goal)


def expected(folder, text, label):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0, label].item()


def test_it_is_the_probability_of_the_label(folder):
    reward = Classifier(folder, label="positive")
    assert reward(saying("was lovely .")) == pytest.approx(expected(folder, "was lovely .", 1), abs=1e-5)
    assert reward(saying("was lovely .")) != pytest.approx(reward(saying("was awful .")), abs=1e-3)


def test_the_labels_add_up_to_one_and_may_be_numbers(folder):
    positive, negative, second = (Classifier(folder, label=label) for label in ("POSITIVE", "negative", 1))
    said = saying("was long .")
    assert positive(said) + negative(said) == pytest.approx(1.0)
    assert second(said) == positive(said)


def test_without_a_label_the_goals_target_is_wanted(folder):
    reward, said = Classifier(folder), "was lovely ."
    assert reward(saying(said, target="negative")) == pytest.approx(expected(folder, said, 0), abs=1e-5)
    assert reward(saying(said, target="positive")) == pytest.approx(expected(folder, said, 1), abs=1e-5)
    with pytest.raises(ValueError, match="the goal has no 'target': give a label, one of negative, Positive"):
        reward(saying(said))


def test_a_batch_scores_as_single_calls_do_and_an_empty_reply_is_the_floor(folder):
    replies = ["was lovely .", "", "the film was long . the film was awful .", " ", "lovely", "was awful ."]
    reward = Classifier(folder, label="positive", batch_size=2)
    found = reward.batch([saying(reply) for reply in replies])
    assert found == pytest.approx([reward(saying(reply)) for reply in replies], abs=1e-5)
    assert found[1] == found[3] == 0.0
    assert all(0 < value < 1 for place, value in enumerate(found) if place not in (1, 3))


def test_it_reads_the_prompt_too_where_it_is_asked_to(folder):
    reward = Classifier(folder, label="positive", include_prompt=True)
    assert reward(saying("was long .")) == pytest.approx(expected(folder, "the film was long .", 1), abs=1e-5)
    answered = saying("was long .")
    answered.append(("user", "was lovely ."))  # the partner's answer is no prompt of the reply
    assert reward(answered) == reward(saying("was long ."))


def test_a_text_is_cut_at_the_limit(folder):
    reward = Classifier(folder, label="positive", max_length=5)
    assert reward(saying("the film was awful . " * 100)) == reward(saying("the film was long"))


def test_a_model_is_left_in_the_mode_it_was_in(folder):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).train()
    reward = Classifier(model, transformers.AutoTokenizer.from_pretrained(folder), label="positive")
    assert reward(saying("was lovely .")) == pytest.approx(expected(folder, "was lovely .", 1), abs=1e-5)
    assert model.training


def test_what_cannot_be_a_classifier_is_told(folder):
    with pytest.raises(ValueError, match="label must be one of negative, Positive, or its number, got 'neutral'"):
        Classifier(folder, label="neutral")
    with pytest.raises(ValueError, match="got 2"):
        Classifier(folder, label=2)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        Classifier(folder, label=1, batch_size=0)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    with pytest.raises(TypeError, match="needs its tokenizer too"):
        Classifier(model, label="positive")
    model.config.num_labels = 1
    model.config.id2label = {0: "score"}
    with pytest.raises(ValueError, match="at least two labels, got score"):
        Classifier(model, transformers.AutoTokenizer.from_pretrained(folder))


def test_a_saved_bert_agent_rewards_continuations(folder, tmp_path):
    lines = [
        json.dumps({"text": f"and the film was {word} . it was number {number} for all of us .", "label": label})
        for number in range(100)
        for word, label in (("lovely", "positive"), ("awful", "negative"))
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    labelled = gym.make("TextClassification-v0", data=str(path))
    config = {"model": folder, "max_length": 40, "epochs": 4, "batch_size": 8, "learning_rate": 3e-3}
    fine = "and the film was lovely . it was so good for all of us ."
    agent = make_agent("bert", labelled, **config)
    agent.learn(labelled)
    agent.save(tmp_path / "agent")
    for reward in (Classifier(tmp_path / "agent", label="positive"), Steering(Classifier(tmp_path / "agent"))):
        env = gym.make("TextContinuation-v0", interface="text", reward=reward)
        scores = {}
        for reply in (fine, fine.replace("lovely", "awful"), ""):
            env.reset(seed=0)
            _, scores[reply], _, _, info = env.step(reply)
            assert info["reward_terms"] == {reward.name: scores[reply]}
        lovely, awful, empty = scores.values()
        assert lovely > 0.7 > 0.3 > awful >= empty == 0.0


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r'pip install "dialogym\[lm\]"'):
        Classifier("no/such/folder")
