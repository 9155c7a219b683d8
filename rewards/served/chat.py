"""A conversation as chat endpoints and chat templates take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SILENCE = "(says nothing)"
"""What stands for a user who has said nothing, since some endpoints refuse an empty message."""


def chat_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """A conversation as every endpoint takes it: system, then user and assistant in turn, the user last, none empty.

    What a tool says is said by the user, after "tool:", since endpoints take a tool message only after a call in their
    own format. Messages of one side in a row become one, on lines of their own.
    """
    chat: list[dict[str, str]] = []
    for message in messages:
        role, content = message["role"], message["content"]
        if not content.strip():
            continue
        if role == "tool":
            role, content = "user", f"tool: {content}"
        if chat and chat[-1]["role"] == role:
            chat[-1]["content"] += f"\n{content}"
        else:
            chat.append({"role": role, "content": content})
    if not chat or chat[-1]["role"] != "user":
        chat.append({"role": "user", "content": SILENCE})
    return chat
