"""Defaults that follow the kind of model."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import gymnasium as gym

from dialogym.agents import load_agent, make_agent
from dialogym.agents.language_model.a2c import A2CConfig
from dialogym.agents.language_model.defaults import DEFAULTS, by_model, in_words
from dialogym.agents.language_model.grpo import GRPOConfig
from dialogym.agents.language_model.ppo import PPOConfig
from dialogym.agents.language_model.reinforce import ReinforceConfig
from dialogym.agents.language_model.rloo import RLOOConfig
from dialogym.agents.language_model.sft import SFTConfig

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer

CONFIGS = {
    "sft": SFTConfig, "reinforce": ReinforceConfig, "a2c": A2CConfig, "ppo": PPOConfig, "grpo": GRPOConfig,
    "rloo": RLOOConfig,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    tiny_model(tiny_tokenizer()).save(tmp_path / "tiny")
    return str(tmp_path / "tiny")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["scratch", "full", "lora"])
def test_nothing_is_left_open(name, kind, folder):
    model = {"scratch": {}, "full": {"model": folder}, "lora": {"model": folder, "lora_rank": 4}}[kind]
    config, found, taken = by_model(name, CONFIGS[name](**model))
    assert found == kind
    assert taken == {field: getattr(config, field) for field in taken}
    assert {"learning_rate", "max_reply_tokens", "warmup_updates"} <= set(taken)
    assert not [field for field in DEFAULTS if getattr(config, field, 0) is None]
    assert by_model(name, config)[2] == {}


def test_from_scratch_they_are_what_the_published_curves_were_learned_with():
    rates = {name: by_model(name, kind())[0].learning_rate for name, kind in CONFIGS.items() if name != "rloo"}
    assert rates == {"sft": 2e-3, "reinforce": 5e-5, "a2c": 1e-4, "ppo": 3e-4, "grpo": 1e-4}
    ppo, sft = by_model("ppo", PPOConfig())[0], by_model("sft", SFTConfig())[0]
    assert (ppo.batch_conversations, ppo.sampling_temperature, ppo.max_reply_tokens, ppo.warmup_updates) == (
        128,
        0.7,
        28,
        0,
    )
    assert (sft.epochs, sft.batch_size, sft.warmup_updates, sft.max_reply_tokens) == (10, 8, 50, 28)


def test_labels_are_learned_more_slowly_from_random_weights_than_sentences_are(folder, tmp_path):
    texts = [{"text": f"thing {n} is {word}", "label": word} for n in range(20) for word in ("up", "down")]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)))
    env = gym.make("TextClassification-v0", data=str(tmp_path / "texts.jsonl"))
    assert make_agent("sft", env).config.learning_rate == 5e-4
    assert make_agent("sft", env, learning_rate=1e-3).config.learning_rate == 1e-3
    assert make_agent("sft", env, model=folder).config.learning_rate == 5e-5
    assert make_agent("sft", echo_env()).config.learning_rate == 2e-3


def test_what_is_set_stays_set(folder):
    config, _, taken = by_model("grpo", GRPOConfig(model=folder, learning_rate=7e-5, batch_conversations=16))
    assert (config.learning_rate, config.batch_conversations) == (7e-5, 16)
    assert "learning_rate" not in taken
    assert make_agent("grpo", echo_env(), learning_rate=None).config.learning_rate == 1e-4


def test_a_model_that_was_made_from_scratch_here_is_no_pretrained_one(folder, tmp_path):
    small = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 16}
    sft = make_agent("sft", echo_env(), **small)
    assert sft.model_kind == "scratch"
    sft.save(tmp_path / "sft")
    assert make_agent("ppo", echo_env(), init=str(tmp_path / "sft")).model_kind == "scratch"

    tuned = make_agent("sft", echo_env(), model=folder, max_reply_tokens=3)
    tuned.save(tmp_path / "tuned")
    ppo = make_agent("ppo", echo_env(), init=str(tmp_path / "tuned"))
    assert ppo.model_kind == "full"
    assert ppo.config.learning_rate == 1e-5
    assert make_agent("ppo", echo_env(), init=str(tmp_path / "tuned"), lora_rank=2).config.learning_rate == 1e-4

    path = tmp_path / "sft" / "agent.json"  # one that was saved before kinds were
    description = json.loads(path.read_text())
    del description["model_kind"]
    path.write_text(json.dumps(description))
    assert make_agent("ppo", echo_env(), init=str(tmp_path / "sft")).model_kind == "scratch"


def test_what_was_taken_is_said_and_saved(folder, tmp_path, caplog):
    agent = make_agent("grpo", echo_env(), init=folder, max_reply_tokens=3, env_turns=1, batch_conversations=8)
    with caplog.at_level("INFO", logger="dialogym"):
        agent.learn(echo_env())
    said = (
        "defaults for fine-tuning a pretrained model: learning_rate 1e-05, warmup_updates 5, sampling_temperature 1.0"
    )
    assert agent.notice == said
    assert [record.getMessage() for record in caplog.records].count(f"grpo: {said}") == 1
    agent.save(tmp_path / "agent")
    again = load_agent(tmp_path / "agent", echo_env())
    assert again.config == agent.config
    assert again.taken == {"learning_rate": 1e-5, "warmup_updates": 5, "sampling_temperature": 1.0}
    assert again.model_kind == "full"
    assert "a LoRA adapter" in in_words("lora", {"epochs": 3})
