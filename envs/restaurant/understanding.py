"""What the agent's words mean: free text is understood by what it contains, so a terse "area?" works as well.

An utterance is looked at once, placeholders and all (``understand`` is cached by the reader that holds it), and its
placeholders are filled with the values of the moment afterwards.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from .database import CONSTRAINT_SLOTS, DONTCARE, REQUEST_SLOTS, SLOTS, Database

TOOL_CALL = re.compile(r"\b(search|book)\s*\(([^()]*)\)?")
WORD = re.compile(r"\[[a-z_]+\]|\d+:\d\d|[a-z0-9']+|\?")
PLACEHOLDER = re.compile(r"\[([a-z_]+)\]")

FACT_PLACEHOLDERS = ("name", *CONSTRAINT_SLOTS, *REQUEST_SLOTS, "reference", "people", "day", "time")
"""Filled from the last result: the place at hand and the booking."""
SAID_PLACEHOLDERS = tuple(f"said_{slot}" for slot in SLOTS)
"""Filled with what the user last said, as the agent heard it."""
PLACEHOLDERS = FACT_PLACEHOLDERS + SAID_PLACEHOLDERS

TOOL_ARGUMENTS = {"search": ("name", *CONSTRAINT_SLOTS), "book": ("name", "people", "day", "time")}
ALIASES = {"price": "pricerange", "price_range": "pricerange", "type": "food", "restaurant": "name"}

KEYWORDS: dict[str, tuple[str, str]] = {
    "food": ("slot", "food"), "cuisine": ("slot", "food"),
    "area": ("slot", "area"), "part of town": ("slot", "area"), "where": ("slot", "area"),
    "location": ("slot", "area"), "price": ("slot", "pricerange"), "pricerange": ("slot", "pricerange"),
    "price range": ("slot", "pricerange"), "budget": ("slot", "pricerange"), "expensive?": ("slot", "pricerange"),
    "people": ("slot", "people"), "party": ("slot", "people"), "how many": ("slot", "people"),
    "day": ("slot", "day"), "when": ("slot", "day"), "date": ("slot", "day"), "time": ("slot", "time"),
    "any": ("value", DONTCARE),
    "no": ("cue", "no"), "not": ("cue", "no"), "sorry": ("cue", "sorry"), "unfortunately": ("cue", "sorry"),
    "nothing": ("cue", "none"), "none": ("cue", "none"), "no match": ("cue", "none"),
    "such": ("cue", "such"), "like that": ("cue", "such"),
    "restaurant": ("cue", "restaurant"), "restaurants": ("cue", "restaurant"), "place": ("cue", "restaurant"),
    "match": ("cue", "restaurant"), "matches": ("cue", "restaurant"), "places": ("cue", "restaurant"),
    "only": ("cue", "only"), "cannot help": ("cue", "only"), "can't help": ("cue", "only"),
    "available": ("cue", "available"), "fully booked": ("cue", "full"), "full": ("cue", "full"),
    "failed": ("cue", "full"), "unavailable": ("cue", "full"),
    "booked": ("cue", "booked"), "reserved": ("cue", "booked"), "confirmed": ("cue", "booked"),
    "reference": ("cue", "booked"),
    "right": ("cue", "ask"), "correct": ("cue", "ask"), "?": ("cue", "ask"),
    "anything else": ("cue", "more"), "help you": ("cue", "more"), "what else": ("cue", "more"),
    "say that again": ("cue", "again"), "repeat": ("cue", "again"), "pardon": ("cue", "again"),
    "bye": ("cue", "bye"), "goodbye": ("cue", "bye"),
}  # fmt: skip


class ToolCall(NamedTuple):
    """A call of ``search`` or ``book`` as written, placeholders unfilled; ``error`` says what is wrong with it."""

    name: str
    arguments: tuple[tuple[str, str], ...]
    error: str = ""


class Understood:
    """What one utterance contains, placeholders unfilled. Made once per utterance and shared, so never changed.

    Attributes:
        tool: the call, where the utterance holds one; then the rest is empty.
        values: (slot, value) pairs; name, phone, address, postcode and reference are slots too.
        slots: the slots of ``values``.
        asked: slots that are asked for.
        is_question, is_goodbye, asks_to_repeat, says_only_restaurants: what they say.
        claims_no_match, claims_no_table, claims_booked: there is no such place; no table then; it is booked.
        has_cues: there is any of these.
    """

    __slots__ = (
        "asked", "asks_to_repeat", "claims_booked", "claims_no_match", "claims_no_table", "has_cues", "is_goodbye",
        "is_question", "says_only_restaurants", "slots", "tool", "values",
    )  # fmt: skip

    def __init__(
        self,
        tool: ToolCall | None = None,
        values: tuple[tuple[str, str], ...] = (),
        asked: tuple[str, ...] = (),
        cues: frozenset[str] = frozenset(),
    ):
        negative = bool(cues & {"no", "sorry", "none"})
        self.tool, self.values, self.asked = tool, values, asked
        self.slots = frozenset(slot for slot, _ in values)
        self.is_question = "ask" in cues
        self.is_goodbye = "bye" in cues
        self.asks_to_repeat = "again" in cues
        self.says_only_restaurants = "only" in cues
        self.claims_no_table = "full" in cues or (negative and "available" in cues)
        self.claims_booked = "booked" in cues and not negative and not self.claims_no_table
        about_places = bool(cues & {"none", "such", "restaurant"})
        self.claims_no_match = negative and about_places and not self.says_only_restaurants
        self.has_cues = bool(cues)


class Reader:
    """Understands the agent's words for one database."""

    def __init__(self, database: Database):
        self.database = database
        self._lexicon: dict[str, list[tuple[tuple[str, ...], tuple[str, str]]]] = {}
        for phrase, meaning in _phrases(database):
            words = tuple(WORD.findall(phrase))
            if words:
                self._lexicon.setdefault(words[0], []).append((words, meaning))
        for entries in self._lexicon.values():
            entries.sort(key=lambda entry: -len(entry[0]))  # the longest phrase wins
        self.understand = functools.lru_cache(maxsize=1 << 15)(self._understand)

    def __reduce__(self) -> tuple[type[Reader], tuple[Database]]:
        return Reader, (self.database,)  # the cache cannot be pickled, and need not be

    def _understand(self, utterance: str) -> Understood:
        text = utterance.lower()
        call = TOOL_CALL.search(text)
        if call:
            return Understood(_tool_call(call[1], call[2]))
        meanings = self._meanings(WORD.findall(text))
        cues = frozenset(value for kind, value in meanings if kind == "cue")
        values = []
        asked = []
        for position, (kind, value) in enumerate(meanings):
            if kind == "slot":
                asked.append(value)
            elif kind == "value":  # "any" belongs to the slot word that follows or precedes it
                neighbours = meanings[position + 1 : position + 2] + meanings[max(position - 1, 0) : position]
                values += [(slot, DONTCARE) for kind, slot in neighbours[:1] if kind == "slot"]
            elif kind != "cue":
                values.append((kind, value))
        said = {slot for slot, _ in values}
        return Understood(None, tuple(values), tuple(dict.fromkeys(s for s in asked if s not in said)), cues)

    def _meanings(self, words: list[str]) -> list[tuple[str, str]]:
        meanings = []
        position = 0
        while position < len(words):
            for phrase, meaning in self._lexicon.get(words[position], ()):
                if tuple(words[position : position + len(phrase)]) == phrase:
                    meanings.append(_counted(meaning, words, position + len(phrase)))
                    position += len(phrase)
                    break
            else:
                position += 1
        return [meaning for meaning in meanings if meaning[0]]


def _counted(meaning: tuple[str, str], words: list[str], after: int) -> tuple[str, str]:
    """A lone digit is a number of people only before a word that says so."""
    if meaning[0] == "people" and not meaning[1].startswith("["):
        return meaning if words[after : after + 1] and words[after] in ("people", "persons", "guests") else ("", "")
    return meaning


def _phrases(database: Database) -> list[tuple[str, tuple[str, str]]]:
    phrases = list(KEYWORDS.items())
    phrases += [(value, (slot, value)) for slot in CONSTRAINT_SLOTS for value in database.values[slot]]
    phrases += [(value, (slot, value)) for slot in ("people", "day", "time") for value in database.values[slot]]
    for venue in database.venues:
        phrases += [(getattr(venue, slot), (slot, getattr(venue, slot))) for slot in ("name", *REQUEST_SLOTS)]
    for placeholder in PLACEHOLDERS:
        phrases.append((f"[{placeholder}]", (placeholder.removeprefix("said_"), f"[{placeholder}]")))
    return phrases


def _tool_call(name: str, written: str) -> ToolCall:
    allowed = TOOL_ARGUMENTS[name]
    arguments = []
    for part in filter(None, (part.strip() for part in written.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        key = ALIASES.get(key, key)
        if not equals or key not in allowed:
            return ToolCall(name, (), f"error : {name} takes {' , '.join(allowed)}")
        arguments.append((key, DONTCARE if value in ("any", "") else value.strip("'\"")))
    return ToolCall(name, tuple(arguments))
