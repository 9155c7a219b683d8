"""What a chat template writes, as text: the beginning of a conversation, a reply, and what stands between two replies.

Templates do as they like: they drop what was thought in earlier turns, strip contents, insist that roles alternate,
refuse system messages. So a conversation is not put together of its messages but written by the template as a whole,
and what it writes after a reply is what stands behind a word that was put in that reply's place.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .thinking import KNOWN, is_open, thinking_of

DATE = "chat_date"
"""Where a tokenizer's configuration keeps the day that its chat template writes."""
_REPLY = "qxzreplyzxq"
_CLOCK = re.compile(r"""strftime_now\(\s*(?:"([^"]*)"|'([^']*)')\s*\)""")
_ROLES = ("system", "user", "assistant", "tool")
MAX_REPAIRS = 4096
"""Courses of a conversation, by their roles, that are kept."""

Shown = list[dict[str, str]]
"""Messages as a template is given them."""


class Repair(NamedTuple):
    """How messages between two replies are changed for a template that does not take them as they are."""

    is_merged: bool = False
    """The user's messages are one, with an empty line between them."""
    system_as_user: bool = False
    """Instructions begin the user's message."""
    tool_as_user: bool = False
    has_more: bool = False
    """A user's message without words is added where the user says nothing."""


_REPAIRS = sorted((Repair(*changes) for changes in itertools.product((False, True), repeat=4)), key=sum)
"""Few changes before many; and of one change, an empty message before others."""


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        hf: a Hugging Face tokenizer with a chat template.
        markers: the special tokens, as text.

    Attributes:
        end: the special token that ends a reply, as text.
        lead: what the template writes before the words of a reply that a policy has to say itself: white space, or
            thinking that is over at once; None where it writes a reply otherwise than the prompt begins it.
        margin: the ``lead`` where that is white space alone.
        trail: white space that it writes between the words of a reply and ``end``.
        thinking: the markers that thinking stands between.
        has_thinking: the template knows them.
        begins_thinking: a reply begins amid thinking, which the prompt has opened.

    Raises:
        ValueError: if the template does not show what is said, or ends a reply with anything but a special token.
    """

    def __init__(self, hf: Any, markers: Sequence[str]):
        self._hf, self.name = hf, str(getattr(hf, "name_or_path", "") or type(hf).__name__)
        self._template = _dated(hf, self.name)
        self._absent = {} if hf.bos_token else {"bos_token": ""}
        thinking = thinking_of(self._template)
        self.has_thinking, self.thinking = thinking is not None, thinking or KNOWN[0]
        self._repairs: dict[tuple[tuple[str, ...], tuple[str, ...]], Repair] = {}
        self._rest_of_prompt = ""
        self._learn(sorted(markers, key=len, reverse=True))

    # What it writes

    def before_reply(self, messages: Sequence[Mapping[str, Any]], prompt: bool = True) -> str:
        """What it writes after the words of the agent's last reply, or from the beginning where there is none.

        Args:
            messages: the conversation so far.
            prompt: up to where the next reply begins.
        """
        places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        if not places:
            return self._whole(messages, prompt)
        word = _REPLY
        while any(word in message["content"] for message in messages):
            word += "q"
        replaced = list(messages)
        replaced[places[-1]] = {"role": "assistant", "content": word}
        _, found, rest = self._whole(replaced, prompt).rpartition(word)
        if not found:
            raise ValueError(f"the chat template of {self.name} leaves out replies in {_roles(messages)}")
        return rest

    def reply(self, messages: Sequence[Mapping[str, Any]], content: str) -> str:
        """What a policy has to say, up to its end-of-turn token, so that the template would show it as ``content``.

        Args:
            messages: the conversation before it.
            content: the words, and thinking before them if there is any.
        """
        prompt, shown = self._whole(messages, True), self._shown(messages)
        whole = self._write([*shown, {"role": "assistant", "content": content}], False)
        if whole.startswith(prompt) and whole.endswith(self._closing) and self.lead is not None:
            return whole[len(prompt) : len(whole) - len(self._closing)] + self.trail
        begin, end = self.thinking
        if not self.begins_thinking:
            return f"{self.lead or ''}{content}{self.trail}"
        _, thinks, rest = content.partition(begin)
        return f"{rest.lstrip() if thinks else f'{end}{_GAP}{content}'}{self.trail}"

    def _whole(self, messages: Sequence[Mapping[str, Any]], prompt: bool) -> str:
        return self._write(self._shown(messages, prompt), prompt) + (self._rest_of_prompt if prompt else "")

    def _write(self, messages: Shown, prompt: bool) -> str:
        written = self._hf.apply_chat_template(
            [messages], chat_template=self._template, tokenize=False, add_generation_prompt=prompt, **self._absent
        )  # as a batch of one, since an empty conversation is no other
        return written[0]

    # How a reply begins and ends

    def _learn(self, markers: Sequence[str]) -> None:
        asked, said = {"role": "user", "content": "hello"}, {"role": "assistant", "content": _REPLY}
        prompt = self._whole([asked], True)
        before, _, self._closing = self._whole([asked, said], False).rpartition(_REPLY)
        self.trail, self.end = self._ending(self._closing, markers)
        if not self.end:  # some write it only where the conversation goes on
            self.trail, self.end = self._ending(self.before_reply([asked, said, asked]), markers)
        if not self.end:
            raise ValueError(
                f"the chat template of {self.name} must end a turn with a special token, got {self._closing!r}"
            )
        self.begins_thinking = self.has_thinking and is_open(prompt.rpartition("hello")[2], self.thinking)
        self.lead: str | None = before.removeprefix(prompt) if before.startswith(prompt) else None
        if self.lead is None and not self.begins_thinking:
            raise ValueError(
                f"the chat template of {self.name} must begin a reply as its prompt does, {prompt!r}, got {before!r}"
            )
        if self.lead and not self._can_be_said(self.lead):
            self._rest_of_prompt, self.lead = self.lead, ""
        self.margin = self.lead if self.lead and not self.lead.strip() else ""

    def _ending(self, text: str, markers: Sequence[str]) -> tuple[str, str]:
        """White space at the beginning of a text, and the marker behind it, "" if there is none."""
        ending = text.lstrip()
        marker = next((marker for marker in markers if ending.startswith(marker)), "")
        return text[: len(text) - len(ending)] if marker else "", marker

    def _can_be_said(self, lead: str) -> bool:
        """White space and thinking are the policy's; other words before a reply are its prompt's."""
        markers = self.thinking if self.has_thinking else ()
        for marker in markers:
            lead = lead.replace(marker, "")
        return not lead.strip()

    # Roles

    def _shown(self, messages: Sequence[Mapping[str, Any]], prompt: bool = True) -> Shown:
        """The messages as the template takes them, with as few changes as that needs."""
        shown: Shown = []
        for block, reply in _blocks(messages):
            if block or prompt or reply is not None:
                shown += _repaired(block, self._repair(shown, block))
            if reply is not None:
                shown.append({"role": "assistant", "content": reply})
        return shown

    def _repair(self, shown: Shown, block: Shown) -> Repair:
        key = tuple(message["role"] for message in shown), tuple(message["role"] for message in block)
        repair = self._repairs.get(key)
        if repair is None:
            if len(self._repairs) >= MAX_REPAIRS:
                self._repairs.clear()
            repair = self._repairs[key] = self._find_repair(*key)
        return repair

    def _find_repair(self, former: tuple[str, ...], roles: tuple[str, ...]) -> Repair:
        before = [{"role": role, "content": f"word{number}"} for number, role in enumerate(former)]
        block = [{"role": role, "content": f"qxz{number}zxq"} for number, role in enumerate(roles)]
        error: Exception | None = None
        for repair in _REPAIRS:
            messages = [*before, *_repaired(block, repair)]
            try:
                whole = self._write([*messages, {"role": "assistant", "content": _REPLY}], False)
                prompt = self._write(messages, True)
            except Exception as e:  # templates raise what they like
                error = error or e
                continue
            contents = [message["content"] for message in block]
            if _REPLY in whole and all(content in text for content in contents for text in (whole, prompt)):
                return repair
        written = ", ".join([*former, *roles, "assistant"])
        raise ValueError(
            f"the chat template of {self.name} cannot write a conversation of {written}: "
            f"{error or 'it leaves out what is said'}"
        ) from error


_GAP = "\n\n"
"""Between thinking and words, and between messages that are shown as one."""


def _blocks(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Shown, str | None]]:
    """What is said before each reply, and the reply; the last without one."""
    block: Shown = []
    for message in messages:
        if message["role"] == "assistant":
            yield block, message["content"]
            block = []
        else:
            role = message["role"] if message["role"] in _ROLES else "user"
            block.append({"role": role, "content": message["content"]})
    yield block, None


def _repaired(block: Shown, repair: Repair) -> Shown:
    """The messages between two replies, changed."""
    as_user = {role for role, is_so in (("system", repair.system_as_user), ("tool", repair.tool_as_user)) if is_so}
    messages: Shown = []
    former = ""
    for message in block:
        role = "user" if message["role"] in as_user else message["role"]
        is_merged = repair.is_merged or former == "system"
        former = message["role"]
        if is_merged and role == "user" and messages and messages[-1]["role"] == "user":
            messages[-1] = {"role": "user", "content": f"{messages[-1]['content']}{_GAP}{message['content']}"}
        else:
            messages.append({"role": role, "content": message["content"]})
    if repair.has_more and not any(message["role"] == "user" for message in messages):
        messages.append({"role": "user", "content": ""})
    return messages


def _roles(messages: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(message["role"] for message in messages)


def _dated(hf: Any, name: str) -> str:
    """The chat template with its day filled in: that of the first time, which is saved with the tokenizer."""
    template = hf.get_chat_template()
    if not re.search(r"strftime_now\s*\(", template):
        return template
    day = datetime.date.fromisoformat(hf.init_kwargs.setdefault(DATE, datetime.date.today().isoformat()))
    dated = _CLOCK.sub(lambda found: repr(day.strftime(found[1] or found[2] or "")), template)
    if re.search(r"strftime_now\s*\(", dated):
        raise ValueError(f"the chat template of {name} must give strftime_now its format in quotes")
    return dated
