"""The tools an agent reads the world through: searching for restaurants and booking a table."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...rewards.transcript import Words
from ..core.streams import pick
from .calls import ToolCall, listed
from .database import BOOKING_SLOTS, COLUMNS, CONSTRAINT_SLOTS, DONTCARE, UNKNOWN, Constraints, Database
from .tracker import Tracker

TABLE_PLACEHOLDERS = ("reference", *BOOKING_SLOTS)
NUM_SHOWN = 2
"""Matches that the result of a search names."""
MAX_LISTED = 8
"""A value that does not exist is answered with those that do where there are no more than these."""


class Reservation(NamedTuple):
    """A table that was booked."""

    venue: int
    people: str
    day: str
    time: str
    reference: str


class Tools:
    """What the tools of one conversation found and did.

    Args:
        database: the restaurants.
        full: (slot, value) pairs of a day and a time, together fully booked; empty where there is always a table.
        wording: seed of the references.
        tracker: told of every result.

    Attributes:
        record: number of the venue that the last result is about; fills placeholders.
        reservation: the table that was booked last.
        last_booking_failed: the last booking found no table.
        hidden: venues that searches leave out, because the user wants another one.
        num_calls: how often they were used.
    """

    __slots__ = (
        "database", "full", "hidden", "last_booking_failed", "num_calls", "record", "reservation", "tracker", "wording",
    )  # fmt: skip

    def __init__(self, database: Database, full: Constraints, wording: int, tracker: Tracker):
        self.database, self.full, self.wording, self.tracker = database, full, wording, tracker
        self.record: int | None = None
        self.reservation: Reservation | None = None
        self.last_booking_failed = False
        self.hidden: set[int] = set()
        self.num_calls = 0

    def use(self, call: ToolCall, turn: int) -> Words:
        """The result of a call, in words."""
        self.num_calls += 1
        if call.error:
            return call.error
        return self._search(self._arguments(call)) if call.name == "search" else self._book(self._arguments(call), turn)

    def value_of(self, placeholder: str) -> str | None:
        """The plain value that a placeholder stands for; None where there is nothing to fill it with."""
        if placeholder in COLUMNS:
            if self.record is None:
                return None
            return getattr(self.database.venues[self.record], placeholder) or UNKNOWN
        if placeholder in TABLE_PLACEHOLDERS:
            return getattr(self.reservation, placeholder) if self.reservation is not None else None
        return self.tracker.heard.get(placeholder.removeprefix("said_"))

    def _arguments(self, call: ToolCall) -> dict[str, str]:
        arguments = {}
        for slot, value in call.arguments:
            if value[:1] == "[":
                value = self.value_of(value[1:-1]) or DONTCARE
            if value != DONTCARE:
                arguments[slot] = value
        return arguments

    def _search(self, wanted: Mapping[str, str]) -> Words:
        if "name" in wanted:
            number = self.database.index.get(wanted["name"])
            found: tuple[int, ...] = () if number is None else (number,)
        else:
            found = self.database.matches(*[wanted.get(slot, DONTCARE) for slot in CONSTRAINT_SLOTS])
            if self.hidden:
                found = tuple([number for number in found if number not in self.hidden])
        self.record = found[0] if found else None
        self.tracker.hear_search(len(found))
        if not found:
            return functools.partial(_nothing_found, self.database, wanted)
        if "name" in wanted:
            return functools.partial(_details, self.database, found[0])
        return functools.partial(_matches, self.database, found)

    def _book(self, wanted: Mapping[str, str], turn: int) -> Words:
        number = self.database.index.get(wanted["name"]) if "name" in wanted else self.record
        missing = [slot for slot in BOOKING_SLOTS if slot not in wanted]
        if number is None or missing:
            if "name" in wanted and number is None:
                return f"Error: there is no restaurant {wanted['name']}."
            return f"Error: book needs {listed((['name'] if number is None else []) + missing)} too."
        for slot in BOOKING_SLOTS:
            if wanted[slot] not in self.database.values[slot]:
                return f"Error: no table for the {slot} {wanted[slot]}; {_choice(self.database, slot)}."
        self.record = number
        self.last_booking_failed = bool(self.full) and {("day", wanted["day"]), ("time", wanted["time"])} == {
            *self.full
        }
        if self.last_booking_failed:
            self.tracker.hear_booking(False)
            return "Not available."
        reference = _reference(self.wording, turn)
        self.reservation = Reservation(number, wanted["people"], wanted["day"], wanted["time"], reference)
        self.tracker.hear_booking(True)
        return f"Booked. The reference is {reference.upper()}."


def _matches(database: Database, found: Sequence[int]) -> str:
    names = [database.written("name", database.venues[number].name) for number in found[:NUM_SHOWN]]
    more = ["..."] if len(found) > NUM_SHOWN else []
    return f"{len(found)} {'restaurant matches' if len(found) == 1 else 'restaurants match'}: {', '.join(names + more)}"


def _nothing_found(database: Database, wanted: Mapping[str, str]) -> str:
    for slot in CONSTRAINT_SLOTS:
        if slot in wanted and wanted[slot] not in database.values[slot]:
            return f"No restaurant matches: none has the {slot} {wanted[slot]}{_hint(database, slot)}."
    if "name" in wanted:
        return f"No restaurant matches: none has the name {wanted['name']}."
    return "No restaurant matches."


def _hint(database: Database, slot: str) -> str:
    return f"; {_choice(database, slot)}" if len(database.values[slot]) <= MAX_LISTED else ""


def _choice(database: Database, slot: str) -> str:
    return f"choose {listed([database.written(slot, value) for value in database.values[slot]], 'or')}"


def _details(database: Database, number: int) -> str:
    venue = database.venues[number]._asdict()
    facts = [(slot, database.written(slot, value) or UNKNOWN) for slot, value in venue.items() if slot != "name"]
    described = ", ".join([f"{'price range' if slot == 'pricerange' else slot} {value}" for slot, value in facts])
    return f"{database.written('name', venue['name'])}: {described}"


def _reference(wording: int, turn: int) -> str:
    digits = "bcdfghjkmnpqrstvwxz23456789"
    return "".join([digits[pick(wording, 1000 + 8 * turn + place, len(digits))] for place in range(5)])
