"""Reading tool calls out of what an agent says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..understanding.text import plain
from .database import BOOKING_SLOTS, CONSTRAINT_SLOTS, Constraints

TOOL_ARGUMENTS = {"search": ("name", *CONSTRAINT_SLOTS), "book": ("name", *BOOKING_SLOTS)}
EXAMPLES = {"search": "search(food=italian, area=north)", "book": "book(people=2, day=friday, time=19:00)"}
ALIASES = {
    "price": "pricerange", "price_range": "pricerange", "price range": "pricerange", "budget": "pricerange",
    "type": "food", "cuisine": "food", "food_type": "food", "location": "area", "restaurant": "name",
    "restaurant_name": "name", "num_people": "people", "guests": "people", "party_size": "people",
    "number_of_people": "people", "date": "day",
}  # fmt: skip
ANY = ("", "any", "anything", "anywhere", "all", "none", "null", "dontcare", "dont care", "*", "no preference")
"""Written for a value, it says that any will do."""


class ToolCall(NamedTuple):
    """A call of ``search`` or ``book``, placeholders unfilled; ``error`` says what is wrong with it."""

    name: str
    arguments: Constraints
    error: str = ""


_CALL = re.compile(r"\b(search|book)\s*\(([^()]*)\)?", re.I)
_JSON_CALL = re.compile(r"\{.*\}", re.S)
_NAME_KEYS = ("name", "tool", "tool_name", "function", "action")
_ARGUMENTS_KEYS = ("arguments", "parameters", "args", "input")
_NEXT_ARGUMENT = re.compile(r",\s*(?=[\"']?[a-z_ ]+[\"']?\s*[=:])")
_EQUALS = re.compile(r"\s*[=:]\s*")
_SENTENCE_END = re.compile(r"[.!?]\s|\n")
_UNSURE = re.compile(
    r"\b(?:if|should|shall|could|would|can|may|might|want|like|not|never|do you|later|before|until|once|example)\b|\?"
)


class WrittenCall(NamedTuple):
    """A call as it stands in a text: its name, what is between the brackets, and whether it is meant."""

    name: str
    arguments: str
    is_meant: bool


def find_call(utterance: str) -> WrittenCall | None:
    """The first tool call of an utterance, or a JSON object that is one.

    A booking is not meant where its sentence asks, makes a condition or denies: "Shall I book(...)?"
    """
    if "{" in utterance and (call := _call_in_json(utterance)):
        return call
    if "(" not in utterance:
        return None
    text = plain(utterance).lower()
    match = _CALL.search(text)
    if match is None:
        return None
    return WrittenCall(match[1], match[2], match[1] == "search" or not _is_unsure(text, match))


def _is_unsure(text: str, call: re.Match[str]) -> bool:
    before = _SENTENCE_END.split(text[: call.start()])[-1]
    after = re.match(r"[^.!?\n]*\??", text[call.end() :])
    return bool(_UNSURE.search(before) or (after and _UNSURE.search(after[0])))


def _call_in_json(utterance: str) -> WrittenCall | None:
    match = _JSON_CALL.search(utterance)
    try:
        call: Any = json.loads(match[0]) if match else None
    except ValueError:
        return None
    if isinstance(call, dict) and isinstance(call.get("function"), dict):
        call = call["function"]
    if not isinstance(call, dict):
        return None
    key = next((key for key in _NAME_KEYS if call.get(key) in tuple(TOOL_ARGUMENTS)), None)
    if key is None:
        return None
    name = call[key]
    beside = {} if key == "name" else {other: value for other, value in call.items() if other != key}
    arguments = next((call[other] for other in _ARGUMENTS_KEYS if other in call), beside)
    if not isinstance(arguments, Mapping):
        return None
    return WrittenCall(str(name), ", ".join([f"{key}={value}".lower() for key, value in arguments.items()]), True)


def read_call(written: WrittenCall, plain_value: Callable[[str, str], str]) -> ToolCall:
    """The call that is written; ``plain_value`` gives the plain form of a slot's value, however it is written."""
    allowed = TOOL_ARGUMENTS[written.name]
    arguments = []
    for part in _NEXT_ARGUMENT.split(written.arguments):
        part = part.strip(" ,{}")
        if not part:
            continue
        pieces = _EQUALS.split(part, maxsplit=1)
        slot = pieces[0].strip(" '\"")
        slot = ALIASES.get(slot, slot)
        if len(pieces) < 2 or slot not in allowed:
            wanted = f"{written.name} takes {listed(allowed)}, as in {EXAMPLES[written.name]}"
            return ToolCall(written.name, (), f"Error: {wanted}.")
        arguments.append((slot, plain_value(slot, pieces[1].strip(" '\""))))
    return ToolCall(written.name, tuple(arguments))


def listed(items: Sequence[str], joint: str = "and") -> str:
    """The items as people list them: "a, b and c"."""
    return f" {joint} ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
