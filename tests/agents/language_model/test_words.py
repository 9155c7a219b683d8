"""The words of the small model: those of its environment, whoever makes it."""

import dataclasses
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest

from dialogym.agents.language_model import agent as agent_module
from dialogym.agents.language_model.demonstrations import demonstrate
from dialogym.agents.language_model.words import MAX_REPLY_TOKENS, words_of
from dialogym.agents.registry import load_agent, make_agent
from dialogym.envs import register_task
from dialogym.envs.tokenizer import load_tokenizer

from ..tiny_lm import Echo, echo_env, parts_done

SMALL = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "intermediate_size": 16}


@pytest.mark.parametrize(
    "env_id", ["TextArithmetic-v0", "TextNegotiation-v0", "TextTwentyQuestions-v0", "TextWordle-v0"]
)
def test_an_agent_with_no_settings_can_say_all_that_the_rule_says(env_id):
    env = gym.make(env_id)
    agent = make_agent("ppo", env, **SMALL)
    said = [
        message["content"]
        for conversation in demonstrate(env, 60, 0.0, seed=5).conversations
        for message in conversation
        if message["role"] == "assistant"
    ]
    lengths = np.array([len(agent.lm.tokenizer.encode(reply)) for reply in said])
    assert np.mean(lengths < agent.config.max_reply_tokens) >= 0.98
    assert agent.config.max_reply_tokens <= MAX_REPLY_TOKENS
    assert agent.taken["max_reply_tokens"] == agent.config.max_reply_tokens


@pytest.mark.parametrize("start", ["init", "model"])
def test_who_starts_from_an_agent_may_say_as_much_as_it(tmp_path, start):
    env = gym.make("TextArithmetic-v0")
    first = make_agent("sft", env, **SMALL)
    assert first.config.max_reply_tokens > 28
    first.save(tmp_path / "first")
    then = make_agent("ppo", env, **{start: str(tmp_path / "first")})
    assert then.config.max_reply_tokens == then.taken["max_reply_tokens"] == first.config.max_reply_tokens
    assert make_agent("ppo", env, **{start: str(tmp_path / "first")}, max_reply_tokens=9).config.max_reply_tokens == 9


def test_the_restaurant_guide_keeps_the_words_that_ship():
    assert words_of(gym.make("TextDialog-v0")) is None
    agent = make_agent("sft", gym.make("TextDialog-v0"), **SMALL)
    assert (len(agent.lm.tokenizer), agent.config.max_reply_tokens) == (len(load_tokenizer()), 28)


def test_a_task_says_whether_its_letters_or_digits_are_read_one_by_one():
    wordle, arithmetic = words_of("TextWordle-v0"), words_of("TextArithmetic-v0")
    assert len(wordle.tokenizer.encode("crane")) == 6
    assert len(arithmetic.tokenizer.encode("123 marbles")) == 5
    assert arithmetic.tokenizer.decode(arithmetic.tokenizer.encode("123 marbles")) == "123 marbles"


def test_the_words_do_not_depend_on_the_seed_the_interface_or_the_wrappers():
    one = words_of(gym.make("TextWordle-v0", interface="tokens", split="test"))
    options = {"max_turns": 5}
    for env in (
        gym.wrappers.TimeLimit(gym.make("TextWordle-v0", interface="text", **options), 3),
        gym.make_vec("TextWordle-v0", num_envs=2, interface="text", **options),
        "TextWordle-v0",
    ):
        again = words_of(env)
        assert again.max_reply_tokens == one.max_reply_tokens
        assert again.tokenizer.encode("S - L ? A ! T - E -") == one.tokenizer.encode("S - L ? A ! T - E -")


def test_settings_go_before_the_words_of_an_environment(tmp_path):
    assert make_agent("sft", echo_env(), max_reply_tokens=3).config.max_reply_tokens == 3
    load_tokenizer().save(tmp_path)
    agent = make_agent("sft", echo_env(), tokenizer=str(tmp_path), **SMALL)
    assert len(agent.lm.tokenizer) == len(load_tokenizer())


def test_what_was_saved_is_loaded_with_its_words_and_no_others_are_looked_for(tmp_path, monkeypatch):
    agent = make_agent("sft", gym.make("TextWordle-v0"), **SMALL)
    agent.lm  # noqa: B018 (made)
    agent.save(tmp_path)

    def refuse(*_):
        raise AssertionError("the folder has words")

    monkeypatch.setattr(agent_module, "words_of", refuse)
    loaded = load_agent(tmp_path)
    assert loaded.config == agent.config
    assert loaded.lm.tokenizer.encode("Is it crane?") == agent.lm.tokenizer.encode("Is it crane?")


def test_conversations_to_imitate_bring_their_words():
    longest = "the quixotic zephyr juggled eleven sphinxes by the black quartz harbour at midnight"
    data = [
        {"messages": [{"role": "user", "content": f"number {n}?"}, {"role": "assistant", "content": longest}]}
        for n in range(20)
    ]
    with_data, without = (make_agent("sft", echo_env(), data=given, **SMALL) for given in (data, None))
    lengths = [len(agent.lm.tokenizer.encode(longest)) for agent in (with_data, without)]
    assert lengths[0] <= len(longest.split()) + 1 < lengths[1]
    assert with_data.config.max_reply_tokens >= lengths[0] > without.config.max_reply_tokens


class Ruleless(Echo):
    """Echo, without a rule to show how."""

    policies: ClassVar = {}


def test_without_a_rule_the_words_are_those_that_conversations_begin_with():
    if "TinyRuleless-v0" not in gym.registry:
        register_task("TinyRuleless-v0", Ruleless, max_turns=5, reward=parts_done)
    env = gym.make("TinyRuleless-v0", interface="text")
    words = words_of(env)
    opening = env.reset(seed=0)[1]["messages"][-1]["content"]
    assert len(words.tokenizer.encode(opening)) < len(load_tokenizer().encode(opening))
    assert words.max_reply_tokens == MAX_REPLY_TOKENS


def test_no_model_on_the_other_side_is_asked_for_them():
    def partner(messages):
        raise AssertionError("asked")

    env = gym.make("TextNegotiation-v0", interface="text", partner=partner)
    assert words_of(env).max_reply_tokens == words_of("TextNegotiation-v0").max_reply_tokens


def test_an_environment_of_somebody_else_leaves_the_words_that_ship():
    assert words_of(gym.make("CartPole-v1")) is None
    assert words_of(dataclasses.replace(gym.spec("CartPole-v1"))) is None
