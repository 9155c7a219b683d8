"""A chat template taken apart, into what it writes before and after a message of each role.

Most templates write a conversation as its messages one after another. Then the ids of a message are always the same,
and a conversation costs no more than its new messages. Whether that is so is found out by comparing, see ``chat.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .ids import Ids

_HISTORY = {"user": ("user", "assistant"), "assistant": ("user",), "system": (), "tool": ("user", "assistant")}
"""What stands before a message of each role when the template is asked how it writes one."""


class Affixes(NamedTuple):
    """Token ids that the template writes before and after the content of a message."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class MessageWriter:
    """Writes conversations message by message.

    Args:
        hf: a Hugging Face tokenizer with a chat template.
        ids: of texts.
        end_id: the token that ends a reply.

    Raises:
        ValueError: if the template cannot be taken apart.
    """

    def __init__(self, hf: Any, ids: Ids, end_id: int):
        self._encode, self._end_id = ids.plain, end_id
        self._affixes, self._openings = _take_apart(hf, ids)
        self._prompt, after = self._affixes["assistant"]
        if after[:1] != (end_id,):
            raise ValueError(f"expected a reply to end with token {end_id}, got {after}")
        self._tail = after[1:]

    def since_reply(self, messages: Sequence[Mapping[str, Any]], ended: bool, prompt: bool) -> list[int]:
        """See ``Tokenizer.encode_since_reply``."""
        start = len(messages)
        while start and messages[start - 1]["role"] != "assistant":
            start -= 1
        ids = [*(() if ended else (self._end_id,)), *self._tail] if start else []
        for number in range(start, len(messages)):
            ids += self._message(messages[number]["role"], messages[number]["content"], number == 0)
        return [*ids, *self._prompt] if prompt else ids

    def reply(self, messages: Sequence[Mapping[str, Any]], content: str) -> Sequence[int]:
        """See ``Tokenizer.encode_reply``."""
        return self._encode(content)

    def _message(self, role: str, content: str, first: bool) -> tuple[int, ...]:
        role = role if role in self._affixes else "user"
        before, after = self._affixes[role]
        opening = self._openings.get(role, ()) if first else ()
        return (*opening, *before, *self._encode(content), *after)


def _take_apart(hf: Any, ids: Ids) -> tuple[dict[str, Affixes], dict[str, tuple[int, ...]]]:
    """What the template writes around a message of each role, and additionally before a first message of the user.

    ``before`` and ``after`` of a role are what a message of that role adds to the text of a conversation.
    """
    affixes = {}
    for role, history in _HISTORY.items():
        around = _around(hf, role, history)
        if around is not None:
            affixes[role] = Affixes(ids.written(around[0]), ids.written(around[1]))
    for role in ("user", "assistant"):
        if role not in affixes:
            raise ValueError(f"expected the chat template to add a message of role {role!r} to those before it")
    first, later = _around(hf, "user", ()), _around(hf, "user", _HISTORY["user"])
    opening = first[0].removesuffix(later[0]) if first and later else ""
    return affixes, {"user": ids.written(opening)}


def _around(hf: Any, role: str, history: Sequence[str]) -> tuple[str, str] | None:
    """The text before and after a message of ``role``; None where the template refuses or leaves it out."""

    def written(roles: Sequence[str], prompt: bool = False) -> str:
        messages = [{"role": role, "content": f"<{number}>"} for number, role in enumerate(roles)]
        return hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)

    try:
        former = written(history) if history else ""
        latter = written([*history, role])
        prompt = written(history, prompt=True) if role == "assistant" else former
    except Exception:  # templates raise what they like
        return None
    content = f"<{len(history)}>"
    if not latter.startswith(former) or not prompt.startswith(former) or content not in latter[len(former) :]:
        return None
    before, _, after = latter[len(former) :].partition(content)
    return (prompt[len(former) :] if role == "assistant" else before), after
