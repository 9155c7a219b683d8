"""What a user can want: sampled from the database, so that it is known whether any restaurant fits."""

from __future__ import annotations

import random
from typing import NamedTuple, TypedDict

from .database import (
    CONSTRAINT_SLOTS,
    DAYS,
    DONTCARE,
    PEOPLE,
    REQUEST_SLOTS,
    TIMES,
    Constraints,
    Database,
    replaced,
)

CONSTRAINT_SETS = {
    1: (("food",), ("area",), ("pricerange",)),
    2: (("food", "area"), ("food", "pricerange"), ("area", "pricerange")),
    3: (CONSTRAINT_SLOTS,),
}
DONTCARE_RATE = 0.3
REQUEST_RATE = 0.45
BOOKING_RATE = 0.5
FALLBACK_RATE = 0.3


class Goal(TypedDict):
    """One user's goal.

    ``relax`` is set when no restaurant meets the constraints: the change the user makes when told so. ``change`` is a
    change of mind after the first good offer. At most one of relax, change and alternative is set.
    """

    constraints: Constraints
    relax: tuple[str, str] | None
    change: tuple[str, str] | None
    alternative: bool
    requests: tuple[str, ...]
    booking: tuple[tuple[str, str], ...] | None
    fallback: tuple[str, str] | None


class GoalRates(NamedTuple):
    """Shares of goals: with no matching restaurant, with a change of mind, asking for an alternative."""

    unreachable: float = 0.1
    change: float = 0.1
    alternative: float = 0.15


def draw_goal(database: Database, rates: GoalRates, rng: random.Random) -> Goal:
    """A goal drawn from ``rng`` alone."""
    twist = rng.random()
    relax: tuple[str, str] | None = None
    change: tuple[str, str] | None = None
    if twist < rates.unreachable:
        constraints = _choice(rng, database.impossible)
        relax = _choice(rng, database.changes(constraints))
    else:
        constraints = _possible(database, rng)
        if twist < rates.unreachable + rates.change:
            changes = database.changes(constraints)
            change = _choice(rng, changes) if changes else None
    asks_again = rates.unreachable + rates.change <= twist < rates.unreachable + rates.change + rates.alternative
    alternative = asks_again and len(database.matching(constraints)) > 1
    booking, fallback = _booking(rng) if rng.random() < BOOKING_RATE else (None, None)
    requests = tuple([slot for slot in REQUEST_SLOTS if rng.random() < REQUEST_RATE])
    if not requests and booking is None:
        requests = (_choice(rng, REQUEST_SLOTS),)
    return {
        "constraints": constraints,
        "relax": relax,
        "change": change,
        "alternative": alternative,
        "requests": requests,
        "booking": booking,
        "fallback": fallback,
    }


def final_constraints(goal: Goal) -> Constraints:
    """The constraints after every change of mind that the goal holds."""
    constraints = goal["constraints"]
    for change in (goal["relax"], goal["change"]):
        if change is not None:
            constraints = replaced(constraints, *change)
    return constraints


def _possible(database: Database, rng: random.Random) -> Constraints:
    draw = rng.random()
    size = 1 if draw < 0.2 else 2 if draw < 0.5 else 3
    slots = _choice(rng, CONSTRAINT_SETS[size])
    venue = _choice(rng, database.venues)
    constraints = []
    for slot in CONSTRAINT_SLOTS:
        if slot in slots:
            constraints.append((slot, getattr(venue, slot)))
        elif rng.random() < DONTCARE_RATE:
            constraints.append((slot, DONTCARE))
    return tuple(constraints)


def _booking(rng: random.Random) -> tuple[tuple[tuple[str, str], ...], tuple[str, str] | None]:
    booking = (("people", _choice(rng, PEOPLE)), ("day", _choice(rng, DAYS)), ("time", _choice(rng, TIMES)))
    if rng.random() >= FALLBACK_RATE:
        return booking, None
    slot, options = ("day", DAYS) if rng.random() < 0.5 else ("time", TIMES)
    taken = dict(booking)[slot]
    return booking, (slot, _choice(rng, [value for value in options if value != taken]))


def _choice(rng: random.Random, options):
    return options[int(rng.random() * len(options))]
