"""Conversations to imitate: from a task's rule policy, or from a user's data."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...envs import Task, TextEnv, remake
from ...envs.data_files import load_conversations
from ...envs.data_files.items import IN_MEMORY
from ...rewards.transcript import Message
from ..files import atomic_write

FLAW_RATE = 0.15


class Demonstrations(NamedTuple):
    """Conversations, and what they cost.

    Attributes:
        conversations: messages of each.
        env_turns: agent turns that were played for them; 0 when they come from a file.
        success_rate: share of them that succeeded, or None where nobody knows.
        goals: content of the goal of each, or None where nobody knows.
    """

    conversations: Sequence[list[Message]]
    env_turns: int
    success_rate: float | None
    goals: list[str] | None = None


def demonstrate(
    env: Any, num_conversations: int, flaw_rate: float | None, seed: int, split: str = "train"
) -> Demonstrations:
    """Conversations of the task's rule policy, put into words, about goals that differ while the split has so many.

    Args:
        env: an environment in any interface whose task has a rule policy and a menu.
        num_conversations: how many.
        flaw_rate: chance, per turn, that a random reply that makes sense takes the place of the rule's, in [0, 1]; None
            is that of :func:`suited_flaw_rate`.
        seed: of goals, users and flaws.
        split: the goals and wordings to take.

    Raises:
        ValueError: for a rate out of range, or a task without a rule policy over a menu.
    """
    if flaw_rate is not None and not 0 <= flaw_rate <= 1:
        raise ValueError(f"flaw_rate must be in [0, 1], got {flaw_rate}")
    shown = remake(env, interface="text", split=split).unwrapped
    assert isinstance(shown, TextEnv)
    if flaw_rate is None:
        flaw_rate = suited_flaw_rate(shown)
    policy = shown.task.policies.get("rule")
    if policy is None:
        raise ValueError(f"{shown.task.name} has no rule policy to demonstrate it: give data=, a file of messages")
    made = remake(env, interface=policy.interface, split=split)
    core: Any = made.unwrapped
    rng = random.Random(seed)
    conversations: list[list[Message]] = []
    turns = successes = 0
    goal_ids = core.task.goal_ids(split, num_conversations, seed)
    for number, goal_id in enumerate(goal_ids):
        observation, info = made.reset(seed=seed if number == 0 else None, options={"goal_id": goal_id})
        ended = False
        while not ended:
            flawed = rng.random() < flaw_rate
            action = _any_reply(made, info, rng) if flawed else policy.act(observation, info)
            observation, _, terminated, truncated, info = made.step(action)
            ended = terminated or truncated
            turns += 1
        conversations.append(core.messages)
        successes += info["success"]
    success_rate = successes / num_conversations if num_conversations else None
    return Demonstrations(conversations, turns, success_rate, list(map(core.task.goal_content, goal_ids)))


def suited_flaw_rate(env: TextEnv) -> float:
    """``FLAW_RATE`` where a turn is left to make up for a flaw, and flaws differ as much as the rule's replies do.

    Elsewhere 0. Where a conversation is one turn, the model would only learn to fail; and the few sentences of a task
    without a menu would be the likeliest replies of all, since the good ones are all different.
    """
    differ = bool(env.task.menu) or type(env.task).another_reply is not Task.another_reply
    return FLAW_RATE if differ and env.max_turns > 1 else 0.0


def _any_reply(env: Any, info: dict[str, Any], rng: random.Random) -> Any:
    if "action_mask" in info:
        return rng.choice([reply for reply, allowed in enumerate(info["action_mask"]) if allowed])
    return env.unwrapped.task.another_reply(info["messages"], rng)


def hold_out(keys: Sequence[Collection[Hashable]], share: float, rng: random.Random) -> tuple[list[int], list[int]]:
    """Numbers of the examples to learn from, and of those held out, which have no key in common.

    Args:
        keys: what each example is told by: two with a common key, such as one goal or the same words, go together.
        share: of the examples to hold out; a little more or less where they hang together.
        rng: which.

    Raises:
        ValueError: if all examples hang together.
    """
    order = rng.sample(range(len(keys)), len(keys))
    groups = _connected(order, keys)
    if len(groups) < 2:
        raise ValueError(
            f"expected at least 2 different conversations, one of them held out, got {len(keys)} that are alike"
        )
    num_held_out = min(max(1, round(len(keys) * share)), len(keys) - 1)
    held_out: list[int] = []
    for group in groups:
        if len(held_out) + len(group) <= num_held_out:
            held_out += group
    held_out = held_out or min(groups, key=len)
    apart = set(held_out)
    return [number for number in order if number not in apart], held_out


def _connected(order: Sequence[int], keys: Sequence[Collection[Hashable]]) -> list[list[int]]:
    """The examples in groups, connected by common keys, by first place in ``order``."""
    with_key: dict[Hashable, list[int]] = {}
    for number in order:
        for key in keys[number]:
            with_key.setdefault(key, []).append(number)
    groups, seen = [], set()
    for first in order:
        if first in seen:
            continue
        seen.add(first)
        group = [first]
        for number in group:  # grows as it is gone through
            found = dict.fromkeys(near for key in keys[number] for near in with_key.pop(key, ()))
            group += [near for near in found if near not in seen]
            seen.update(found)
        groups.append(group)
    return groups


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
