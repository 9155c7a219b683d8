"""Partners that do wrong on purpose, and conversations that are played twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym

from dialogym.agents.registry import make_agent

GOAL = "9"
"""Of TextDialog: expensive Chinese food in the centre, address and postcode, a table for 1 on Sunday at 18:30."""
ONE_WISH = "26"
"""Something cheap, phone and address."""


def scripted(*lines: str) -> Callable[[Sequence[Any]], str]:
    """A partner that says these lines, one after the other, and the last one for ever; a conversation begins anew."""

    def say(messages: Sequence[Any]) -> str:
        turn = sum(message["role"] == "assistant" for message in messages)
        return lines[min(turn, len(lines) - 1)]

    return say


def had_with(agent: str, seeds: Sequence[int], id: str = "TextDialog-v0", **options: Any) -> list[dict[str, Any]]:
    """Conversations of a known agent: the last info of each."""
    env = gym.make(id, **options)
    player = make_agent(agent, env, seed=0)
    env = gym.make(id, interface=player.interface, **options)
    found = []
    for seed in seeds:
        observation, info = env.reset(seed=seed)
        ended = False
        while not ended:
            observation, _, terminated, truncated, info = env.step(player.act(observation, info))
            ended = terminated or truncated
        found.append(info)
    return found


class Echo:
    """Says what it is told to say next."""

    def __init__(self) -> None:
        self.next = ""

    def __call__(self, messages: Sequence[Any]) -> str:
        return self.next


def played_twice(
    agent: str, seeds: Sequence[int], id: str = "TextDialog-v0", **options: Any
) -> list[tuple[Any, Any, bool, bool]]:
    """Conversations with the rule-based partner, and the same words said by a speaker: both partners and successes."""
    echo = Echo()
    first = gym.make(id, interface="text", **options)
    player = make_agent(agent, first, seed=0)
    first = gym.make(id, interface=player.interface, **options)
    second = gym.make(id, interface="text", partner=echo, **options)
    found = []
    for seed in seeds:
        observation, info = first.reset(seed=seed)
        echo.next = first.unwrapped.transcript.messages[-1]["content"]
        second.reset(seed=seed)
        ended = other_ended = False
        other: dict[str, Any] = {}
        while not ended:
            observation, _, terminated, truncated, info = first.step(player.act(observation, info))
            ended = terminated or truncated
            transcript = first.unwrapped.transcript
            echo.next = transcript.messages[-1]["content"]
            if not other_ended:
                _, _, terminated, truncated, other = second.step(transcript.replies[-1])
                other_ended = terminated or truncated
        found.append((first.unwrapped.partner, second.unwrapped.partner, info["success"], other["success"]))
    return found
