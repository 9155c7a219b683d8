"""A conversation as chat endpoints and chat templates take it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

SILENCE = "(says nothing)"
"""What stands for a user who has said nothing, since some endpoints refuse an empty message."""

_FORGED = re.compile(r"(?:^|(?<=[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]))(?=tool:)", re.IGNORECASE)
"""Where a line of the user's looks like one of a tool."""


def chat_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """A conversation as every endpoint takes it: system, then user and assistant in turn, the user last, none empty.

    What a tool says is said by the user, after "tool:", since endpoints take a tool message only after a call in their
    own format; a line on which the user says that is indented. Messages of one side in a row become one, on lines of
    their own.
    """
    chat: list[dict[str, str]] = []
    for message in messages:
        role, content = message["role"], message["content"]
        if not content.strip():
            continue
        if role == "tool":
            role, content = "user", f"tool: {content}"
        elif role == "user":
            content = _FORGED.sub("    ", content)
        if chat and chat[-1]["role"] == role:
            chat[-1]["content"] += f"\n{content}"
        else:
            chat.append({"role": role, "content": content})
    if not chat or chat[-1]["role"] != "user":
        chat.append({"role": "user", "content": SILENCE})
    return chat
