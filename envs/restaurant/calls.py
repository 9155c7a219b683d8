"""Reading tool calls out of what an agent says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..understanding.text import plain, written_out
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


_CALL = re.compile(r"\b(search|book)(?:\((?!s\))| +\((?=[^()]*[=:]|\)))([^()]*)\)?", re.I)
"""With a space in front of the bracket it is a call only where an argument is named: not "book (for free)"."""
_LINE_CALL = re.compile(
    r"^\W*(?:(?:tool|call|action|function|command)\b\W*)?(search|book)\b[\s:,|>-]+(?=[a-z_]+\s?=)([^\n<>()]+?)[\s/>]*$",
    re.I | re.M,
)
"""``search food=thai`` on a line of its own, with or without a colon or an angle bracket."""
_NAMED_BEFORE = re.compile(
    r"\b(search|book)\b\W*(?:(?:action|tool)[ _-]?)?(?:input|arguments|parameters|args)?\W*\Z", re.I
)
"""A tool's name in front of an object of arguments: ``<function=search>{...}``, ``Action: search`` and its input."""
_NAME_KEYS = ("name", "tool", "tool_name", "function", "action", "function_name")
_ARGUMENTS_KEYS = ("arguments", "parameters", "args", "input", "action_input", "params", "kwargs", "tool_input")
_WRAPPER_KEYS = ("tool_calls", "tool_call", "function_call", "function", "tool_use", "call")
_MAX_WRAPPERS = 4
_NEXT_ARGUMENT = re.compile(r"[,;]\s*(?=[\"']?[a-z_ ]+[\"']?\s*[=:])|(?<=[\w\"'])\s+(?=[\"']?[a-z_]+[\"']?\s?=)")
_EQUALS = re.compile(r"\s*[=:]\s*")
_SENTENCE_END = re.compile(r"[.!?]\s|\n")
_UNSURE = re.compile(
    r"\b(?:if|should|shall|could|would|can|may|might|want|like|not|never|do you|later|before|until|once|example|"
    r"when|whenever|as soon as|unless|assuming|provided|yet|instead of)\b|\?"
)


class WrittenCall(NamedTuple):
    """A call as it stands in a text: its name, what is between the brackets, and whether it is meant."""

    name: str
    arguments: str
    is_meant: bool


def find_call(utterance: str) -> WrittenCall | None:
    """The first tool call of an utterance, or an object of JSON that is one.

    A booking is not meant where its sentence asks, makes a condition or denies: "Shall I book(...)?"
    """
    if "{" in utterance and (call := _call_in_object(utterance)):
        return call
    if "(" not in utterance and "=" not in utterance:
        return None
    text = plain(utterance).lower()
    match = _CALL.search(text) or ("=" in text and _LINE_CALL.search(text)) or None
    if match is None:
        return None
    return WrittenCall(match[1], match[2], match[1] == "search" or not _is_unsure(text, match.start(), match.end()))


def _is_unsure(text: str, start: int, end: int) -> bool:
    before = _SENTENCE_END.split(text[:start])[-1]
    after = re.match(r"[^.!?\n]*\??", text[end:])
    return any(_UNSURE.search(written_out(part)) for part in (before, after[0] if after else ""))


def _call_in_object(utterance: str) -> WrittenCall | None:
    start = utterance.index("{")
    read = _object_at(utterance, start)
    if read is None:
        return None
    value, end = read
    before = _NAMED_BEFORE.search(utterance, 0, start)
    found = _name_and_arguments(value) or ((before[1].lower(), value) if before else None)
    if found is None:
        return None
    name, arguments = found
    written = ", ".join([f"{key}={value}".lower() for key, value in arguments.items()])
    return WrittenCall(name, written, name == "search" or not _is_unsure(utterance, start, end))


def _object_at(text: str, start: int) -> tuple[Mapping[str, Any], int] | None:
    """The object that begins at a character, as JSON or as Python writes it, and where it ends."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
        return value, end
    except (ValueError, RecursionError):
        end = text.rindex("}") + 1 if "}" in text[start:] else start
    try:
        value = ast.literal_eval(text[start:end])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return (value, end) if isinstance(value, Mapping) else None


def _name_and_arguments(call: Any) -> tuple[str, Mapping[str, Any]] | None:
    """The tool and its arguments, however deep the form of some interface wraps them."""
    for _ in range(_MAX_WRAPPERS):
        inner = next((call[key] for key in _WRAPPER_KEYS if isinstance(call.get(key), (dict, list))), None)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if not isinstance(inner, dict) or any(call.get(key) in TOOL_ARGUMENTS for key in ("name", "tool")):
            break
        call = inner
    key = next((key for key in _NAME_KEYS if isinstance(call.get(key), str) and call[key] in TOOL_ARGUMENTS), None)
    if key is None:
        name = next((name for name in TOOL_ARGUMENTS if isinstance(call.get(name), Mapping)), None)
        return (name, call[name]) if name and len(call) == 1 else None
    beside = {} if key == "name" else {other: value for other, value in call.items() if other != key}
    arguments = next((call[other] for other in _ARGUMENTS_KEYS if other in call), beside)
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    return (call[key], arguments) if isinstance(arguments, Mapping) else None


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
