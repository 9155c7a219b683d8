"""The restaurants, and which combinations of constraints they can meet."""

from __future__ import annotations

import csv
import functools
import itertools
import re
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from ...rewards.files import utf8_text
from ..core.items import read_once
from ..understanding.values import phones, postcodes

CONSTRAINT_SLOTS = ("food", "area", "pricerange")
REQUEST_SLOTS = ("phone", "address", "postcode")
BOOKING_SLOTS = ("people", "day", "time")
SLOTS = CONSTRAINT_SLOTS + BOOKING_SLOTS

DONTCARE = "dontcare"
UNKNOWN = "unknown"
"""What is told of a fact that the database does not have."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TIMES = ("11:30", "12:15", "13:00", "17:45", "18:30", "19:00", "19:45", "20:30")
PEOPLE = ("1", "2", "3", "4", "5", "6", "7", "8")

COLUMNS = ("name", "food", "area", "pricerange", "phone", "address", "postcode")


class Venue(NamedTuple):
    """One restaurant, every value in its plain form; an empty string means unknown."""

    name: str
    food: str
    area: str
    pricerange: str
    phone: str
    address: str
    postcode: str


Constraints = tuple[tuple[str, str], ...]
"""(slot, value) pairs in the order of ``CONSTRAINT_SLOTS``; a missing slot is as good as ``DONTCARE``."""


class Database:
    """The venues of a CSV file with the columns name, food, area, pricerange, phone, address and postcode.

    Values are compared in a plain form (:func:`plain_value`) and shown as the file writes them.

    Args:
        path: the file, UTF-8, with or without a byte order mark; None reads the 110 restaurants of Cambridge that ship
            with the package.

    Raises:
        ValueError: with the line number, for a missing column, a missing name or value, or a repeated name; or for a
            file that is not UTF-8.
    """

    def __init__(self, path: str | Path | None = None):
        source = resources.files("dialogym.envs.data") / "cambridge_restaurants.csv" if path is None else Path(path)
        written = _read(utf8_text(source, source.name), str(source.name))
        self.venues = tuple([Venue(*map(plain_value, COLUMNS, venue)) for venue in written])
        self._written = {
            (slot, plain_value(slot, value)): value
            for venue in reversed(written)
            for slot, value in zip(COLUMNS, venue, strict=True)
        }
        self.index = {venue.name: number for number, venue in enumerate(self.venues)}
        self.values: dict[str, tuple[str, ...]] = {
            slot: tuple(sorted({getattr(venue, slot) for venue in self.venues})) for slot in CONSTRAINT_SLOTS
        }
        self.values.update(people=PEOPLE, day=DAYS, time=TIMES)
        self._matches: dict[tuple[str, str, str], tuple[int, ...]] = {}
        self._matching: dict[Constraints, tuple[int, ...]] = {}
        self._changes: dict[Constraints, tuple[tuple[str, str], ...]] = {}

    def written(self, slot: str, value: str) -> str:
        """A plain value as the file writes it ("Ask Restaurant", "CB2 1UF"), a day with its capital."""
        if slot == "day":
            return value.capitalize()
        return self._written.get((slot, value), value)

    def matches(self, food: str, area: str, pricerange: str) -> tuple[int, ...]:
        """Numbers of the venues that meet all three, in file order; ``DONTCARE`` is met by all."""
        key = (food, area, pricerange)
        found = self._matches.get(key)
        if found is None:
            found = self._matches[key] = tuple(
                number
                for number, venue in enumerate(self.venues)
                if food in (DONTCARE, venue.food)
                and area in (DONTCARE, venue.area)
                and pricerange in (DONTCARE, venue.pricerange)
            )
        return found

    def matching(self, constraints: Constraints) -> tuple[int, ...]:
        """Numbers of the venues that meet the constraints."""
        found = self._matching.get(constraints)
        if found is None:
            wanted = dict(constraints)
            found = self.matches(*(wanted.get(slot, DONTCARE) for slot in CONSTRAINT_SLOTS))
            self._matching[constraints] = found
        return found

    def changes(self, constraints: Constraints) -> tuple[tuple[str, str], ...]:
        """Single changes (slot, other value) of a constraint after which some venue matches."""
        found = self._changes.get(constraints)
        if found is None:
            found = self._changes[constraints] = tuple(
                (slot, other)
                for slot, value in constraints
                if value != DONTCARE
                for other in self.values[slot]
                if other != value and self.matching(replaced(constraints, slot, other))
            )
        return found

    @functools.cached_property
    def impossible(self) -> tuple[Constraints, ...]:
        """Pairs and triples of constraints that no venue meets and that one change makes possible."""
        found = []
        for size in (2, 3):
            for slots in itertools.combinations(CONSTRAINT_SLOTS, size):
                for values in itertools.product(*(self.values[slot] for slot in slots)):
                    constraints = tuple(zip(slots, values, strict=True))
                    if not self.matching(constraints) and self.changes(constraints):
                        found.append(constraints)
        return tuple(found)


_NOT_WORD = re.compile(r"[^\w&]+")


def plain_value(slot: str, written: str) -> str:
    """A value in lower case; phone numbers and postcodes without spaces, addresses without punctuation.

    >>> plain_value("phone", "01223 350688"), plain_value("postcode", "CB4 3HL"), plain_value("food", "Thai")
    ('01223350688', 'cb43hl', 'thai')
    """
    value = " ".join(written.lower().split())
    if slot == "phone":
        found = phones(value)
        return found[0].value if len(found) == 1 else value
    if slot == "postcode":
        found = postcodes(value)
        return found[0].value if len(found) == 1 else value
    return _NOT_WORD.sub(" ", value).strip() if slot == "address" else value


def replaced(constraints: Constraints, slot: str, value: str) -> Constraints:
    """The constraints with one slot's value changed."""
    return tuple((name, value if name == slot else old) for name, old in constraints)


def _read(text: str, source: str) -> tuple[Venue, ...]:
    rows = csv.DictReader(text.splitlines())
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise ValueError(f"{source}, line 1: expected the columns {', '.join(COLUMNS)}; missing {', '.join(missing)}")
    venues: list[Venue] = []
    seen: set[str] = set()
    for row in rows:
        venue = Venue(*(str(row[column] or "").strip() for column in COLUMNS))
        empty = [slot for slot in ("name", *CONSTRAINT_SLOTS) if not getattr(venue, slot)]
        if empty:
            raise ValueError(f"{source}, line {rows.line_num}: {', '.join(empty)} must not be empty")
        if venue.name.lower() in seen:
            raise ValueError(f"{source}, line {rows.line_num}: the name {venue.name!r} stands there already")
        seen.add(venue.name.lower())
        venues.append(venue)
    if not venues:
        raise ValueError(f"{source}: expected at least one restaurant, got none")
    return tuple(venues)


@read_once
def load_database(path: str | None) -> Database:
    """The database of a file; None is the one that ships."""
    return Database(path)
