"""What is wrong with what a user says: its acts beside the goal that it was given."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from ..core.audit import INVENTED, LEAKED, WITHHELD, Mark
from .database import BOOKING_SLOTS, CONSTRAINT_SLOTS, DONTCARE
from .goals import Goal
from .understanding import Understood
from .wording import Act

PATIENCE = 2
"""Turns in which a question has to be answered: the user may ask about something else first."""
OF_A_TABLE = frozenset({*BOOKING_SLOTS, "reference", "ask_booking", "booked", "no_table"})
"""Slots and statements of an agent that speaks of a table."""
ANYTHING = "anything"
"""What a user withholds that has said nothing of its goal."""


class Turn(NamedTuple):
    """What a user said, and what it was said to.

    Attributes:
        number: agent turns before it.
        asked: slots that the agent asked for, where it did nothing else.
        asked_besides: all slots that the agent asked for.
        told: (slot, value) pairs that the agent has told of a place so far; to say them again is to invent nothing.
        meant: the acts.
        heard: what the agent heard of them; another list where the channel garbled any.
        asks_yes_or_no: the agent asked whether it got something right, or whether to book.
        asks_for_words: it asked for anything at all: a slot, yes or no, what else, or to say it again.
        is_about_a_table: it spoke of one: whether to book, for whom and when, its reference, that it is booked or not.
        says_only_restaurants: it said that it only knows about restaurants.
    """

    number: int
    asked: Collection[str]
    asked_besides: Collection[str]
    told: Collection[tuple[str, str]]
    meant: Sequence[Act]
    heard: Sequence[Act]
    asks_yes_or_no: bool = False
    asks_for_words: bool = False
    is_about_a_table: bool = False
    says_only_restaurants: bool = False

    @classmethod
    def of(
        cls,
        number: int,
        understood: Understood | None,
        meant: Sequence[Act],
        heard: Sequence[Act],
        told: Collection[tuple[str, str]] = (),
    ) -> Turn:
        """The turn after an utterance of the agent; None at the opening."""
        if understood is None:
            return cls(number, (), (), told, meant, heard)
        spoken_of = {*understood.asked, *understood.slots, *(slot for slot, _ in understood.confirms)}
        is_question = not (understood.told or understood.confirms or understood.flags)
        asks_yes_or_no = bool(understood.confirms) or understood.asks_to_book
        asks_for_words = asks_yes_or_no or understood.asks_to_repeat or understood.asks_for_more
        return cls(
            number=number,
            asked=understood.asked if is_question else (),
            asked_besides=understood.asked,
            told=told,
            meant=meant,
            heard=heard,
            asks_yes_or_no=asks_yes_or_no,
            asks_for_words=asks_for_words or bool(understood.asked),
            is_about_a_table=bool(OF_A_TABLE & (understood.flags | spoken_of)),
            says_only_restaurants=understood.says_only_restaurants,
        )


class Auditor:
    """Marks the turns of one user, one after the other.

    Attributes:
        marks: found so far.
        said: the value that was said last of each slot; only those that the user itself brought up.
        withheld: slots that were asked for and not said since; ``ANYTHING`` where nothing of the goal was.
        garbled: acts that were garbled and have not come through since, without their values.
    """

    def __init__(self, goal: Goal):
        self.goal = goal
        self.values: dict[str, set[str]] = {}
        changes = [pair for pair in (goal["relax"], goal["change"], goal["fallback"]) if pair is not None]
        for slot, value in (*goal["constraints"], *(goal["booking"] or ()), *changes):
            if value != DONTCARE:
                self.values.setdefault(slot, set()).add(value)
        self.wishes = {(slot, value) for slot, value in goal["constraints"] if value != DONTCARE}
        self.table = {*(goal["booking"] or ())}
        self.marks: list[Mark] = []
        self.said: dict[str, str] = {}
        self.withheld: set[str] = set()
        self.garbled: set[tuple[str, ...]] = set()
        self._open: dict[str, int] = {}
        self._has_spoken = False
        self._chances = 0
        self._said_no_table = False
        self._was_off_topic = False

    def holds(self, slot: str, value: str) -> bool:
        """The goal has this value for a slot, or does not mind."""
        return slot not in self.values if value == DONTCARE else value in self.values.get(slot, ())

    def read(self, turn: Turn) -> None:
        """Marks one turn."""
        informs = [act for act in turn.meant if act[0] == "inform"]
        for _, slot, value in informs:
            if (slot, value) in turn.told and slot not in self.values:
                continue
            self.said[slot] = value
            if not self.holds(slot, value):
                self.mark(turn.number, INVENTED, f"{slot} {value}")
        for act in turn.meant:
            if act[0] == "deny" and self.values.get(act[1]) == {act[2]}:
                self.said[act[1]] = f"not {act[2]}"
                self.mark(turn.number, INVENTED, f"{act[1]} not {act[2]}")
        self._look_for_leak(turn, informs)
        self._look_for_answers(turn, {act[1] for act in informs})
        self._look_for_silence(turn)
        self._was_off_topic = any(act[0] == "out_of_domain" for act in turn.meant)
        if turn.heard is not turn.meant:
            self._compare(turn)

    def mark(self, turn: int, kind: str, what: str) -> None:
        """Notes what was wrong."""
        self.marks.append(Mark(turn, kind, what))

    def _look_for_leak(self, turn: Turn, informs: Sequence[Act]) -> None:
        """All wishes with all of the table, or without one with all requests; unless they were asked for."""
        said = {(slot, value) for _, slot, value in informs}
        unasked = any(slot not in turn.asked_besides for slot, _ in said & (self.wishes | self.table))
        requested = {act[1] for act in turn.meant if act[0] == "request"}
        rest = self.table <= said if self.table else requested >= {*self.goal["requests"]}
        if unasked and self.wishes and self.wishes <= said and rest:
            self.mark(turn.number, LEAKED, ", ".join(sorted(value for _, value in said)))

    def _look_for_answers(self, turn: Turn, said: Collection[str]) -> None:
        """Whether questions for what the goal has were answered, in this turn or the next."""
        self.withheld -= {*said}
        for slot in list(self._open):
            if slot in said:
                del self._open[slot]
                continue
            self._open[slot] += 1
            if self._open[slot] >= PATIENCE and not _leaves(turn.meant):
                del self._open[slot]
                self.withheld.add(slot)
                self.mark(turn.number, WITHHELD, slot)
        for slot in () if self._was_off_topic else turn.asked:  # what follows such a question is an answer to that
            if slot in self.values and slot not in self.said and slot not in self.withheld:
                self._open.setdefault(slot, 1)

    def _look_for_silence(self, turn: Turn) -> None:
        """Whether the user has said anything of its goal by the time the agent has asked ``PATIENCE`` + 1 times.

        A user that waits to be asked does nothing wrong, so only turns that ask for words count, whatever they ask for:
        a slot, yes or no, what else, to say it again; and, after words about something else, that the agent only knows
        about restaurants. An agent that says nothing, recites or claims gives no chance to speak, so that no failure of
        its own is laid to a quiet user. Whatever tells of the goal breaks the silence: a value (a wrong one is
        ``INVENTED``), a request, a wish for a table or another place, yes or no to a question for it. That no table is
        wanted says something once, and wherever tables are spoken of; to say nothing else is to be silent.
        """
        self._has_spoken = self._has_spoken or bool(self.said) or any(self._is_of_goal(act, turn) for act in turn.meant)
        if self._has_spoken or not self.wishes:  # who wants just any place has nothing to say
            self.withheld.discard(ANYTHING)
            return
        wants_none = ("no_booking",) in turn.meant and self.goal["booking"] is None
        says_something = wants_none and (turn.is_about_a_table or not self._said_no_table)
        self._said_no_table |= wants_none
        if says_something:
            return
        if turn.asks_for_words or (turn.says_only_restaurants and self._was_off_topic):
            self._chances += 1
        if self._chances > PATIENCE and not self.withheld and not _leaves(turn.meant):
            self.withheld.add(ANYTHING)
            self.mark(turn.number, WITHHELD, ANYTHING)

    def _is_of_goal(self, act: Act, turn: Turn) -> bool:
        """An act without a value of its own tells something that the goal holds."""
        goal = self.goal
        if act[0] == "deny":
            return act[1] in self.values
        if act[0] == "request":
            return act[1] in goal["requests"]
        if act[0] in ("affirm", "negate"):
            return turn.asks_yes_or_no
        if act[0] == "alternative":
            return goal["alternative"]
        return act == ("book",) and goal["booking"] is not None

    def _compare(self, turn: Turn) -> None:
        """What the channel garbled."""
        for act in turn.meant:
            key = act[:2] if act[0] in ("inform", "request") else act[:1]
            (self.garbled.discard if act in turn.heard else self.garbled.add)(key)

    # At the end

    @property
    def stands_by_what_is_wrong(self) -> bool:
        """A value that the goal does not hold was never taken back, or one that was asked for never said."""
        return bool(self.withheld) or any(not self.holds(slot, value) for slot, value in self.said.items())

    def was_misheard(self, heard: dict[str, str]) -> bool:
        """The channel garbled something that matters and was never put right; ``heard`` is what the agent goes by."""
        wrong = any(value != heard.get(slot, value) for slot, value in self.said.items())
        strange = any(slot not in self.said for slot in heard if slot in (*CONSTRAINT_SLOTS, *BOOKING_SLOTS))
        return wrong or strange or any(key[0] in ("inform", "request", "alternative", "book") for key in self.garbled)


def _leaves(acts: Sequence[Act]) -> bool:
    """Who leaves answers nothing; whether it may leave is another question."""
    return ("bye",) in acts or ("hang_up",) in acts
