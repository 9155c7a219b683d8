"""The partner that haggles by the tactic of its kind."""

from __future__ import annotations

from typing import Any

from ...rewards.transcript import Line
from ..core.audit import AGENT, INVENTED, Mark
from ..core.streams import Streams
from ..core.task import Partner
from .game import MAX_GAIN, Answer, Kind, respond, start
from .understanding import understand
from .words import BANKS, money, offer_of, opening_of, worded

WORDS = ("accept", "walk_away", "small_talk", "ask_better")
"""Replies of the menu without a price; after them one for each gain, from a step to ``MAX_GAIN``."""


class Haggler(Partner):
    """Buys or sells by the tactic of its kind, and keeps the agent's record of what was said.

    Args:
        goal: of this conversation alone: "price" is filled in when there is a deal.
        streams: of the conversation; only the wording is used.
        split: of the wordings.
    """

    def __init__(self, goal: dict[str, Any], streams: Streams, split: str):
        self.goal, self.wording = goal, streams.wording
        self.role: str = goal["role"]
        self.limit: int = goal[f"{self.role}_limit"]
        self.per_step = -goal["step"] if self.role == "buyer" else goal["step"]
        surplus = (goal["buyer_limit"] - goal["seller_limit"]) // goal["step"]
        self.kind = Kind(surplus, goal["profile"])
        self.bank = BANKS["seller" if self.role == "buyer" else "buyer", split == "test"]
        self.state = start(goal["opening"])
        self.last_offer: float | None = None
        self.turns: list[list[Any]] = []
        """For each turn: the agent's offer or None, the partner's, whether that was far, and the last one."""

    def price_of(self, gain: float) -> Any:
        """The price that leaves the agent ``gain`` steps."""
        return self.limit + gain * self.per_step

    def gain_of(self, price: float) -> float:
        """How many steps of gain a price leaves the agent; an int on the grid of steps."""
        gain = (price - self.limit) / self.per_step
        return int(gain) if gain == int(gain) else gain

    def open(self) -> list[Line]:
        said = self._say("open", item=self.goal["item"], price=money(self.price_of(self.state.partner_offer)))
        return [("system", opening_of(self.role, self.limit, self.goal["step"], self.goal["item"])), ("user", said)]

    def hear(self, utterance: str) -> list[Line]:
        own = None if self.last_offer is None else self.price_of(self.last_offer)
        meaning = understand(utterance, self.price_of(self.state.partner_offer), own)
        if meaning.act == "accept":
            return self._agree(self.state.partner_offer)
        if meaning.act == "walk_away":
            self.over, self.success = True, self.kind.surplus <= 0
            return [("user", self._say("walked"))]
        move = None if meaning.price is None else self.gain_of(meaning.price)
        answer = respond(self.kind, self.goal["opening"], self.state, move)
        if answer.outcome == "deal":
            assert move is not None
            return self._agree(move)
        if answer.state is None:
            self.over = True
            return [("user", self._say("left"))]
        said = self._counter(answer, move) if move is not None else self._say(meaning.act)
        self.turns.append([move, answer.state.partner_offer, answer.far, answer.last])
        self.state, self.last_offer = answer.state, self.last_offer if move is None else move
        return [("user", said)]

    def _agree(self, gain: float) -> list[Line]:
        self.over, self.success = True, 0 < gain < self.kind.surplus
        self.goal["price"] = self.price_of(gain)
        return [("user", self._say("deal"))]

    def _counter(self, answer: Answer, move: float) -> str:
        """The partner's next offer, after what it thinks of the agent's; reads the state before it."""
        assert answer.state is not None
        lowest = self.state.own_offer
        remarks = []
        if answer.far:
            remarks.append("far")
        elif answer.state.strikes > self.state.strikes:
            remarks.append("withdrawn" if lowest is not None and move > lowest else "stalled")
        if answer.last:
            remarks.append("last")
        price = money(self.price_of(answer.state.partner_offer))
        return " ".join([*map(self._say, remarks), self._say("counter", price=price)])

    def _say(self, act: str, **values: object) -> str:
        return worded(self.bank, act, self.wording, len(self.turns), **values)

    # Whose fault it was

    audits = True

    def audit(self) -> list[Mark]:
        offers = [(number, offer) for number, (_, offer, *_) in enumerate(self.turns, 1)]
        return [Mark(number, INVENTED, str(offer)) for number, offer in offers if offer >= self.kind.surplus]

    def blame(self) -> str:
        return AGENT

    # The menu

    def summary(self) -> tuple[int, int, int, int, int, int]:
        """Offers made, the partner's offer, the agent's (0: none), strikes, the partner's last move, its remarks.

        Offers are gains of the agent in steps; the partner's counts as 0 as long as it leaves no gain.
        """
        state = self.state
        own = 0 if state.own_offer is None else min(max(int(state.own_offer), 1), MAX_GAIN + 1)
        moved = far = last = 0
        if self.turns:
            before = self.turns[-2][1] if len(self.turns) > 1 else self.goal["opening"]
            moved, far, last = state.partner_offer - before, *self.turns[-1][2:]
        return state.round, max(state.partner_offer, 0), own, state.strikes, min(moved, 4), 2 * last + far

    def allowed(self) -> bytes:
        """Offers that leave more than the partner's does make sense, and so do words."""
        offer = self.state.partner_offer
        return bytes([1] * len(WORDS) + [gain > offer for gain in range(1, MAX_GAIN + 1)])

    def phrase(self, choice: int) -> str:
        if choice >= len(WORDS):
            return offer_of(self.role, self.price_of(choice - len(WORDS) + 1))
        return {
            "accept": "Deal.",
            "walk_away": "No deal, goodbye.",
            "small_talk": f"I {'like' if self.role == 'buyer' else 'loved'} the {self.goal['item']}.",
            "ask_better": "Can you do better?",
        }[WORDS[choice]]

    def facts(self) -> dict[str, Any]:
        """ "heard": the partner's opening and the turns so far, as :class:`Optimum` reads them, in whole steps of gain.

        Prices that the menu does not have are told as the nearest step from the opening to one beyond the menu.
        """
        return {"heard": [self.goal["opening"], *([self._nearest(move), *said] for move, *said in self.turns)]}

    def _nearest(self, move: float | None) -> int | None:
        return None if move is None else round(min(max(move, self.goal["opening"]), MAX_GAIN + 1))
