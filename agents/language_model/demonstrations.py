"""Conversations to imitate: from a task's rule policy, or from a file of messages."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...envs import TextEnv, remake
from ...rewards.files import utf8_text
from ...rewards.transcript import Message
from ..training.files import atomic_write

ROLES = ("system", "user", "assistant", "tool")


class Demonstrations(NamedTuple):
    """Conversations, and what they cost.

    Attributes:
        conversations: messages of each.
        env_turns: agent turns that were played for them; 0 when they come from a file.
        success_rate: share of them that succeeded, or None where nobody knows.
    """

    conversations: list[list[Message]]
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


def load_messages(path: str | Path) -> Demonstrations:
    """Conversations of a JSONL file: on each line ``{"messages": [{"role": ..., "content": ...}, ...]}``.

    The file is UTF-8, with or without a byte order mark.

    Raises:
        ValueError: with the line number, for a line that is not that, or a conversation in which the assistant is
            silent; or for a file that is not UTF-8.
    """
    conversations = []
    for number, line in enumerate(utf8_text(Path(path)).split("\n"), start=1):
        if line.strip():
            conversations.append(_messages_of(line, f"{path}, line {number}"))
    if not conversations:
        raise ValueError(f"{path}: expected at least one conversation, got an empty file")
    return Demonstrations(conversations, 0, None)


def _messages_of(line: str, where: str) -> list[Message]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as e:
        raise ValueError(f"{where}: expected JSON, got {line!r:.80} ({e})") from e
    messages = found.get("messages") if isinstance(found, dict) else None
    if not isinstance(messages, list) or not messages:
        raise ValueError(f'{where}: expected {{"messages": [...]}} with at least one message, got {line!r:.80}')
    for place, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise ValueError(f"{where}, message {place}: role must be one of {', '.join(ROLES)}, got {message!r:.80}")
        if not isinstance(message.get("content"), str):
            raise ValueError(f"{where}, message {place}: content must be a string, got {message!r:.80}")
    if not any(message["role"] == "assistant" for message in messages):
        raise ValueError(f"{where}: expected something that the assistant says")
    return [Message(role=message["role"], content=message["content"]) for message in messages]


def save_messages(path: str | Path, conversations: Sequence[Sequence[Message]]) -> None:
    """Writes what :func:`load_messages` reads."""
    lines = [json.dumps({"messages": list(messages)}, ensure_ascii=False) for messages in conversations]
    atomic_write(Path(path), "\n".join(lines) + "\n")
