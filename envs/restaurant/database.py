"""The restaurants, and which combinations of constraints they can meet."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

from ..data_files import Field, load_items, read_once, text_of
from ..understanding.values import phones, postcodes

CONSTRAINT_SLOTS = ("food", "area", "pricerange")
REQUEST_SLOTS = ("phone", "address", "postcode")
BOOKING_SLOTS = ("people", "day", "time")
SLOTS = CONSTRAINT_SLOTS + BOOKING_SLOTS

CACHE_SIZE = 1 << 14
"""Questions to a database of each kind that are kept; a user's table may have any number of values."""
DONTCARE = "dontcare"
UNKNOWN = "unknown"
"""What is told of a fact that the database does not have."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TIMES = ("11:30", "12:15", "13:00", "17:45", "18:30", "19:00", "19:45", "20:30")
PEOPLE = ("1", "2", "3", "4", "5", "6", "7", "8")

FIELDS = {
    "name": Field(str, ("restaurant", "venue", "title"), read=text_of),
    "food": Field(str, ("cuisine", "type"), read=text_of),
    "area": Field(str, ("district", "neighbourhood", "part", "location"), read=text_of),
    "pricerange": Field(str, ("price", "prices"), read=text_of),
    "phone": Field(str, ("telephone", "phone_number", "tel"), optional=True, read=text_of),
    "address": Field(str, ("street",), optional=True, read=text_of),
    "postcode": Field(str, ("postal_code", "zip", "zip_code"), optional=True, read=text_of),
}
"""What is read of a row of own restaurants."""
COLUMNS = tuple(FIELDS)


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
    """The venues of a table with the columns name, food, area, pricerange, phone, address and postcode.

    Values are compared in a plain form (:func:`plain_value`) and shown as the file writes them.

    Args:
        data: the table, anything that ``load_items`` takes; None reads the 110 restaurants of Cambridge that ship with
            the package.
        fields, on_error: as ``load_items`` takes them.

    Attributes:
        fields: the column of the user's table that each field was taken from.
        num_skipped: rows that were left out.

    Raises:
        ValueError: with the rows, for a missing column, a missing name or value, or a repeated name; or for a file that
            is not UTF-8.
    """

    def __init__(self, data: Any = None, fields: Mapping[str, str] | None = None, on_error: str = "raise"):
        source = str(resources.files("dialogym.envs.data") / "cambridge_restaurants.csv") if data is None else data
        items = load_items(source, FIELDS, fields, on_error, once=_Checked())
        self.fields: Mapping[str, str] = {} if data is None else items.fields
        self.num_skipped = items.num_skipped
        written = [Venue(*(item.get(slot, "").strip() for slot in COLUMNS)) for item in items]
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
        self._remember()

    def __getstate__(self) -> dict[str, Any]:
        """Without what was asked before, which is found again when it is asked."""
        return {name: value for name, value in vars(self).items() if name not in ("matches", "matching", "changes")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._remember()

    def _remember(self) -> None:
        """Keeps what is asked in mind, within bounds."""
        self.matches = functools.lru_cache(CACHE_SIZE)(self._matches)
        self.matching = functools.lru_cache(CACHE_SIZE)(self._matching)
        self.changes = functools.lru_cache(CACHE_SIZE)(self._changes)

    def written(self, slot: str, value: str) -> str:
        """A plain value as the file writes it ("Ask Restaurant", "CB2 1UF"), a day with its capital."""
        if slot == "day":
            return value.capitalize()
        return self._written.get((slot, value), value)

    def _matches(self, food: str, area: str, pricerange: str) -> tuple[int, ...]:
        """Numbers of the venues that meet all three, in file order; ``DONTCARE`` is met by all."""
        return tuple(
            number
            for number, venue in enumerate(self.venues)
            if food in (DONTCARE, venue.food)
            and area in (DONTCARE, venue.area)
            and pricerange in (DONTCARE, venue.pricerange)
        )

    def _matching(self, constraints: Constraints) -> tuple[int, ...]:
        """Numbers of the venues that meet the constraints."""
        wanted = dict(constraints)
        return self.matches(*(wanted.get(slot, DONTCARE) for slot in CONSTRAINT_SLOTS))

    def _changes(self, constraints: Constraints) -> tuple[tuple[str, str], ...]:
        """Single changes (slot, other value) of a constraint after which some venue matches."""
        return tuple(
            (slot, other)
            for slot, value in constraints
            if value != DONTCARE
            for other in self.values[slot]
            if other != value and self.matching(replaced(constraints, slot, other))
        )

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


class _Checked:
    """Finds what is wrong with a row: names must differ, and the constraints must have values."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, item: Mapping[str, Any]) -> str | None:
        empty = [slot for slot in ("name", *CONSTRAINT_SLOTS) if not item[slot].strip()]
        if empty:
            return f"{', '.join(empty)} must not be empty"
        name = plain_value("name", item["name"])
        if name in self.seen:
            return f"the name {item['name'].strip()!r} stands there already"
        self.seen.add(name)
        return None


@read_once
def load_database(data: Any, fields: Mapping[str, str] | None, on_error: str) -> Database:
    """The database of a user's table; None is the one that ships."""
    return Database(data, fields, on_error)
