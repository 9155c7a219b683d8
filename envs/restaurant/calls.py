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
_SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)[.!?]\s|\n", re.I)
_UNSURE = re.compile(
    r"\b(?:if|should|shall|could|would|can|may|might|want|like|not|never|do you|later|before|until|once|example|"
    r"when|whenever|as soon as|unless|assuming|provided|yet|instead of|e\.g|for instance|"
    r"format|syntax|template|usage|todo|after you|after the user|pending|awaiting|almost|nearly|forgot|refuse|mistake|"
    r"mistakenly|next time)\b|\?"
)
_ON_ITS_YES = re.compile(
    r"\b(?:say|reply|answer|type|respond|tell me|let me know|confirm|agree|nod|give me(?! a (?:sec|second|moment|"
    r"minute)))\b[^.!?\n]* and (?:then )?i\b"
)
_NAMED_ONLY = re.compile(
    r"\b(?:cancel(?:l?ed)?|withdrawn|scrapped|undone|ignore(?: (?:this|that))?|disregard(?: (?:this|that))?|forget"
    r"(?: (?:this|that|about))?|draft|type|write|enter|not sent|disabled)\W*\Z"
)
_STRUCK_AFTER = re.compile(r"\W*(?:cancel(?:l?ed)?|withdrawn|scrapped|undone|ignore|draft|disabled)\b")
_TAKES_BACK = re.compile(
    r"(?:^|[.!?]\s)\W*w?h?oops\b|(?:^|[.!?]\s)\W*(?:(?:oh|oops|hmm|no|actually|sorry|ah|but),? )*(?:"
    r"(?:wait|hold on(?=,? \w)|hang on(?=,? \w))\b(?!,? (?:please|a|one|just|for|until i)\b|"
    r"[^.!?\n]*\b(?:while|moment|second|minute)\b)|"
    r"(?:scratch|cancel|forget|ignore|disregard|undo|strike) (?:that|this|it|the above|the last|my)\b|never ?mind\b|"
    r"no, (?:i|not|wait|that)\b|"
    r"actually,? (?:no|not|i|let me|wait)\b|on second thoughts?\b|wrong\b|please confirm\b|my mistake\b|not yet\b|"
    r"(?:that|this|it|the above) (?:is|was) (?:just |only |merely )?(?:an? )?(?:example|draft|proposal|suggestion|"
    r"mistake|wrong|not (?:yet|sent|meant|final|real))\b)|"
    r"\blet me (?:first|ask)\b|\bfirst,? let me\b|\b(?:a?waiting|waiting for|pending) (?:your|the user|approval|"
    r"confirmation)|"
    r"(?<!else )(?<!anything )(?<!if )(?<!whether )\bi (?:first )?(?:should|must|need to|have to|forgot to|"
    r"ought to) (?:first |still |have )*(?:ask|check with|confirm|"
    r"asked|checked|confirmed|wait)|"
    r"\bi (?:have|did|will|would) not (?:yet |actually |really )?(?:run|call|called|execute|executed|send|sent|do|"
    r"done|make|"
    r"made|book|booked|mean|meant)\b",
    re.M,
)
_LEAVE = (
    r"\b(?:shall|should|may|can|could) (?:i|we) (?:go ahead|proceed|run|call|do (?:it|that|this|so)|make (?:it|that|"
    r"this|the)|"
    r"book|confirm|send|execute|reserve)\b[^.!?\n]*\?|"
    r"\b(?:do|would) you (?:agree|confirm|mind)\b[^.!?\n]*\?|\b(?:is|are) (?:that|this|it|everything|these|"
    r"you) (?:\w+ )?(?:ok|okay|fine|right|correct|alright|all right|happy|sure)\b[^.!?\n]*\?|\b(?:ok|okay|right|"
    r"correct|looks? good|sounds? good)\?|"
    r"\b(?:do you want|would you like) me to (?:go ahead|proceed|run|call|do (?:it|that|this|so)|make|book|confirm|"
    r"send|reserve)\b[^.!?\n]*\?"
)
_ASKS_LEAVE = re.compile(_LEAVE)
_ASKED_LEAVE = re.compile(rf"(?:{_LEAVE}|\b(?:book|reserve|proceed|go ahead|continue)\b[^.!?\n]*\?)\W*\Z")
_SAME_SENTENCE = re.compile(r"[^.!?\n]*\??")
_MAY_BE_STRUCK = re.compile(r"~~|<(?:s|del|strike)>|<!--|/\*", re.I)
_STRUCK = re.compile(r"(?<!~)~~(?!~)(?:(?!~~).)+~~(?!~)|<(s|del|strike)>.*?</\1>|<!--.*?-->|/\*.*?\*/", re.S | re.I)
"""What is struck out, or commented out in a block."""
_COMMENTED = re.compile(r"^[ \t>]*(?:#|//+|--)[ \t]*book[ \t]*\(", re.M | re.I)
_COMMENTS = re.compile(
    r"((?:^[ \t]*(?:#+|//+|--|/\*|<!--)[^\n]*\n)+)(?:[ \t]*```[^\n]*\n)?[^\n]*(?:\bbook\b|\{)", re.M | re.I
)
_PUTS_OFF = re.compile(
    r"\b(?:not (?:yet|now|ready|sure|confirmed)|do not|don't|never|todo|ask (?:the |my )?(?:user|customer|guest|them|"
    r"first)|wait|examples?|e\.g|draft|cancel\w*|later|"
    r"pending|if|unless|until|before|after (?:the user|you|they)|disabled|skip|only when|once)\b|\bfirst\W*$",
    re.I | re.M,
)


class WrittenCall(NamedTuple):
    """A call as it stands in a text: its name, what is between the brackets, and whether it is meant."""

    name: str
    arguments: str
    is_meant: bool


def find_call(utterance: str) -> WrittenCall | None:
    """The first tool call of an utterance, or an object of JSON that is one.

    A booking is not meant where its sentence asks, makes a condition or denies ("Shall I book(...)?"), where it is
    struck out or taken back in the next sentence, or where a comment in front of it puts it off.
    """
    struck = _STRUCK.sub(" ", utterance) if _MAY_BE_STRUCK.search(utterance) else utterance
    call = _find_call(struck)
    if call is None and struck != utterance:
        call = _find_call(utterance)
        call = call and call._replace(is_meant=call.name == "search")
    if call is None or call.name == "search" or not call.is_meant:
        return call
    comments = "\n" in struck and any(_PUTS_OFF.search(match[1]) for match in _COMMENTS.finditer(utterance))
    return call._replace(is_meant=False) if comments or _COMMENTED.search(struck) else call


def _find_call(utterance: str) -> WrittenCall | None:
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
    """Whether what stands around a call, its sentence or the ones beside it, leaves open that it is meant."""
    before = written_out(_SENTENCE_END.split(text[:start])[-1])
    rest = written_out(text[end:])
    after = _SAME_SENTENCE.match(rest)
    if any(_UNSURE.search(part) for part in (before, after[0] if after else "")):
        return True
    if _ON_ITS_YES.search(before) or _NAMED_ONLY.search(before) or _STRUCK_AFTER.match(rest):
        return True
    return bool(_TAKES_BACK.search(rest) or _ASKS_LEAVE.search(rest) or _ASKED_LEAVE.search(written_out(text[:start])))


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
