"""A user whose words come from a speaker, a language model for one, that is told the same goal.

The environment stays the judge: it reads what both sides say, keeps the same record of what was offered, answered and
booked as for the simulated user, and says by ``truth.py`` whether the goal was met, whatever the speaker thinks.
"""

from __future__ import annotations

import functools
import re

from ...rewards.transcript import Line, Message
from ..core.audit import BROKE_ROLE, INVENTED, STOPPED_EARLY
from ..core.streams import Streams, pick
from ..speakers import MAX_CHARS, Question, Speaker, Steps, answered
from ..understanding.roles import broken_role, own_words
from ..understanding.text import sentences
from . import truth
from .audit import Auditor, Turn
from .brief import CUE, brief
from .calls import find_call
from .database import Database
from .goals import Goal
from .hearing import UserReader
from .lexicon import without_accents
from .understanding import Understood
from .user import RestaurantUser, World
from .wording import Act

INITIATIVE = 0.5
"""Below this a user is short of words."""
SLACK = 1
"""A speaker may lose patience so many fruitless turns before it is spent: it cannot count as we do."""
_GIVES_UP = re.compile(
    r"\bnever ?mind\b|\bforget (?:it|about it)\b|\bthis takes too long\b|\bI give up\b|"
    r"\bI(?:'ll| will) (?:try|look|go|call) (?:somewhere|elsewhere|someone)\b", re.I,
)  # fmt: skip


@functools.lru_cache(maxsize=8)
def user_reader_of(database: Database) -> UserReader:
    """The one reader of what users of a database say."""
    return UserReader(database)


class RestaurantSpeaker(RestaurantUser):
    """The restaurant user with a speaker's words.

    The conversation ends when the speaker says goodbye, or with its next words once the goal is met; the user's rule
    about tool calls in a row is as ever, and those about other fruitless turns are the speaker's to keep: it may leave
    once its patience is spent.
    """

    __slots__ = ("auditor", "chat", "reader", "speaker", "told", "was_told_booked", "was_told_none")

    def __init__(self, world: World, goal: Goal, streams: Streams, split: str, speaker: Speaker):
        super().__init__(world, goal, streams, split)
        self.speaker, self.reader = speaker, user_reader_of(world.database)
        self.auditor = Auditor(goal)
        is_curt = self.agenda.initiative < INITIATIVE
        self.chat: list[Message] = [
            {"role": "system", "content": brief(goal, world.database, is_curt, self.patience)},
            {"role": "user", "content": CUE},
        ]
        self.told: set[tuple[str, str]] = set()
        """(slot, value) pairs that the agent has told of places and tables."""
        self.was_told_booked = self.was_told_none = False

    def open(self) -> list[Line]:
        return answered(self.opening())

    def opening(self) -> Steps[list[Line]]:
        return [(yield from self._ask_speaker(None))]

    def hear(self, utterance: str) -> list[Line]:
        return answered(self.hearing(utterance))

    def hearing(self, utterance: str) -> Steps[list[Line]]:
        self.turn += 1
        understood = self.world.reader.understand(utterance)
        if understood.tool is not None:
            return self._wait_for_tool(understood)
        self.tools_in_a_row = 0
        self.tracker.hear_agent(understood)
        self.patience -= not self._believe(understood)
        self._accept()
        self.success = truth.complete(self.goal, self.agenda, self.tools)
        spoken = self.spoken(utterance)
        self.chat.append({"role": "user", "content": utterance if spoken is None else spoken()})
        return [(yield from self._ask_speaker(understood))]

    # What the user is told

    def _believe(self, understood: Understood) -> bool:
        """Takes in what the agent said; whether it brought anything, as for the simulated user."""
        agenda = self.agenda
        told = self._filled(understood.told)
        self.told.update(told)
        offered = [self._hear_offer(value) for slot, value in told if slot == "name"]
        is_news = (agenda.take_facts(told) if agenda.venue is not None else False) or any(offered)
        if understood.claims_no_table:
            self.was_told_none = True
            return self.tools.last_booking_failed and agenda.fallback is not None
        if understood.claims_booked:
            self.was_told_booked = True
            return self._hear_booked(told)[1]
        if understood.claims_no_match:
            self.was_told_none = True
            return agenda.relax is not None
        asked = [("confirm", *pair) for pair in self._filled(understood.confirms)]
        asked += [("asked", slot) for slot in understood.asked]
        asked += [("asked", "booking")] if understood.asks_to_book else []
        return is_news or sum(agenda.is_news(*what) for what in asked) > 0

    def _accept(self) -> None:
        """The place at hand is the user's, once it has said all that the goal says of places."""
        agenda = self.agenda
        is_open = agenda.relax is not None or agenda.change is not None or agenda.wants_alternative
        agenda.accepted = not is_open and agenda.venue is not None and agenda.venue not in agenda.declined

    # What it says

    def _ask_speaker(self, understood: Understood | None) -> Steps[Line]:
        """The speaker's next turn."""
        seed = pick(self.streams.wording, 16 * self.turn, 1 << 62)
        words = own_words((yield Question(self.speaker, [{**message} for message in self.chat], seed)), MAX_CHARS)
        self.chat.append({"role": "assistant", "content": words})
        acts = self.reader.hear(words, () if understood is None else understood.asked)
        if _GIVES_UP.search(words):
            acts = (("bye",), *acts)
        self._audit_words(words)
        self.auditor.read(Turn.of(self.turn, understood, acts, acts, frozenset(self.told)))
        self._take(acts)
        self._accept()
        if self.success:
            self.over = True
        elif ("bye",) in acts:
            self.over = self.turn > 0  # no episode ends before it has begun
            self._audit_goodbye(words)
        self.tracker.hear_user(acts)
        return "user", words or "..."

    def _take(self, acts: tuple[Act, ...]) -> None:
        """What the user has now said of its goal."""
        agenda = self.agenda
        for act in acts:
            if act[0] == "inform":
                self._take_value(act[1], act[2])
            elif act[0] == "request" and act[1] not in agenda.pending and act[1] not in agenda.answers:
                agenda.pending.append(act[1])
            elif act[0] == "alternative" and agenda.venue is not None:
                agenda.wants_alternative = False
                agenda.declined.add(agenda.venue)
                agenda.venue = None

    def _take_value(self, slot: str, value: str) -> None:
        agenda = self.agenda
        if (slot, value) == agenda.relax:
            agenda.relax = None
            agenda.want(slot, value)
        elif (slot, value) == agenda.change:
            agenda.change = None
            agenda.want(slot, value)
            if agenda.venue is not None and agenda.venue not in self.world.database.matching(agenda.constraints):
                agenda.venue = None
        elif (slot, value) == agenda.fallback:
            assert agenda.booking is not None
            agenda.fallback, agenda.booking[slot] = None, value

    # What was wrong with it

    def _audit_words(self, words: str) -> None:
        """What the acts do not show: words out of the role, and names and numbers that nobody has told."""
        broken = "a tool call" if find_call(words) is not None else broken_role(words)
        if broken is not None:
            self.auditor.mark(self.turn, BROKE_ROLE, broken)
        for sentence, _ in sentences(without_accents(words), courtesies=True):
            for mention in self.reader.lexicon.mentions(sentence):
                is_fact = mention.slot in ("name", "phone", "address", "postcode")
                if is_fact and (mention.slot, mention.value) not in self.told:
                    self.auditor.mark(self.turn, INVENTED, f"{mention.slot} {mention.value}")

    def _audit_goodbye(self, words: str) -> None:
        agenda = self.agenda
        is_impossible = self.was_told_none and agenda.relax is None and agenda.fallback is None
        if not (self.success or self.patience <= SLACK or is_impossible or agenda.looks_done(self.was_told_booked)):
            self.auditor.mark(self.turn, STOPPED_EARLY, words)

    def _audited(self) -> Auditor:
        return self.auditor
