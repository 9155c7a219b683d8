"""The agenda-based user simulator (Schatzmann et al., 2007, https://aclanthology.org/N07-2038/).

What the agent says is understood, and the user answers it, corrects it, or goes on with its agenda, and loses patience
with turns that bring nothing. ``agenda.py`` holds what it wants and believes, ``tools.py`` what the agent can look up
and book, ``truth.py`` whether the goal was met.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...rewards.transcript import Line
from ..core.audit import AGENT, BROKE_ROLE, ENVIRONMENT, PARTNER, STOPPED_EARLY, Mark
from ..core.streams import Streams, pick
from ..core.task import Partner
from . import truth
from .agenda import Agenda, Reaction
from .audit import Auditor, Turn
from .database import CONSTRAINT_SLOTS, Database
from .filling import fill
from .goals import Goal
from .noise import NoiseChannel
from .tools import Tools
from .tracker import Tracker
from .understanding import Reader, Understood
from .wording import BANKS, MENU_WORDS, OUT_OF_DOMAIN, Act, user_text

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
    """One user with one goal, beside the tools and the agent's record of what it heard."""

    __slots__ = (
        "agenda", "answering", "bank", "deferred", "goal", "last_acts", "noise", "over", "patience", "rng", "streams",
        "success", "tools", "tools_in_a_row", "tracker", "turn", "turns", "world",
    )  # fmt: skip

    def __init__(self, world: World, goal: Goal, streams: Streams, split: str):
        self.world, self.goal, self.streams = world, goal, streams
        self.bank = BANKS[split]
        self.rng = streams.behaviour
        self.noise = NoiseChannel(world.database, world.noise, streams.noise)
        self.tracker = Tracker(world.masks)
        self.patience, initiative = _drawn(world.profile, self.rng)
        self.agenda = Agenda(goal, self.rng, initiative)
        self.tools = Tools(world.database, _full(goal), streams.wording, self.tracker)
        self.tools_in_a_row = 0
        self.turn = 0
        self.over = self.success = False
        self.deferred: list[Act] | None = None
        """What the user says once its question about something else is dealt with."""
        self.last_acts: list[Act] = []
        self.answering: Understood | None = None
        """What the agent said just before."""
        self.turns: list[tuple[int, Understood | None, Sequence[Act], Sequence[Act]]] = []
        """What the user said: agent turns before it, what it answered, what it meant, and what was heard of that."""

    # The conversation

    def open(self) -> list[Line]:
        return [self._speak(self.agenda.opening())]

    def hear(self, utterance: str) -> list[Line]:
        self.turn += 1
        understood = self.world.reader.understand(utterance)
        if understood.tool is not None:
            return self._wait_for_tool(understood)
        self.tools_in_a_row = 0
        self.answering = understood
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

    def spoken(self, utterance: str) -> Callable[[], str] | None:
        if "[" not in utterance:
            return None
        tools = self.tools
        venue = None if tools.record is None else self.world.database.venues[tools.record]
        return functools.partial(fill, utterance, venue, tools.reservation, dict(self.tracker.heard), self.world.reader)

    def answers(self, utterance: str) -> bool:
        return self.world.reader.understand(utterance).tool is None

    def _wait_for_tool(self, understood: Understood) -> list[Line]:
        assert understood.tool is not None
        self.tools_in_a_row += 1
        self.tools.hidden = self.agenda.declined
        lines: list[Line] = [("tool", self.tools.use(understood.tool, self.turn))]
        if self.tools_in_a_row > FREE_TOOL_CALLS:
            self.patience -= 1
            if self.patience <= 0:
                lines.append(self._hang_up())
        return lines

    def _respond(self, understood: Understood) -> Reaction:
        """The user's acts in answer to words, and whether the words brought anything."""
        if self.deferred is not None:  # an out-of-domain question is open; any other answer to it is lost
            acts, self.deferred = self.deferred, None
            return acts, understood.says_only_restaurants
        acts, fruitful = self._react(understood)
        if not acts:
            acts, more = self._go_on()
            fruitful = fruitful or more
        if fruitful and not self.over and self.world.out_of_domain and self.rng.random() < self.world.out_of_domain:
            self.deferred = acts
            topic = OUT_OF_DOMAIN[int(self.rng.random() * len(OUT_OF_DOMAIN))]
            return [("out_of_domain", topic)], True
        return acts, fruitful

    def _go_on(self) -> Reaction:
        """With the agenda; or it is empty, and the user leaves."""
        following = self.agenda.next()
        if following is not None:
            return following
        self.over = True
        self.success = truth.complete(self.goal, self.agenda, self.tools)
        return [("bye",)], True

    def _speak(self, acts: list[Act]) -> Line:
        self.last_acts = acts
        heard = acts if self.over else self.noise.pass_on(acts)
        self.turns.append((self.turn, self.answering, acts, heard))
        self.tracker.hear_user(heard)
        words = functools.partial(user_text, heard, self.streams.wording, self.turn, self.bank, self.world.database)
        return "user", words

    def _hang_up(self) -> Line:
        self.over = True
        return self._speak([("hang_up",)])

    # Reactions to what the agent says

    def _react(self, understood: Understood) -> Reaction:
        told = self._filled(understood.told) if understood.told else ()
        confirms = self._filled(understood.confirms) if understood.confirms else ()
        if not (understood.flags or told or confirms or understood.asked):  # nothing was understood
            return (list(self.last_acts) or [("puzzled",)]), False
        if understood.asks_to_repeat or understood.is_goodbye:  # a user who wants something does not let the agent go
            return list(self.last_acts), False
        if understood.claims_no_table:
            return self._hear_no_table()
        if understood.claims_booked:
            return self._hear_booked(told)
        if understood.claims_no_match:
            return self._hear_no_match()
        acts: list[Act] = []
        fruitful = False
        if told:
            acts, fruitful = self._hear_facts(told)
        if confirms and not acts:
            acts, more = self._hear_confirmation(confirms)
            fruitful |= more
        if understood.asked and not acts:
            acts, more = self._hear_requests(understood.asked)
            fruitful |= more
        if understood.asks_to_book and not acts:
            acts, more = self._hear_proposal()
            fruitful |= more
        return acts, fruitful

    def _filled(self, values: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The values with placeholders filled; a placeholder with nothing to fill it is dropped."""
        value_of = self.tools.value_of
        filled = [(slot, value_of(value[1:-1]) if value[0] == "[" else value) for slot, value in values]
        return [(slot, value) for slot, value in filled if value is not None]

    def _hear_facts(self, facts: Sequence[tuple[str, str]]) -> Reaction:
        """A place is offered or described, or requests about it are answered."""
        fruitful = False
        for slot, value in facts:
            if slot == "name":
                fruitful |= self._hear_offer(value)
        if self.agenda.venue is None:
            return [], False
        fruitful |= self.agenda.take_facts(facts)
        return self.agenda.judge_venue(fruitful) if not self.agenda.accepted else ([], fruitful)

    def _hear_offer(self, name: str) -> bool:
        """A place is named; whether it is news."""
        number = self.world.database.index.get(name)
        if number is None or number == self.agenda.venue:
            return False
        self.agenda.take_offer(number)
        return self.agenda.is_news("venue", name)

    def _hear_no_match(self) -> Reaction:
        agenda = self.agenda
        if agenda.relax is not None:
            (slot, value), agenda.relax = agenda.relax, None
            agenda.want(slot, value)
            return [("change",), ("inform", slot, value)], True
        agenda.to_inform = []
        return [("inform", slot, value) for slot, value in agenda.constraints], False

    def _hear_confirmation(self, values: Sequence[tuple[str, str]]) -> Reaction:
        """The agent asks whether it got something right."""
        wrong: list[Act] = []
        fruitful = False
        for slot, value in values:
            right = self.agenda.wanted(slot)
            if right is None:
                continue
            fruitful |= self.agenda.is_news("confirm", slot, value)
            self.agenda.has_said(slot)
            if right != value:
                wrong.append(("inform", slot, right))
        if wrong:
            return [("negate",), *wrong], fruitful
        return ([("affirm",)] if fruitful else []), fruitful

    def _hear_requests(self, asked: Sequence[str]) -> Reaction:
        agenda = self.agenda
        acts: list[Act] = []
        fruitful = False
        for slot in asked:
            value = agenda.wanted(slot)
            if value is None:
                acts = acts or [("no_booking",)]
            else:
                acts.append(("inform", slot, value))
                if slot in CONSTRAINT_SLOTS:
                    agenda.has_said(slot)
                else:
                    agenda.said_booking.add(slot)
                    agenda.asked_to_book = True
            fruitful |= agenda.is_news("asked", slot)
        return acts, fruitful

    def _hear_proposal(self) -> Reaction:
        """The agent asks whether to book."""
        if self.agenda.booking is None:
            return [("no_booking",)], self.agenda.is_news("asked", "booking")
        if not self.agenda.accepted:
            return [], False
        acts, _ = self.agenda.ask_to_book()
        return acts, self.agenda.is_news("asked", "booking")

    def _hear_booked(self, told: Sequence[tuple[str, str]]) -> Reaction:
        agenda, table = self.agenda, self.tools.reservation
        if agenda.booking is None:
            return [("no_booking",)], False
        reference = next((value for slot, value in told if slot == "reference"), None)
        if table is None or reference != table.reference or table.venue != agenda.venue:
            return [("ask_reference",)], False
        wrong = [(slot, agenda.booking[slot]) for slot, value in told if agenda.booking.get(slot, value) != value]
        if wrong:
            return [("negate",), *(("inform", slot, right) for slot, right in wrong)], True
        fruitful = not agenda.booking_confirmed
        agenda.booking_confirmed = True
        return [], fruitful

    def _hear_no_table(self) -> Reaction:
        agenda = self.agenda
        if agenda.booking is None:
            return [("no_booking",)], False
        if self.tools.last_booking_failed and agenda.fallback is not None:
            (slot, value), agenda.fallback = agenda.fallback, None
            agenda.booking[slot] = value
            return [("inform", slot, value)], True
        return [("book",), *(("inform", slot, value) for slot, value in agenda.booking.items())], False

    # The truth, and what the agent may see

    @property
    def parts_done(self) -> int:  # type: ignore[override]
        """Finished parts of the goal: the place, and where wanted the answers and the table."""
        return truth.parts_done(self.goal, self.agenda, self.tools) if self.agenda.accepted else 0

    def summary(self) -> tuple[int, ...]:
        return self.tracker.summary()

    def allowed(self) -> bytes:
        return self.tracker.allowed()

    # Whose fault it was

    audits = True

    def audit(self) -> list[Mark]:
        return self._audited().marks

    def blame(self) -> str:
        auditor = self._audited()
        if auditor.stands_by_what_is_wrong or any(mark.kind in (STOPPED_EARLY, BROKE_ROLE) for mark in auditor.marks):
            return PARTNER
        has_tried = self.tools.num_calls > 0  # who never looked for anything was not led astray
        return ENVIRONMENT if has_tried and auditor.was_misheard(self.tracker.heard) else AGENT

    def _audited(self) -> Auditor:
        """Reads all that was said, as it was meant."""
        auditor = Auditor(self.goal)
        for turn in self.turns:
            auditor.read(Turn.of(*turn))
        if ("bye",) in self.last_acts and not self.agenda.looks_done():
            auditor.mark(self.turn, STOPPED_EARLY, "")
        return auditor

    def facts(self) -> dict[str, Any]:
        """How much of what the user meant was garbled on the way: counts of semantic items and errors so far."""
        return {"semantic_items": self.noise.num_items, "semantic_errors": self.noise.num_errors}


def _drawn(name: str, rng: random.Random) -> tuple[int, float]:
    """Patience and initiative of a user of the profile."""
    if name == "mixed":
        name = "cooperative" if rng.random() < 0.5 else "unfriendly"
    profile = PROFILES[name]
    low, high = profile.patience
    patience = low + int(rng.random() * (high - low + 1))
    least, most = profile.initiative
    return patience, least + rng.random() * (most - least)


def _full(goal: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The day and time that are fully booked: those first wanted, in goals with a fallback."""
    if goal["fallback"] is None:
        return ()
    return tuple([pair for pair in goal["booking"] if pair[0] in ("day", "time")])
