"""What a user still wants to say, and what it has been told so far.

The agenda of Schatzmann et al. (2007, https://aclanthology.org/N07-2038/): constraints to inform of, requests, a
booking, and goodbye at the bottom. Ours is a fixed order of kinds with sampled initiative rather than a stack with
learned push probabilities.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from .database import BOOKING_SLOTS, CONSTRAINT_SLOTS, DONTCARE, replaced
from .goals import Goal
from .wording import Act

Reaction = tuple[list[Act], bool]
"""What the user says to something, and whether that something brought anything."""


class Agenda:
    """One user's wants and beliefs.

    Args:
        goal: what it wants.
        rng: of its choices.
        initiative: the chance to volunteer more.

    Attributes:
        constraints: what the place has to be, changes of mind included.
        booking: the table it wants by slot, or None.
        venue: number of the place it was offered last and has not turned down.
        accepted: that place seems right.
        described: what it was told of that place, by slot; ``answers``: and of what it asked.
        booking_confirmed: it was told that the table is booked.
        pending: what it asked and was not told yet.
    """

    __slots__ = (
        "accepted", "answers", "asked_to_book", "booking", "booking_confirmed", "change", "constraints", "declined",
        "described", "fallback", "goal", "heard_before", "initiative", "pending", "relax", "rng", "said_booking",
        "to_inform", "to_request", "venue", "wants_alternative",
    )  # fmt: skip

    def __init__(self, goal: Goal, rng: random.Random, initiative: float):
        self.goal, self.rng, self.initiative = goal, rng, initiative
        self.constraints = goal["constraints"]
        self.booking = dict(goal["booking"]) if goal["booking"] is not None else None
        self.relax, self.change, self.fallback = goal["relax"], goal["change"], goal["fallback"]
        self.wants_alternative = goal["alternative"]
        # still to say
        self.to_inform = _shuffled(list(goal["constraints"]), rng)
        self.to_request = list(goal["requests"])
        self.pending: list[str] = []
        self.said_booking: set[str] = set()
        self.asked_to_book = False
        # been told
        self.heard_before: set[tuple[str, ...]] = set()
        self.venue: int | None = None
        self.accepted = False
        self.described: dict[str, str] = {}
        self.answers: dict[str, str] = {}
        self.booking_confirmed = False
        self.declined: set[int] = set()

    def opening(self) -> list[Act]:
        """What the user says first."""
        return self._volunteer_constraints() if self.to_inform else [("prompt",)]

    def next(self) -> Reaction | None:
        """The next thing on the agenda, and whether the agent made room for it; None when everything is done."""
        if self.pending:
            return [("request", slot) for slot in self.pending], False
        if self.to_inform:
            return self._volunteer_constraints(), True
        if not self.accepted:
            return [("prompt",)], False
        if self.to_request:
            count = 2 if self.rng.random() < self.initiative else 1
            self.pending, self.to_request = self.to_request[:count], self.to_request[count:]
            return [("request", slot) for slot in self.pending], True
        if self.booking is not None and not self.booking_confirmed:
            return self.ask_to_book()
        return None

    def _volunteer_constraints(self) -> list[Act]:
        count = 1
        while count < len(self.to_inform) and self.rng.random() < self.initiative:
            count += 1
        said, self.to_inform = self.to_inform[:count], self.to_inform[count:]
        return [("inform", slot, value) for slot, value in said]

    def ask_to_book(self) -> Reaction:
        """Asks for the table it wants, or after it."""
        assert self.booking is not None
        fresh = not self.asked_to_book
        self.asked_to_book = True
        unsaid = [slot for slot in BOOKING_SLOTS if slot not in self.said_booking]
        if not fresh and not unsaid:
            return [("is_it_booked",)], False
        acts: list[Act] = [("book",)]
        for slot in unsaid:
            if not fresh or self.rng.random() < self.initiative:
                acts.append(("inform", slot, self.booking[slot]))
                self.said_booking.add(slot)
        return acts, fresh

    def is_news(self, *what: str) -> bool:
        """Whether this is heard for the first time; from now on it is not."""
        if what in self.heard_before:
            return False
        self.heard_before.add(what)
        return True

    # Wants

    def wanted(self, slot: str) -> str | None:
        """The value that the user wants for a slot; None where there is no table to want it for."""
        if slot in CONSTRAINT_SLOTS:
            return dict(self.constraints).get(slot, DONTCARE)
        return self.booking.get(slot) if self.booking is not None else None

    def want(self, slot: str, value: str) -> None:
        """Changes the user's mind about a constraint."""
        self.constraints = replaced(self.constraints, slot, value)
        self.has_said(slot)

    def has_said(self, slot: str) -> None:
        """A constraint need not be volunteered any more."""
        self.to_inform = [(name, value) for name, value in self.to_inform if name != slot]

    # Beliefs

    def take_offer(self, number: int) -> None:
        """Turns to another place, of which nothing is known yet."""
        self.venue, self.accepted = number, False
        self.to_request += [slot for slot in self.goal["requests"] if slot in self.answers]
        self.described, self.answers = {}, {}
        self.booking_confirmed = False

    def take_facts(self, facts: Sequence[tuple[str, str]]) -> bool:
        """Believes what it is told of the place at hand; whether any of it was not known or was asked for."""
        fruitful = False
        for slot, value in facts:
            if slot in CONSTRAINT_SLOTS:
                fruitful |= slot not in self.described
                self.described[slot] = value
            elif slot in ("phone", "address", "postcode"):
                fruitful |= slot in self.pending
                self.answers[slot] = value
        self.pending = [slot for slot in self.pending if slot not in self.answers and slot not in self.described]
        self.to_request = [slot for slot in self.to_request if slot not in self.answers]
        return fruitful

    def judge_venue(self, fruitful: bool) -> Reaction:
        """Corrects, asks on, changes its mind, asks for another, or accepts the place at hand."""
        for slot, value in self.constraints:
            if value != DONTCARE and self.described.get(slot, value) != value:
                self.venue = None
                return [("negate",), ("inform", slot, value)], fruitful
        for slot, value in self.constraints:
            if value != DONTCARE and slot not in self.described:
                if slot not in self.pending:
                    self.pending.append(slot)
                return [("request", slot)], fruitful
        if self.change is not None:
            (slot, value), self.change = self.change, None
            self.want(slot, value)
            self.venue = None
            return [("change",), ("inform", slot, value)], fruitful
        assert self.venue is not None
        if self.venue in self.declined:
            self.venue = None
            return [("alternative",)], False
        if self.wants_alternative:
            self.wants_alternative = False
            self.declined.add(self.venue)
            self.venue = None
            return [("alternative",)], fruitful
        self.accepted = True
        return [], fruitful

    def looks_done(self, was_told_booked: bool = False) -> bool:
        """By what it was told, true or not, nothing is left to be had: a place, the answers, the table.

        Args:
            was_told_booked: it was told that the table is booked, if without the right reference.
        """
        if self.venue is None or self.change is not None or self.wants_alternative or self.venue in self.declined:
            return False
        fits = all(value in (DONTCARE, self.described.get(slot, value)) for slot, value in self.constraints)
        has_table = self.booking is None or self.booking_confirmed or was_told_booked
        return fits and has_table and all(slot in self.answers for slot in self.goal["requests"])


def _shuffled(items: list[tuple[str, str]], rng: random.Random) -> list[tuple[str, str]]:
    """The items in random order; quicker than ``rng.shuffle`` for the two or three there are."""
    return [items.pop(int(rng.random() * len(items))) for _ in range(len(items))]
