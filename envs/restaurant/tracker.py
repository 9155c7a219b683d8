"""What the agent has heard so far: the state behind the menu, made of garbled acts and tool results alone."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from .database import BOOKING_SLOTS, CONSTRAINT_SLOTS, REQUEST_SLOTS
from .understanding import Understood
from .wording import MENU, Act

# Booking status
NOT_WANTED, INCOMPLETE, COMPLETE, RESERVED, FULL, TOLD = range(6)
# The last thing the user said
GARBLED, ORDINARY, OFF_TOPIC, WAITING = range(4)

SUMMARY_SIZES = (3, 3, 3, 4, 2, 2, 2, 2, 2, 6, 4)
SUMMARY_NAMES = (
    "food: unknown, heard, confirmed", "area: unknown, heard, confirmed", "pricerange: unknown, heard, confirmed",
    "search: none or outdated, no match, one match, several", "the match was offered",
    "phone was asked for", "address was asked for", "postcode was asked for", "a description was asked for",
    "booking: not wanted, details missing, details complete, reserved, full, told",
    "the user's last turn: garbled, ordinary, off topic, waiting",
)  # fmt: skip

_ALL = bytes([1]) * len(MENU)
_BOOKING_DETAILS = frozenset(BOOKING_SLOTS)


class Tracker:
    """The agent's record of one conversation."""

    __slots__ = ("asked_about", "booking", "confirming", "found", "heard", "last", "masks", "offered", "status")

    def __init__(self, masks: bool):
        self.masks = masks
        self.heard: dict[str, str] = {}
        self.status = [0, 0, 0]
        self.found = -1
        """Matches of the last search; -1 when none was made since the user last changed something."""
        self.offered = 0
        self.asked_about = [0, 0, 0, 0]
        """Open requests: phone, address, postcode, and a description of the place."""
        self.booking = NOT_WANTED
        self.last = ORDINARY
        self.confirming: tuple[str, ...] = ()

    def hear_user(self, acts: Sequence[Act]) -> None:
        """Takes in a user turn as it was heard."""
        self.last = ORDINARY if acts else GARBLED
        confirming, self.confirming = self.confirming, ()
        for act in acts:
            kind = act[0]
            if kind == "inform":
                self._hear_value(act[1], act[2])
            elif kind == "request":
                slot = act[1]
                self.asked_about[REQUEST_SLOTS.index(slot) if slot in REQUEST_SLOTS else 3] = 1
            elif kind == "affirm":
                for slot in confirming:
                    self.status[CONSTRAINT_SLOTS.index(slot)] = 2
            elif kind == "negate":
                for slot in confirming:
                    self.status[CONSTRAINT_SLOTS.index(slot)] = 0
                    self.heard.pop(slot, None)
            elif kind == "deny":
                if self.heard.get(act[1]) == act[2] and act[1] in CONSTRAINT_SLOTS:
                    del self.heard[act[1]]
                    self.status[CONSTRAINT_SLOTS.index(act[1])] = 0
                    self.found, self.offered = -1, 0
            elif kind == "alternative":
                self.found, self.offered = -1, 0
            elif kind == "book":
                self.booking = self._booking_status()
            elif kind == "no_booking":
                self.booking = NOT_WANTED
            elif kind == "out_of_domain":
                self.last = OFF_TOPIC
            elif kind in ("prompt", "is_it_booked", "ask_reference"):
                self.last = WAITING
                if kind != "prompt":
                    self.booking = RESERVED if self.booking == TOLD else max(self.booking, self._booking_status())

    def _hear_value(self, slot: str, value: str) -> None:
        if slot in BOOKING_SLOTS:
            self.heard[slot] = value
            self.booking = self._booking_status()
            return
        position = CONSTRAINT_SLOTS.index(slot)
        if self.heard.get(slot) != value:
            self.found, self.offered = -1, 0
        self.heard[slot] = value
        self.status[position] = 1

    def _booking_status(self) -> int:
        return COMPLETE if self.heard.keys() >= _BOOKING_DETAILS else INCOMPLETE

    def hear_agent(self, understood: Understood) -> None:
        """Takes in what the agent itself said."""
        slots = understood.slots
        if understood.confirms:
            self.confirming = tuple([slot for slot, _ in understood.confirms if slot in CONSTRAINT_SLOTS])
        if slots:
            if "name" in slots:
                self.offered = 1
                self.asked_about[3] = 0
            for position, slot in enumerate(REQUEST_SLOTS):
                if slot in slots:
                    self.asked_about[position] = 0
        if understood.claims_booked and self.booking == RESERVED:
            self.booking = TOLD
        elif understood.claims_no_table and self.booking == FULL:
            self.booking = INCOMPLETE

    def hear_search(self, num_found: int) -> None:
        """Takes in the number of matches of a search."""
        self.found, self.offered = num_found, 0

    def hear_booking(self, succeeded: bool) -> None:
        """Takes in the result of a booking."""
        self.booking = RESERVED if succeeded else FULL

    def summary(self) -> tuple[int, ...]:
        """One number for each of ``SUMMARY_NAMES``."""
        found = self.found
        return (*self.status, 3 if found > 1 else found + 1, self.offered, *self.asked_about, self.booking, self.last)

    def allowed(self) -> bytes:
        """One 0 or 1 for each reply of the menu: 1 where it makes sense now."""
        if not self.masks:
            return _ALL
        return _allowed(self.summary())


@functools.cache
def _allowed(summary: tuple[int, ...]) -> bytes:
    food, area, pricerange, search, _, phone, address, postcode, _, booking, last = summary
    knows_something = bool(food or area or pricerange)
    has_match = search > 1
    refused = {
        "ask_food": food != 0, "ask_area": area != 0, "ask_pricerange": pricerange != 0,
        "confirm_food": food != 1, "confirm_area": area != 1, "confirm_pricerange": pricerange != 1,
        "search": search != 0 or not knows_something,
        "offer": not has_match,
        "no_match": search != 1,
        "answer_phone": not (has_match and phone),
        "answer_address": not (has_match and address),
        "answer_postcode": not (has_match and postcode),
        "ask_booking": booking != INCOMPLETE,
        "book": booking != COMPLETE or not has_match,
        "confirm_booking": booking not in (RESERVED, TOLD),
        "booking_failed": booking != FULL,
        "out_of_domain": last != OFF_TOPIC,
    }  # fmt: skip
    return bytes(not refused.get(name, False) for name in MENU)
