"""Policy gradients learn from random weights: two words to be said back, by a model of a few thousand weights.

A random policy says one of two words or ends its turn, so that it says the right word and nothing else once in nine
times, and succeeds in one conversation of 81; the best that does not listen succeeds in one of four.
"""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from dialogym.agents import make_agent

from ..tiny_lm import dawdle_env, echo_env, tiny_model, tiny_tokenizer

SETTINGS = {
    "reinforce": {"learning_rate": 1e-2, "batch_conversations": 48, "env_turns": 10_000},
    "a2c": {"learning_rate": 1e-2, "batch_conversations": 48, "env_turns": 10_000},
    "grpo": {"learning_rate": 5e-3, "batch_conversations": 96, "env_turns": 10_000},
    "rloo": {"learning_rate": 5e-3, "batch_conversations": 96, "env_turns": 10_000},
    "ppo": {"learning_rate": 3e-3, "batch_conversations": 128, "env_turns": 9_000, "kl_weight": 0.0},
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_it_learns_to_repeat_what_it_hears(name, tmp_path):
    tiny_model(tiny_tokenizer()).save(tmp_path)
    agent = make_agent(
        name, echo_env(), model=str(tmp_path), max_reply_tokens=3, sampling_temperature=1.0, reward_scale=1.0,
        entropy_weight=0.1, num_reports=1, warmup_updates=0, **SETTINGS[name],
    )  # fmt: skip
    assert sum(parameter.numel() for parameter in agent.lm.model.parameters()) < 10_000
    rows = []
    agent.learn(echo_env(), log=rows.append)
    assert rows[0]["success"] < 0.1
    assert sum(row["success"] for row in rows[-4:]) / 4 > 0.6


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_it_does_not_learn_to_fill_the_context(name, tmp_path):
    """A context of 24 tokens is full after three turns, which cost 3; the end costs 5, all twelve turns 12."""
    tiny_model(tiny_tokenizer(), max_position_embeddings=24).save(tmp_path)
    agent = make_agent(
        name, dawdle_env(), model=str(tmp_path), max_reply_tokens=3, sampling_temperature=1.0, num_reports=1,
        **{**SETTINGS[name], "env_turns": 6_000},
    )  # fmt: skip
    rows = []
    agent.learn(dawdle_env(), log=rows.append)
    assert rows[0]["turns"] > 5  # the context does not end it
    assert sum(row["success"] for row in rows[-4:]) / 4 > 0.8
