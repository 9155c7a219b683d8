"""Our environments as GEM's, on GEM where it is installed: its registry, wrappers and vector environments."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dialogym.integrations.episode import text_of

from .played import TALKS, replay, rule_plays
from .stand_ins import bridge_to, modules_of

installed = pytest.mark.skipif(importlib.util.find_spec("gem") is None, reason="needs gem-llm")
pytestmark = pytest.mark.filterwarnings("ignore")


def stand_in() -> dict[str, ModuleType]:
    """GEM's base class and registry, as in gem-llm 0.1."""
    registry: dict[str, Any] = {}

    class Env:
        @property
        def unwrapped(self) -> Any:
            return self

    def register(env_id: str, entry_point: Any, **options: Any) -> None:
        if env_id in registry:
            raise ValueError(f"Environment {env_id} already registered.")
        registry[env_id] = lambda **more: entry_point(**{**options, **more})

    def make(env_id: str, **options: Any) -> Any:
        return registry[env_id](**options)

    return modules_of(gem={"Env": Env, "register": register, "make": make})


@pytest.fixture(scope="module")
def bridge() -> Iterator[Any]:
    with bridge_to("gem", stand_in) as module:
        module.register(*TALKS)
        yield module


@pytest.mark.parametrize("env_id", TALKS)
def test_a_conversation_is_that_of_the_environment_each_message_told_once(bridge, env_id):
    played = rule_plays(env_id)
    env = bridge.gem.make(f"dialogym:{env_id}")
    observation, info = env.reset(seed=played.seed)
    assert observation == text_of(played.messages[: played.opening])
    assert info == {"goal_id": played.goal_id, "task": played.goal_id}
    spoken = [place for place, message in enumerate(played.messages) if message["role"] == "assistant"]
    turns = []
    for reply, begin, end in zip(played.replies, spoken, [*spoken[1:], None], strict=True):
        observation, *turn = env.step(reply)
        turns.append(turn)
        assert observation == text_of(played.messages[begin + 1 : end])
    assert [reward for reward, *_ in turns] == played.rewards
    assert [terminated for _, terminated, _, _ in turns] == [False] * (len(turns) - 1) + [True]
    assert [info["reward_terms"] for *_, info in turns] == played.terms
    assert turns[-1][-1]["success"] is True
    assert turns[-1][-1]["task"] == played.goal_id


def test_the_limit_of_turns_truncates(bridge):
    env = bridge.gem.make("dialogym:TextDialog-v0", max_turns=2, split="test")
    env.reset(seed=1)
    assert env.step("Hello.")[2:4] == (False, False)
    assert env.step("Hello.")[2:4] == (False, True)


def test_a_goal_is_shared_by_its_id_or_by_the_seed_and_the_global_randomness_is_left_alone(bridge):
    state, numpy_state = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (bridge.gem.make("dialogym:TextDialog-v0", goal_id="123", seed=seed) for seed in (1, 2))
    (opening, info), (other, again) = first.reset(), second.reset()
    assert info["task"] == again["task"] == "123"
    assert opening != other
    assert second.reset(seed=1)[0] == opening
    free = bridge.gem.make("dialogym:TextDialog-v0")
    goals = [free.reset(seed=seed)[1]["task"] for seed in (5, 5, 6)]
    assert goals[0] == goals[1] != goals[2]
    assert free.reset()[1]["task"] != goals[2]  # no seed goes on with the randomness
    assert random.getstate() == state
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_the_reset_says_how_the_last_conversation_went(bridge):
    played = rule_plays("TextArithmetic-v0")
    env = bridge.gem.make("dialogym:TextArithmetic-v0")
    env.reset(seed=played.seed)
    for reply in played.replies:
        env.step(reply)
    last = env.reset()[1]["last_episode"]
    assert last["goal_id"] == played.goal_id
    assert (last["success"], last["return"], last["turns"]) == (1, sum(played.rewards), len(played.rewards))


def test_another_environment_begins_anew_or_in_the_same_place(bridge):
    played = rule_plays("TextWordle-v0")
    assert len(played.replies) > 2
    env = bridge.gem.make("dialogym:TextWordle-v0")
    env.reset(seed=played.seed)
    env.step(played.replies[0])
    same = env.spawn(same_state=True)
    assert same._episode.env.unwrapped.task is env._episode.env.unwrapped.task
    assert same.step(played.replies[1]) == env.step(played.replies[1])
    same.step("crane")
    assert env.step(played.replies[2])[1] == played.rewards[2]  # one does not hear the other
    anew = env.spawn(goal_id="7", max_turns=1)
    assert anew.reset(seed=1)[1]["task"] == "7"
    assert anew.step("crane")[3]
    with pytest.raises(ValueError, match="nothing can differ, got max_turns"):
        env.spawn(same_state=True, max_turns=1)


def test_what_is_there_is_registered_once_and_can_say_something(bridge):
    assert bridge.register("TextKeywords-v0", split="test") == ["dialogym:TextKeywords-v0"]
    with pytest.raises(ValueError, match="already registered"):
        bridge.register("TextKeywords-v0")
    env = bridge.gem.make("dialogym:TextKeywords-v0")
    assert env._episode.env.unwrapped.split == "test"
    env.reset(seed=1)
    assert isinstance(env.step(env.sample_random_action())[0], str)


# GEM itself


@installed
def test_gems_vector_environment_plays_each_row_and_keeps_how_it_ended(bridge):
    import gem

    rows = [rule_plays("TextArithmetic-v0", seed) for seed in (7, 8)]
    for asynchronous in (False, True):
        env = gem.make_vec(["dialogym:TextArithmetic-v0"] * 2, seed=7, async_mode=asynchronous)
        observations, infos = env.reset()
        assert [info["task"] for info in infos] == [row.goal_id for row in rows]
        assert observations == [text_of(row.messages[: row.opening]) for row in rows]
        observations, rewards, terminated, truncated, infos = env.step([row.replies[0] for row in rows])
        assert rewards.tolist() == [row.rewards[0] for row in rows]
        assert terminated.all()
        assert not truncated.any()
        assert [info["last_episode"]["goal_id"] for info in infos] == [row.goal_id for row in rows]
        assert [info["last_episode"]["success"] for info in infos] == [1, 1]


@installed
def test_gems_wrappers_put_the_conversation_together_from_what_is_new(bridge):
    import gem
    from gem.wrappers.wrapper_factory import get_wrapper_fns

    played = rule_plays("TextWordle-v0")
    env = gem.make("dialogym:TextWordle-v0")
    for wrap in get_wrapper_fns("concat_with_action,episode_tracking"):
        env = wrap(env)
    read, _ = env.reset(seed=played.seed)
    for reply in played.replies:
        before = read
        read, *_, info = env.step(reply)
        assert read.startswith(f"{before}{reply}\n")
    assert info["cumulative_rewards"] == pytest.approx(sum(played.rewards))
    assert info["step_counter"] == len(played.replies)
    assert read.count(played.messages[0]["content"]) == 1


@installed
def test_a_tiny_language_model_plays_through_gems_chat_template_wrapper(bridge):
    torch = pytest.importorskip("torch")
    import gem
    from gem.wrappers.wrapper_factory import get_wrapper_fns

    from ..agents.tiny_lm import echo_env, tiny_model, tiny_tokenizer

    echo_env()
    bridge.register("TinyEcho-v0")
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer).model
    env = gem.make("dialogym:TinyEcho-v0")
    for wrap in get_wrapper_fns("concat_chat", tokenizer.hf):
        env = wrap(env)
    torch.manual_seed(0)
    read, _ = env.reset(seed=4)
    replies, rewards, ended = [], [], False
    while not ended:
        ids = tokenizer.hf(read, return_tensors="pt").input_ids
        said = model.generate(ids, max_new_tokens=1, do_sample=True)[0, ids.shape[1] :]
        replies.append(tokenizer.hf.decode(said, skip_special_tokens=True))
        read, reward, terminated, truncated, _ = env.step(replies[-1])
        rewards.append(reward)
        ended = terminated or truncated
    assert rewards == replay("TinyEcho-v0", replies, 4).rewards
