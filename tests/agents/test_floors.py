"""Floors stay on the floor, the rule reaches the ceiling, and each plays what it says."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from dialogym.agents import make_agent
from dialogym.agents.base import Agent
from dialogym.envs import remake

from .tiny import Bandit

ENV = "dialogym:TextDialog-v0"
FLOORS = ["do_nothing", "random", "repeat_last", "inform_everything", "claim_success"]


def success_of(agent: Agent, num_goals: int) -> float:
    env = remake("TextDialog-v0", interface=agent.interface, split="validation")
    goals = env.unwrapped.task.goal_ids("validation", num_goals)
    successes = 0
    for seed, goal in enumerate(goals):
        observation, info = env.reset(seed=seed, options={"goal_id": goal})
        ended = False
        while not ended:
            observation, _, terminated, truncated, info = env.step(agent.act(observation, info))
            ended = terminated or truncated
        successes += info["success"]
    return successes / num_goals


@pytest.mark.parametrize("name", FLOORS)
def test_a_floor_agent_does_not_succeed(name: str) -> None:
    agent = make_agent(name, ENV, seed=3)
    assert success_of(agent, 200) <= agent.task.floor


def test_the_rule_reaches_the_declared_ceiling() -> None:
    agent = make_agent("rule", ENV)
    assert success_of(agent, 200) >= agent.task.ceiling


@pytest.mark.parametrize("interface", ["text", "choices", "tokens"])
@pytest.mark.parametrize("name", [*FLOORS, "rule"])
def test_each_is_made_from_an_environment_in_any_interface(name: str, interface: str) -> None:
    agent = make_agent(name, gym.make(ENV, interface=interface))
    env = remake(ENV.partition(":")[2], interface=agent.interface)
    observation, info = env.reset(seed=0)
    assert env.action_space.contains(agent.act(observation, info))
    assert not agent.learns


def test_a_random_agent_chooses_every_allowed_reply_and_no_other() -> None:
    env = Bandit()
    agent = make_agent("random", env, seed=0)
    observation, info = env.reset()
    counts = np.bincount([agent.act(observation, info) for _ in range(300)], minlength=4)
    assert counts[3] == 0
    assert counts[:3].min() > 70  # 100 each on average, standard deviation 8


def test_a_random_agent_repeats_itself_under_the_same_seed() -> None:
    def acts(seed: int) -> list[Any]:
        agent = make_agent("random", ENV, seed=seed)
        return [agent.act(None, {"action_mask": np.ones(20, dtype=np.int8)}) for _ in range(20)]

    assert acts(1) == acts(1) != acts(2)


def test_a_random_agent_without_a_menu_says_something_plausible() -> None:
    env = gym.make("FrozenLake-v1")
    assert make_agent("random", env).act(0, {}) in range(4)


def test_repeat_last_says_what_it_was_told_and_not_what_it_said() -> None:
    agent = make_agent("repeat_last", ENV)
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "goodbye"}]
    assert agent.act("", {"messages": messages}) == "hello"
    assert agent.act("", {"messages": []}) == ""


def test_a_task_without_that_policy_says_so() -> None:
    with pytest.raises(ValueError, match="an environment without a task has no policy 'rule'; it has none"):
        make_agent("rule", gym.make("CartPole-v1"))
