"""Conversations to imitate: from a task's rule policy, or from a user's data."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...envs import TextEnv, remake
from ...envs.data_files import load_conversations
from ...envs.data_files.items import IN_MEMORY
from ...rewards.transcript import Message
from ..training.files import atomic_write


class Demonstrations(NamedTuple):
    """Conversations, and what they cost.

    Attributes:
        conversations: messages of each.
        env_turns: agent turns that were played for them; 0 when they come from a file.
        success_rate: share of them that succeeded, or None where nobody knows.
    """

    conversations: Sequence[list[Message]]
    env_turns: int
    success_rate: float | None


def demonstrate(env: Any, num_conversations: int, flaw_rate: float, seed: int, split: str = "train") -> Demonstrations:
    """Conversations of the task's rule policy, put into words.

    Args:
        env: an environment in any interface whose task has a rule policy and a menu.
        num_conversations: how many.
        flaw_rate: chance, per turn, that a random reply that makes sense takes the place of the rule's, in [0, 1].
        seed: of goals, users and flaws.
        split: the goals and wordings to take.

    Raises:
        ValueError: for a rate out of range, or a task without a rule policy over a menu.
    """
    if not 0 <= flaw_rate <= 1:
        raise ValueError(f"flaw_rate must be in [0, 1], got {flaw_rate}")
    shown = remake(env, interface="text", split=split).unwrapped
    assert isinstance(shown, TextEnv)
    policy = shown.task.policies.get("rule")
    if policy is None:
        raise ValueError(f"{shown.task.name} has no rule policy to demonstrate it: give data=, a file of messages")
    made = remake(env, interface=policy.interface, split=split)
    core: Any = made.unwrapped
    rng = random.Random(seed)
    conversations: list[list[Message]] = []
    turns = successes = 0
    for number in range(num_conversations):
        observation, info = made.reset(seed=seed if number == 0 else None)
        ended = False
        while not ended:
            flawed = rng.random() < flaw_rate
            action = _any_reply(made, info, rng) if flawed else policy.act(observation, info)
            observation, _, terminated, truncated, info = made.step(action)
            ended = terminated or truncated
            turns += 1
        conversations.append(core.messages)
        successes += info["success"]
    return Demonstrations(conversations, turns, successes / num_conversations if num_conversations else None)


def _any_reply(env: Any, info: dict[str, Any], rng: random.Random) -> Any:
    if "action_mask" in info:
        return rng.choice([reply for reply, allowed in enumerate(info["action_mask"]) if allowed])
    return rng.choice(env.unwrapped.task.examples or ("",))


def load_messages(data: Any, fields: Mapping[str, str] | None = None, on_error: str = "raise") -> Demonstrations:
    """The conversations of a user's data: messages, ShareGPT, prompt and completion, and other forms of docs/data.md.

    Args:
        data: a path, a name on the hub, a ``Dataset``, a DataFrame or a list of dicts.
        fields: columns by field (``{"messages": "chat"}``), where they go by names of their own.
        on_error: "raise" for wrong rows, or "skip" to leave them out.

    Raises:
        ValueError: with the rows, for what is no conversation, or one in which the assistant is silent; or for a file
            that is not UTF-8.
    """
    found = load_conversations(data, fields, on_error)
    return Demonstrations(list(found) if len(found) <= IN_MEMORY else found, 0, None)


def save_messages(path: str | Path, conversations: Sequence[Sequence[Message]]) -> None:
    """Writes what :func:`load_messages` reads."""
    lines = [json.dumps({"messages": list(messages)}, ensure_ascii=False) for messages in conversations]
    atomic_write(Path(path), "\n".join(lines) + "\n")
