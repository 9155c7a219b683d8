"""Conversations as ids where the chat template writes them as a whole, see ``template.py``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .ids import Ids
from .template import ChatTemplate

_STAND_INS = range(0xF0000, 0xFFFFE)
"""Characters without a meaning of their own, in place of what looks like a marker while the template writes."""


class WholeWriter:
    """Writes conversations by differences of what the template writes.

    Args:
        ids: of texts.
        template: the chat template.
        end_id: the token that ends a reply.
        thinking: markers that a reply may contain.
    """

    def __init__(self, ids: Ids, template: ChatTemplate, end_id: int, thinking: Sequence[str]):
        self._ids, self._template, self._end_id = ids, template, end_id
        self._forged = _any_of(ids.markers)
        self._forged_by_agent = _any_of([marker for marker in ids.markers if marker not in thinking])

    def since_reply(self, messages: Sequence[Mapping[str, Any]], ended: bool, prompt: bool) -> list[int]:
        """See ``Tokenizer.encode_since_reply``."""
        spelt, stand_ins = self._spell(messages)
        ids = self._encode(self._since_reply(spelt, prompt), stand_ins)
        is_closed = any(message["role"] == "assistant" for message in messages) and ids[:1] == [self._end_id]
        return ids[1:] if ended and is_closed else ids

    def reply(self, messages: Sequence[Mapping[str, Any]], content: str) -> list[int]:
        """See ``Tokenizer.encode_reply``.

        As the tokenizer writes the words behind the prompt; on their own where it joins the two in one token.
        """
        spelt, stand_ins = self._spell([*messages, {"role": "assistant", "content": content}])
        words = self._template.reply(spelt[:-1], spelt[-1]["content"])
        before = self._since_reply(spelt[:-1], True)
        prompt, both = self._encode(before, stand_ins), self._encode(before + words, stand_ins)
        return both[len(prompt) :] if both[: len(prompt)] == prompt else self._encode(words, stand_ins)

    def _since_reply(self, messages: Sequence[Mapping[str, Any]], prompt: bool) -> str:
        text = self._template.before_reply(messages, prompt)
        ending = text.lstrip()
        return ending if ending.startswith(self._template.end) else text

    def _spell(self, messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, str]], dict[str, str]]:
        """The messages with another character in place of whatever looks like a marker, and what these stand for."""
        found: set[str] = set()
        for message in messages:
            found.update(self._pattern(message["role"]).findall(message["content"]))
        spelt = [{"role": message["role"], "content": message["content"]} for message in messages]
        if not found:
            return spelt, {}
        used = set().union(*(message["content"] for message in messages))
        free = (chr(number) for number in _STAND_INS if chr(number) not in used)
        characters = dict(zip(sorted(found), free, strict=False))
        for message in spelt:
            pattern = self._pattern(message["role"])
            message["content"] = pattern.sub(lambda marker: characters[marker[0]], message["content"])
        return spelt, {character: marker for marker, character in characters.items()}

    def _pattern(self, role: str) -> re.Pattern[str]:
        return self._forged_by_agent if role == "assistant" else self._forged

    def _encode(self, text: str, stand_ins: Mapping[str, str]) -> list[int]:
        """The ids of what the template wrote; its markers are, and what stands for a forged one is spelt out."""
        if not stand_ins:
            return list(self._ids.written(text))
        ids: list[int] = []
        for piece in re.split(f"([{''.join(stand_ins)}])", text):
            ids += self._ids.plain(stand_ins[piece]) if piece in stand_ins else self._ids.written(piece)
        return ids


def _any_of(texts: Sequence[str]) -> re.Pattern[str]:
    """A pattern that finds any of the texts, the longest first; nothing where there are none."""
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or r"(?!)")
