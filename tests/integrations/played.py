"""A conversation of somebody who knows the task, for bridges to play again."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym

from dialogym.agents.base import in_interface
from dialogym.agents.rule import RuleAgent

TALKS = ("TextDialog-v0", "TextTwentyQuestions-v0", "TextWordle-v0", "TextNegotiation-v0", "TextArithmetic-v0")
"""One with tools, some of many turns, one of a single turn."""


class Played(NamedTuple):
    """A conversation as the environment itself plays it.

    Attributes:
        goal_id: what it is about.
        seed: what it was reset with.
        messages: all of it.
        opening: how many of them stand before the first reply.
        replies: what the rule said.
        rewards: of each.
        terms: of each reward.
        success: how it went.
    """

    goal_id: str
    seed: int
    messages: list[dict[str, str]]
    opening: int
    replies: list[str]
    rewards: list[float]
    terms: list[dict[str, float]]
    success: bool


def rule_plays(env: Any, seed: int = 3, goal_id: str | None = None, **options: Any) -> Played:
    """A conversation of the task's rule with an environment, played without any bridge.

    The rule may choose from a menu; its words are then played again in the text interface, as anybody's would be.
    """
    made = gym.make(env, **options)
    rule = RuleAgent(made)
    playing = in_interface(made, rule.interface)
    chosen = None if goal_id is None else {"goal_id": goal_id}
    observation, info = playing.reset(seed=seed, options=chosen)
    ended = False
    while not ended:
        observation, _, terminated, truncated, info = playing.step(rule.act(observation, info))
        ended = terminated or truncated
    return replay(env, playing.unwrapped.transcript.replies, seed, goal_id, **options)  # type: ignore[attr-defined]


def replay(env: Any, replies: list[str], seed: int, goal_id: str | None = None, **options: Any) -> Played:
    """The conversation of given replies, played without any bridge."""
    playing = gym.make(env, **{**options, "interface": "text"})
    _, info = playing.reset(seed=seed, options=None if goal_id is None else {"goal_id": goal_id})
    opening, rewards, terms, said = len(info["messages"]), [], [], []
    for reply in replies:
        _, reward, terminated, truncated, info = playing.step(reply)
        said.append(reply)
        rewards.append(float(reward))
        terms.append(info["reward_terms"])
        if terminated or truncated:
            break
    return Played(info["goal_id"], seed, info["messages"], opening, said, rewards, terms, info["success"])
