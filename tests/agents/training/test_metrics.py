"""Every number that an agent logs is explained, in the table that trackers and docs/metrics.md are made from."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("stable_baselines3")

import transformers

from dialogym.agents.language_model.agent import LanguageModelAgent
from dialogym.agents.registry import ENTRIES, agent_class
from dialogym.agents.training.metrics import METRICS
from dialogym.agents.training.progress import Pace
from dialogym.envs import remake

from ..tiny_lm import echo_env, tiny_model, tiny_tokenizer

LEARNERS = sorted(name for name, entry in ENTRIES.items() if entry.learns)
SMALL = {
    "sb3_ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 1},
    "sb3_maskable_ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 1},
    "sb3_a2c": {},
    "sb3_dqn": {"learning_starts": 32, "batch_size": 16, "buffer_size": 500},
    "sft": {"demonstrations": 8, "epochs": 1},
    "bert": {"epochs": 1, "max_length": 16},
    "grpo": {"group_size": 4, "kl_weight": 0.1, "importance_cap": 2.0},
    "rloo": {"group_size": 4, "importance_cap": 2.0},
}
"""Settings that make a training small, beyond those of its kind."""


@pytest.fixture(scope="module")
def speaker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speaker")
    tiny_model(tiny_tokenizer()).save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "bread", "tea")
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(str(folder))
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **shape)).save_pretrained(str(folder))
    return str(folder)


def trained_a_little(name, speaker, encoder, folder):
    """The rows that an agent logs, as `dialogym train` completes them."""
    kind, config = agent_class(name), dict(SMALL.get(name, {}))
    if name == "bert":
        things = [f"{thing} {number}" for thing in ("bread", "tea") for number in range(15)]
        texts = [{"text": f"{word} {thing}", "label": word} for word in ("good", "bad") for thing in things]
        (folder / "texts.jsonl").write_text("\n".join(map(json.dumps, texts)))
        env = remake("TextClassification-v0", interface="text", data=str(folder / "texts.jsonl"))
        config["model"] = encoder
    elif issubclass(kind, LanguageModelAgent):
        env = echo_env()
        config |= {"model": speaker, "max_reply_tokens": 3}
        if name != "sft":
            config |= {"env_turns": 64, "batch_conversations": 8, "num_reports": 1}
    else:
        env = remake("TextDialog-v0", interface="choices")
        config |= {"env_turns": 200, "num_reports": 2, **({"num_envs": 4} if name.startswith("sb3") else {})}
    agent, rows = kind(env, config=kind.Config(**config)), []
    pace = Pace(agent.budget, goes_on=False)
    agent.learn(env, log=lambda row: rows.append(pace.measured(row, agent.budget)), validate=lambda agent: 0.0)
    return rows


@pytest.mark.parametrize("name", LEARNERS)
def test_every_number_that_it_logs_is_explained(name, speaker, encoder, tmp_path):
    rows = trained_a_little(name, speaker, encoder, tmp_path)
    assert {"env_turns", "success", "return", "progress", "seconds"} <= {key for row in rows for key in row}
    assert {key for row in rows for key in row} <= METRICS.keys()


def test_there_are_agents_that_learn():
    assert {"q_learning", "sb3_ppo", "sft", "ppo", "bert"} <= set(LEARNERS)
