"""A haggler whose words come from a speaker, a language model for one, that is told its role, limit and rules.

What it says is read as the agent's words are (``understanding.py``), from its own side: a price is its offer, a yes to
the agent's price is a deal, a goodbye ends the talk. Whether the deal is good for both hangs on the two limits alone.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from ...rewards.transcript import Line, Message
from ..core.audit import AGENT, BROKE_ROLE, INVENTED, LEAKED, PARTNER, STOPPED_EARLY, WITHHELD, Mark
from ..core.streams import Streams, pick
from ..speakers import MAX_CHARS, Question, Speaker, Steps, answered
from ..understanding.roles import broken_role, own_words
from ..understanding.text import sentences, written_out
from .game import FAR, PATIENCE, STALLED, SURPLUSES, TACTICS, Kind, limit_of, strikes_for
from .haggler import Haggler
from .understanding import Meaning, understand
from .words import money

CUE = "Hello. Let's talk about the price."
"""What the model is told before it opens the conversation; nobody says it."""
MAX_EMPTY_TURNS = 2
"""Answers to offers, one after the other, without an offer, a deal or a goodbye, that are marked."""
MAX_ROUNDS = max(tactic.rounds for tactic in TACTICS.values())
OTHER_SIDES = ("assistant", "agent", "ai", "bot", "chatbot", "system", "tool")
_LIMIT = re.compile(
    r"\b(?:limit|minimum|maximum|max|min|budget|lowest|highest|at (?:most|least)|(?:no|not) (?:more|less|lower|higher)|"
    r"can not (?:go|pay|take|accept)|up to|bottom line|reserve price|less than|more than|under|over)\b"
)
RULES = """\
Rules:
- Never {worse} your limit, and never name your limit.
- Start with {opening}, and move by small steps when the other side moves.
- Say one short sentence each turn, with one price, such as "How about {example}?", and nothing else.
- Say only what you, the {role}, say next. Never speak for the other side.
- To take the other side's latest price, say "Deal."
- To leave without a deal, say "No deal, goodbye.", and only after {rounds} offers that are beyond your limit."""


def brief(role: str, item: str, limit: int, opening: int, step: int, profile: str) -> str:
    """The instructions of a language model that haggles.

    Args:
        role: its own, "buyer" or "seller".
        item: what it is about.
        limit: its own; at that price it gains nothing.
        opening: the price that it begins with.
        step: between prices.
        profile: its tactic.
    """
    aim = f"pay less than {money(limit)}" if role == "buyer" else f"get more than {money(limit)}"
    manner = {
        "boulware": "You hardly move at first.",
        "linear": "You move a little with every offer.",
        "conceder": "You move a lot at first.",
        "tit_for_tat": "You move as far as the other side has just moved.",
        "impatient": "You have little time.",
    }[profile]
    rules = RULES.format(
        worse="pay more than" if role == "buyer" else "take less than",
        opening=money(opening),
        example=money(opening + (step if role == "buyer" else -step)),
        role=role,
        rounds=TACTICS[profile].rounds,
    )
    return (
        f"You haggle over the price of one thing: you are the {role} of the {item}. Your secret limit: you have to "
        f"{aim}, or you gain nothing. {manner}\n\n{rules}"
    )


class Move(NamedTuple):
    """What a speaker did, in prices.

    Attributes:
        act: "offer", "accept", "walk_away", or whatever else :func:`understand` finds.
        price: that it names.
    """

    act: str
    price: float | None = None


def move_of(words: str, agent_price: float | None, own_price: float) -> Move:
    """What a speaker's words mean.

    Args:
        words: of the speaker.
        agent_price: the agent's standing offer, None where it has made none.
        own_price: the speaker's own.
    """
    meaning: Meaning = understand(words, float("nan") if agent_price is None else agent_price, own_price)
    return Move(meaning.act, meaning.price)


def names_limit(words: str, limit: int) -> bool:
    """Whether words give a limit away: they name its price, and as a limit."""
    number = re.compile(rf"(?<![\d.,]){limit}(?:\.00)?(?![\d%])")
    return any(
        number.search(text) is not None and _LIMIT.search(written_out(text)) is not None
        for text, _ in sentences(words, courtesies=True)
    )


def may_leave(kind: Kind, num_offers: int, strikes: int) -> bool:
    """By its rules a partner leaves after so many offers, or when its patience is spent."""
    return num_offers >= TACTICS[kind.profile].rounds or strikes >= PATIENCE


class HagglingSpeaker(Haggler):
    """Haggles in a speaker's words, under the same two limits.

    Args:
        goal, streams, split: as for :class:`Haggler`; the speaker is told its limit and the tactic, in words.
        speaker: says its turns.
    """

    def __init__(self, goal: dict[str, Any], streams: Streams, split: str, speaker: Speaker):
        super().__init__(goal, streams, split)
        self.speaker = speaker
        self.own_role = "seller" if self.role == "buyer" else "buyer"
        self.own_limit: int = goal[f"{self.own_role}_limit"]
        self.price: float = self.price_of(goal["opening"])
        told = brief(self.own_role, goal["item"], self.own_limit, int(self.price), goal["step"], goal["profile"])
        self.chat: list[Message] = [{"role": "system", "content": told}, {"role": "user", "content": CUE}]
        self.num_offers = self.num_turns = self.strikes = self.empty_turns = 0
        self.marks: list[Mark] = []

    def open(self) -> list[Line]:
        return answered(self.opening())

    def opening(self) -> Steps[list[Line]]:
        system = Haggler.open(self)[0]
        words = yield from self._ask()
        self._take(words, None)
        return [system, ("user", words or "...")]

    def hear(self, utterance: str) -> list[Line]:
        return answered(self.hearing(utterance))

    def hearing(self, utterance: str) -> Steps[list[Line]]:
        self.num_turns += 1
        own = None if self.last_offer is None else self.price_of(self.last_offer)
        meaning = understand(utterance, self.price, own)
        if meaning.act == "accept":
            return self._agree(self.gain_of(self.price))
        if meaning.act == "walk_away":
            self.over, self.success = True, self.kind.surplus <= 0
            return [("user", self._say("walked"))]
        move = None if meaning.price is None else self.gain_of(meaning.price)
        self._count(move)
        self.chat.append({"role": "user", "content": utterance})
        words = yield from self._ask()
        self._take(words, move)
        return [("user", words or "...")]

    def _count(self, move: float | None) -> None:
        """Strikes and offers of the agent, as its tactic would count them."""
        if move is None:
            self.strikes += STALLED
            return
        lowest = self.state.own_offer
        self.strikes += (move - limit_of(self.kind) > FAR) + strikes_for(move, lowest)
        self.num_offers += 1
        self.last_offer = move
        self.state = self.state._replace(own_offer=move if lowest is None else min(move, lowest))

    def _ask(self) -> Steps[str]:
        seed = pick(self.wording, self.num_turns, 1 << 62)
        words = own_words((yield Question(self.speaker, [{**message} for message in self.chat], seed)), MAX_CHARS)
        self.chat.append({"role": "assistant", "content": words})
        return words

    def _take(self, words: str, move: float | None) -> None:
        """What the speaker did, and what was wrong with it."""
        agent_price = None if self.last_offer is None else self.price_of(self.last_offer)
        act, price = move_of(words, agent_price, self.price)
        broken = broken_role(words, OTHER_SIDES)
        if broken is not None:
            self._mark(BROKE_ROLE, broken)
        if names_limit(words, self.own_limit):
            self._mark(LEAKED, words)
        if act == "offer" and price is not None:
            self._take_price(price)
        elif act == "accept":
            self._take_deal()
        elif act == "walk_away":
            if not may_leave(self.kind, self.num_offers, self.strikes):
                self._mark(STOPPED_EARLY, words)
            self.over = self.num_turns > 0
        if act in ("offer", "accept", "walk_away"):
            self.empty_turns = 0
        elif move is not None:
            self.empty_turns += 1
        if self.empty_turns == MAX_EMPTY_TURNS and move is not None:
            self._mark(WITHHELD, "a price")
        self._note(move)

    def _take_price(self, price: float) -> None:
        if self.gain_of(price) >= self.kind.surplus:
            self._mark(INVENTED, f"offers {price:g}, its limit is {self.own_limit}")
        self.price = price

    def _take_deal(self) -> None:
        if self.last_offer is None:
            self._mark(INVENTED, "takes an offer that nobody has made")
            return
        if self.last_offer >= self.kind.surplus:
            self._mark(INVENTED, f"takes {self.price_of(self.last_offer):g}, its limit is {self.own_limit}")
        self._agree(self.last_offer)

    def _note(self, move: float | None) -> None:
        """The agent's record, in whole steps that the menu has."""
        offer = min(max(math.floor(self.gain_of(self.price)), self.goal["opening"]), max(SURPLUSES) - 1)
        best = max(offer, self.state.partner_offer)
        if self.num_turns:
            self.turns.append([move, best, False, False])
        rounds, strikes = min(self.num_offers, MAX_ROUNDS), min(self.strikes, PATIENCE - 1)
        self.state = self.state._replace(round=rounds, partner_offer=best, strikes=strikes)

    def _mark(self, kind: str, what: str) -> None:
        self.marks.append(Mark(self.num_turns, kind, what))

    def audit(self) -> list[Mark]:
        return self.marks

    def blame(self) -> str:
        """The partner's, unless all that it did wrong was to name its limit, which does the agent no harm."""
        return PARTNER if any(mark.kind != LEAKED for mark in self.marks) else AGENT

    def facts(self) -> dict[str, Any]:
        """As the haggler's; "speaks" says that no tactic explains what was heard."""
        return {**super().facts(), "speaks": True}
