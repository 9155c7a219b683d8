"""A conversation so far, in words and as the token ids that a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ...envs.tokenizer import Tokenizer
from ...rewards.transcript import Message

History: TypeAlias = tuple[tuple[str, str], ...]
"""Role and content of each message of a conversation."""


def ids_in_room(tokenizer: Tokenizer, history: History, room: int) -> list[int]:
    """The ids of a conversation of which nothing was read: all of it, or the latest where the room does not hold it.

    Args:
        tokenizer, history, room: as for :func:`latest_ids`.
    """
    ids = history_ids(tokenizer, history)
    return ids if len(ids) <= room else latest_ids(tokenizer, history, room)


def latest_ids(tokenizer: Tokenizer, history: History, room: int) -> list[int]:
    """The ids of the latest messages, behind those of the system: half of the room, so that there is room again.

    A message longer than that loses its beginning where it does not fit the room either.

    Args:
        tokenizer: of the model.
        history: of the conversation so far.
        room: tokens that may have been read when a reply begins.
    """
    instructions = tuple(message for message in history if message[0] == "system")
    rest = [message for message in history if message[0] != "system"]
    ids = history_ids(tokenizer, (*instructions, *rest))
    while len(ids) > room // 2 and len(rest) > 1:
        rest = rest[1:]
        ids = history_ids(tokenizer, (*instructions, *rest))
    return ids[-room:]


def history_of(messages: Sequence[Message] | Sequence[Mapping[str, str]]) -> History:
    """Role and content of each message."""
    return tuple([(message["role"], message["content"]) for message in messages])


def history_ids(tokenizer: Tokenizer, history: History) -> list[int]:
    """The ids of a whole conversation, up to where the next reply begins."""
    return tokenizer.encode_conversation(_messages(history))


def new_ids(tokenizer: Tokenizer, history: History, ended: bool) -> list[int]:
    """The ids behind the agent's last reply, up to where the next begins; ``ended``: it has its end-of-turn token."""
    return tokenizer.encode_since_reply(_messages(history), ended)


def _messages(history: History) -> list[Message]:
    return [{"role": role, "content": content} for role, content in history]
