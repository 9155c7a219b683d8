"""What a reply thinks before it speaks: between two markers, for nobody to hear."""

from __future__ import annotations

from typing import NamedTuple


class Thinking(NamedTuple):
    """The markers that thinking stands between."""

    begin: str
    end: str


KNOWN = (
    Thinking("<think>", "</think>"),
    Thinking("[THINK]", "[/THINK]"),
    Thinking("<thinking>", "</thinking>"),
    Thinking("<thought>", "</thought>"),
    Thinking("<|START_THINKING|>", "<|END_THINKING|>"),
    Thinking("<seed:think>", "</seed:think>"),
    Thinking("◁think▷", "◁/think▷"),
)
"""Of chat templates that have any; the first is for templates that have none."""


def thinking_of(template: str) -> Thinking | None:
    """The markers that a chat template writes or looks for."""
    return next((known for known in KNOWN if known.end in template), None)


def is_open(text: str, thinking: Thinking) -> bool:
    """Whether a text ends amid thinking."""
    return text.rfind(thinking.begin) > text.rfind(thinking.end)


def without_thinking(text: str, thinking: Thinking) -> str:
    """What is heard of a text.

    Thinking that does not end says nothing; where it only ends, it began with the text.
    """
    begin, end = thinking
    if begin not in text and end not in text:
        return text
    while begin in text or end in text:
        before, began, rest = text.partition(begin)
        ends_first = end in before or not began
        text = text.partition(end)[2] if ends_first else before + rest.partition(end)[2]
    return text.strip()
