"""The agenda-based user simulator (Schatzmann et al., 2007, https://aclanthology.org/N07-2038/), and the truth.

The user holds a goal and an agenda: constraints to inform, requests, a booking, and goodbye at the bottom. What the
agent says is understood by what it contains; the user answers it, corrects it, or goes on with the agenda, and loses
patience with turns that bring nothing. Ours differs from the paper in that the agenda is a fixed order of kinds with
sampled initiative rather than a stack with learned push probabilities.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ...rewards.transcript import Line
from ..core.streams import Streams, pick
from ..core.task import Partner
from .database import BOOKING_SLOTS, COLUMNS, CONSTRAINT_SLOTS, DONTCARE, REQUEST_SLOTS, Database, Venue, replaced
from .goals import Goal
from .noise import NoiseChannel
from .tracker import Tracker
from .understanding import PLACEHOLDER, Reader, ToolCall, Understood
from .wording import BANKS, MENU_WORDS, OUT_OF_DOMAIN, SYSTEM, Act, user_text

TABLE_PLACEHOLDERS = ("reference", *BOOKING_SLOTS)
FREE_TOOL_CALLS = 2
"""Tool calls in a row that the user waits for without losing patience."""


class Profile(NamedTuple):
    """A kind of user; each conversation draws its parameters from these ranges.

    ``patience`` is the number of fruitless turns before the user hangs up, ``initiative`` the chance to volunteer more.
    """

    patience: tuple[int, int]
    initiative: tuple[float, float]


PROFILES = {
    "cooperative": Profile(patience=(4, 6), initiative=(0.5, 0.9)),
    "unfriendly": Profile(patience=(3, 4), initiative=(0.0, 0.3)),
}


class Reservation(NamedTuple):
    """A table that was booked."""

    venue: int
    people: str
    day: str
    time: str
    reference: str


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """What all conversations of a task share."""

    database: Database
    reader: Reader
    masks: bool
    noise: float
    out_of_domain: float
    profile: str


class RestaurantUser(Partner):
    """One user with one goal, the tools the agent reads the world through, and the agent's record of what it heard."""

    __slots__ = (
        "accepted", "answers", "asked_to_book", "bank", "booking", "booking_confirmed", "change", "constraints",
        "declined", "deferred", "described", "fallback", "goal", "initiative", "last_acts", "last_booking_failed",
        "noise", "over", "patience", "pending", "record", "relax", "reservation", "rng", "said_booking", "streams",
        "success", "to_inform", "to_request", "told", "tools_in_a_row", "tracker", "turn", "venue", "wants",
        "wants_alternative", "world",
    )  # fmt: skip

    def __init__(self, world: World, goal: Goal, streams: Streams, split: str):
        self.world, self.goal, self.streams = world, goal, streams
        self.bank = BANKS[split]
        self.rng = streams.behaviour
        self.noise = NoiseChannel(world.database, world.noise, streams.noise)
        self.tracker = Tracker(world.masks)
        self._draw_parameters()
        self.turn = 0
        self.over = self.success = False
        # what the user still wants
        self.constraints = goal["constraints"]
        self.wants = dict(goal["constraints"])
        self.booking = dict(goal["booking"]) if goal["booking"] is not None else None
        self.relax, self.change, self.fallback = goal["relax"], goal["change"], goal["fallback"]
        self.wants_alternative = goal["alternative"]
        # the agenda
        self.to_inform = list(goal["constraints"])
        self.to_request = list(goal["requests"])
        self.pending: list[str] = []
        self.told: set[tuple[str, ...]] = set()
        self.said_booking: set[str] = set()
        self.asked_to_book = False
        # what the agent has told the user
        self.venue: int | None = None
        self.accepted = False
        self.described: dict[str, str] = {}
        self.answers: dict[str, str] = {}
        self.booking_confirmed = False
        self.declined: set[int] = set()
        # the world: the last result, the table
        self.record: int | None = None
        self.reservation: Reservation | None = None
        self.last_booking_failed = False
        self.tools_in_a_row = 0
        # out-of-domain turns
        self.deferred: list[Act] | None = None
        self.last_acts: list[Act] = []

    def _draw_parameters(self) -> None:
        name = self.world.profile
        random01 = self.rng.random
        if name == "mixed":
            name = "cooperative" if random01() < 0.5 else "unfriendly"
        profile = PROFILES[name]
        low, high = profile.patience
        self.patience = low + int(random01() * (high - low + 1))
        least, most = profile.initiative
        self.initiative = least + random01() * (most - least)

    # The conversation

    def open(self) -> list[Line]:
        self.to_inform = shuffled(self.to_inform, self.rng)
        acts = self._volunteer_constraints() if self.to_inform else [("prompt",)]
        return [("system", SYSTEM), self._speak(acts)]

    def hear(self, utterance: str) -> list[Line]:
        self.turn += 1
        understood = self.world.reader.understand(utterance)
        if understood.tool is not None:
            return self._use_tool(understood.tool)
        self.tools_in_a_row = 0
        self.tracker.hear_agent(understood)
        acts, fruitful = self._respond(understood)
        if not fruitful and not self.over:
            self.patience -= 1
            if self.patience <= 0:
                return [self._hang_up()]
        return [self._speak(acts)]

    def phrase(self, choice: int) -> str:
        options = MENU_WORDS[choice]
        return options[pick(self.streams.wording, 16 * self.turn + 15, len(options))]

    def _respond(self, understood: Understood) -> tuple[list[Act], bool]:
        """The user's acts in answer to words, and whether the words brought anything."""
        if self.deferred is not None:  # an out-of-domain question is open; any other answer to it is lost
            acts, self.deferred = self.deferred, None
            return acts, understood.says_only_restaurants
        acts, fruitful = self._react(understood)
        if not acts:
            acts, more = self._next_on_agenda(fruitful)
            fruitful = fruitful or more
        if fruitful and not self.over and self.world.out_of_domain and self.rng.random() < self.world.out_of_domain:
            self.deferred = acts
            topic = OUT_OF_DOMAIN[int(self.rng.random() * len(OUT_OF_DOMAIN))]
            return [("out_of_domain", topic)], True
        return acts, fruitful

    def _speak(self, acts: list[Act]) -> Line:
        self.last_acts = acts
        heard = acts if self.over else self.noise.pass_on(acts)
        self.tracker.hear_user(heard)
        return "user", functools.partial(user_text, heard, self.streams.wording, self.turn, self.bank)

    def _hang_up(self) -> Line:
        self.over = True
        return self._speak([("hang_up",)])

    # Reactions: each returns the user's acts and whether the agent's words brought anything

    def _react(self, understood: Understood) -> tuple[list[Act], bool]:
        facts = self._filled(understood.values) if understood.values else []
        if not (facts or understood.asked or understood.has_cues):  # nothing was understood
            return (list(self.last_acts) or [("puzzled",)]), False
        if understood.asks_to_repeat or understood.is_goodbye:  # a user who wants something does not let the agent go
            return list(self.last_acts), False
        if understood.claims_no_table:
            return self._hear_no_table()
        if understood.claims_booked:
            return self._hear_booked(facts)
        if understood.claims_no_match:
            return self._hear_no_match()
        if facts and understood.is_question and "name" not in understood.slots:
            return self._hear_confirm(facts)
        acts, fruitful = self._hear_facts(facts) if facts else ([], False)
        if acts or not understood.asked:
            return acts, fruitful
        asked, answered = self._hear_requests(understood.asked)
        return asked, fruitful or answered

    def _filled(self, values: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The values with placeholders filled; a placeholder with nothing to fill it is dropped."""
        value_of = self._value_of
        filled = [(slot, value_of(value[1:-1]) if value[0] == "[" else value) for slot, value in values]
        return [(slot, value) for slot, value in filled if value is not None]

    def _value_of(self, placeholder: str) -> str | None:
        venue = None if self.record is None else self.world.database.venues[self.record]
        return _value(placeholder, venue, self.reservation, self.tracker.heard)

    def _hear_facts(self, facts: Sequence[tuple[str, str]]) -> tuple[list[Act], bool]:
        """A place is offered or described, or requests about it are answered."""
        fruitful = False
        for slot, value in facts:
            if slot == "name":
                fruitful |= self._consider(value)
        if self.venue is None:
            return [], False
        for slot, value in facts:
            if slot in CONSTRAINT_SLOTS:
                fruitful |= slot not in self.described
                self.described[slot] = value
            elif slot in REQUEST_SLOTS:
                fruitful |= slot in self.pending
                self.answers[slot] = value
        self.pending = [slot for slot in self.pending if slot not in self.answers and slot not in self.described]
        self.to_request = [slot for slot in self.to_request if slot not in self.answers]
        return self._judge_venue(fruitful) if not self.accepted else ([], fruitful)

    def _consider(self, name: str) -> bool:
        number = self.world.database.index.get(name)
        if number is None or number == self.venue:
            return False
        self.venue, self.accepted = number, False
        self.to_request += [slot for slot in self.goal["requests"] if slot in self.answers]
        self.described, self.answers = {}, {}
        self.booking_confirmed = False
        fresh = ("venue", name) not in self.told
        self.told.add(("venue", name))
        return fresh

    def _judge_venue(self, fruitful: bool) -> tuple[list[Act], bool]:
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
            self._now_wants(slot, value)
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

    def _now_wants(self, slot: str, value: str) -> None:
        self.constraints = replaced(self.constraints, slot, value)
        self.wants[slot] = value
        self.to_inform = [(name, old) for name, old in self.to_inform if name != slot]

    def _hear_no_match(self) -> tuple[list[Act], bool]:
        if self.relax is not None:
            (slot, value), self.relax = self.relax, None
            self._now_wants(slot, value)
            return [("change",), ("inform", slot, value)], True
        self.to_inform = []
        return [("inform", slot, value) for slot, value in self.constraints], False

    def _hear_confirm(self, facts: Sequence[tuple[str, str]]) -> tuple[list[Act], bool]:
        wrong: list[Act] = []
        fruitful = False
        for slot, value in facts:
            right = self._right_value(slot)
            if right is None:
                continue
            fruitful |= ("confirm", slot, value) not in self.told
            self.told.add(("confirm", slot, value))
            self.to_inform = [(name, old) for name, old in self.to_inform if name != slot]
            if right != value:
                wrong.append(("inform", slot, right))
        if wrong:
            return [("negate",), *wrong], fruitful
        return ([("affirm",)] if fruitful else []), fruitful

    def _right_value(self, slot: str) -> str | None:
        if slot in CONSTRAINT_SLOTS:
            return self.wants.get(slot, DONTCARE)
        return self.booking.get(slot) if self.booking is not None else None

    def _hear_requests(self, asked: Sequence[str]) -> tuple[list[Act], bool]:
        acts: list[Act] = []
        fruitful = False
        for slot in asked:
            if slot in CONSTRAINT_SLOTS:
                acts.append(("inform", slot, self.wants.get(slot, DONTCARE)))
                self.to_inform = [(name, old) for name, old in self.to_inform if name != slot]
            elif self.booking is None:
                acts = acts or [("no_booking",)]
            else:
                acts.append(("inform", slot, self.booking[slot]))
                self.said_booking.add(slot)
                self.asked_to_book = True
            fruitful |= ("asked", slot) not in self.told
            self.told.add(("asked", slot))
        return acts, fruitful

    def _hear_booked(self, values: Sequence[tuple[str, str]]) -> tuple[list[Act], bool]:
        if self.booking is None:
            return [("no_booking",)], False
        reference = next((value for slot, value in values if slot == "reference"), None)
        if self.reservation is None or reference != self.reservation.reference or self.reservation.venue != self.venue:
            return [("ask_reference",)], False
        wrong = [(slot, self.booking[slot]) for slot, value in values if self.booking.get(slot, value) != value]
        if wrong:
            return [("negate",), *(("inform", slot, right) for slot, right in wrong)], True
        fruitful = not self.booking_confirmed
        self.booking_confirmed = True
        return [], fruitful

    def _hear_no_table(self) -> tuple[list[Act], bool]:
        if self.booking is None:
            return [("no_booking",)], False
        if self.last_booking_failed and self.fallback is not None:
            (slot, value), self.fallback = self.fallback, None
            self.booking[slot] = value
            return [("inform", slot, value)], True
        return [("book",), *(("inform", slot, value) for slot, value in self.booking.items())], False

    # The agenda

    def _next_on_agenda(self, answered: bool) -> tuple[list[Act], bool]:
        """The next thing on the agenda, and whether saying it is progress that the agent made room for."""
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
            return self._ask_to_book()
        self.over = True
        self.success = self._complete()
        return [("bye",)], True

    def _volunteer_constraints(self) -> list[Act]:
        count = 1
        while count < len(self.to_inform) and self.rng.random() < self.initiative:
            count += 1
        said, self.to_inform = self.to_inform[:count], self.to_inform[count:]
        return [("inform", slot, value) for slot, value in said]

    def _ask_to_book(self) -> tuple[list[Act], bool]:
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

    # The tools

    def _use_tool(self, call: ToolCall) -> list[Line]:
        self.tools_in_a_row += 1
        answer = self._search(call) if call.name == "search" else self._book(call)
        lines: list[Line] = [("tool", answer)]
        if self.tools_in_a_row > FREE_TOOL_CALLS:
            self.patience -= 1
            if self.patience <= 0:
                lines.append(self._hang_up())
        return lines

    def _arguments(self, call: ToolCall) -> dict[str, str]:
        arguments = {}
        for key, value in call.arguments:
            if value[:1] == "[":
                value = self._value_of(value[1:-1]) or DONTCARE
            if value != DONTCARE:
                arguments[key] = value
        return arguments

    def _search(self, call: ToolCall) -> str | Callable[[], str]:
        if call.error:
            return call.error
        wanted = self._arguments(call)
        if "name" in wanted:
            number = self.world.database.index.get(wanted["name"])
            found: tuple[int, ...] = () if number is None else (number,)
        else:
            found = self.world.database.matches(*[wanted.get(slot, DONTCARE) for slot in CONSTRAINT_SLOTS])
            if self.declined:
                found = tuple(number for number in found if number not in self.declined)
        self.record = found[0] if found else None
        self.tracker.hear_search(len(found))
        if "name" in wanted and found:
            return functools.partial(_details, self.world.database, found[0])
        return functools.partial(_result, self.world.database, found)

    def _book(self, call: ToolCall) -> str | Callable[[], str]:
        if call.error:
            return call.error
        wanted = self._arguments(call)
        number = self.world.database.index.get(wanted["name"]) if "name" in wanted else self.record
        missing = [slot for slot in BOOKING_SLOTS if slot not in wanted]
        if number is None or missing:
            return "error : book needs " + " , ".join((["name"] if number is None else []) + missing)
        bad = [slot for slot in BOOKING_SLOTS if wanted[slot] not in self.world.database.values[slot]]
        if bad:
            return f"error : no {bad[0]} {wanted[bad[0]]}"
        self.record = number
        self.last_booking_failed = self._is_full(wanted["day"], wanted["time"])
        if self.last_booking_failed:
            self.tracker.hear_booking(False)
            return "not available"
        reference = _reference(self.streams.wording, self.turn)
        self.reservation = Reservation(number, wanted["people"], wanted["day"], wanted["time"], reference)
        self.tracker.hear_booking(True)
        return f"booked , reference {reference}"

    def _is_full(self, day: str, time: str) -> bool:
        """Goals with a fallback find the day and time they first want fully booked."""
        return self.goal["fallback"] is not None and {("day", day), ("time", time)} <= set(self.goal["booking"] or ())

    # The truth

    def _found(self) -> bool:
        return self.venue is not None and self.venue in self.world.database.matching(self.constraints)

    def _answered(self) -> bool:
        requests = self.goal["requests"]
        if self.venue is None or len(self.answers) < len(requests):
            return False
        venue = self.world.database.venues[self.venue]
        truth = [getattr(venue, slot) or "unknown" for slot in requests]
        return [self.answers.get(slot) for slot in requests] == truth

    def _booked(self) -> bool:
        table = self.reservation
        return self.booking is None or (
            table is not None
            and self.booking_confirmed
            and table.venue == self.venue
            and (table.people, table.day, table.time) == tuple([self.booking[slot] for slot in BOOKING_SLOTS])
        )

    def _complete(self) -> bool:
        """The goal is met: a place that fits, true answers to every request, a wanted table booked and confirmed."""
        return self.accepted and self._found() and self._answered() and self._booked()

    @property
    def parts_done(self) -> int:  # type: ignore[override]
        """Finished parts of the goal: the place, and where wanted the answers and the table."""
        if not self.accepted or not self._found():
            return 0
        answered = bool(self.goal["requests"]) and self._answered()
        booked = self.goal["booking"] is not None and self._booked()
        return 1 + answered + booked

    # What the agent may see

    def summary(self) -> tuple[int, ...]:
        return self.tracker.summary()

    def allowed(self) -> bytes:
        return self.tracker.allowed()

    def facts(self) -> dict[str, Any]:
        """How much of what the user meant was garbled on the way: counts of semantic items and errors so far."""
        return {"semantic_items": self.noise.num_items, "semantic_errors": self.noise.num_errors}

    def spoken(self, utterance: str) -> Callable[[], str] | None:
        if "[" not in utterance:
            return None
        venue = None if self.record is None else self.world.database.venues[self.record]
        return functools.partial(_fill, utterance, venue, self.reservation, dict(self.tracker.heard))


def shuffled(items: list[tuple[str, str]], rng: random.Random) -> list[tuple[str, str]]:
    """The items in random order; quicker than ``rng.shuffle`` for the two or three there are."""
    return [items.pop(int(rng.random() * len(items))) for _ in range(len(items))]


def _value(placeholder: str, venue: Venue | None, reservation: Reservation | None, heard: dict[str, str]) -> str | None:
    """What a placeholder stands for; None when there is nothing to fill it with."""
    if placeholder in COLUMNS:
        return (getattr(venue, placeholder) or "unknown") if venue is not None else None
    if placeholder in TABLE_PLACEHOLDERS:
        return getattr(reservation, placeholder) if reservation is not None else None
    return heard.get(placeholder.removeprefix("said_"))


def _fill(utterance: str, venue: Venue | None, reservation: Reservation | None, heard: dict[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        value = _value(match[2], venue, reservation, heard)
        if value is None:
            return match[0]
        value = "any" if value == DONTCARE else value
        return ("an " if match[1] and _AN.match(value) else match[1] or "") + value

    return _FILLED.sub(fill, utterance)


_FILLED = re.compile(r"(\ba )?" + PLACEHOLDER.pattern)
_AN = re.compile(r"[aio]|e(?!u)")
"""Values that ask for "an" where a placeholder follows "a"."""


def _result(database: Database, found: tuple[int, ...]) -> str:
    names = " , ".join(database.venues[number].name for number in found[:2])
    return f"{len(found)} found : {names}" if found else "0 found"


def _details(database: Database, number: int) -> str:
    return " , ".join(f"{slot} = {value or 'unknown'}" for slot, value in database.venues[number]._asdict().items())


def _reference(wording: int, turn: int) -> str:
    digits = "bcdfghjkmnpqrstvwxz23456789"
    return "".join([digits[pick(wording, 1000 + 8 * turn + place, len(digits))] for place in range(5)])
