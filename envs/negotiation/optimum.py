"""How much of the surplus can be had: exact dynamic programming over what the agent knows.

Partners answer as a function of their kind, so what an agent has heard leaves a set of kinds that would have said the
same, each as likely as before; that set and the public state are the agent's whole knowledge. The value of a piece of
knowledge is that of the best move: the sum over what may be answered. This is the belief-state programme of Smallwood
& Sondik (1973), https://doi.org/10.1287/opre.21.5.1071, on a belief that stays a set.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from .game import MAX_GAIN, OPENINGS, Answer, Kind, State, prior, respond, start

ACCEPT, WALK = "accept", "walk"
Move = int | str
"""An offer in steps of gain, or one of the words above; a turn without an offer brings nothing, so it is left out."""
Heard = Sequence[Sequence[Any]]
"""For each turn so far: the agent's offer (None for a turn without one), the partner's, ``far`` and ``last``."""


class Optimum:
    """The policy that has the greatest expected share of the surplus, and its value.

    Args:
        chances: how likely each kind of partner is.
        opening: where the partner opened, in steps of gain of the agent.
        max_gain: the best offer that may be made.

    Raises:
        ValueError: unless there is a kind, and every chance is above 0.
    """

    def __init__(self, chances: Mapping[Kind, float], opening: int, max_gain: int = MAX_GAIN):
        if not chances or min(chances.values()) <= 0:
            raise ValueError(f"chances must have kinds with a chance above 0 each, got {dict(chances)!r:.80}")
        self.kinds, self.opening, self.max_gain = tuple(chances), opening, max_gain
        self.chances = tuple(chances.values())
        self.everybody = tuple(range(len(self.kinds)))
        self._best: dict[tuple[State, tuple[int, ...]], tuple[float, Move]] = {}
        self.answer = functools.cache(lambda number, state, move: respond(self.kinds[number], opening, state, move))

    def value(self) -> float:
        """The greatest expected share of the surplus, in [0, 1], for who knows the chances but not the partner."""
        return self.best(start(self.opening), self.everybody)[0] / sum(self.chances)

    def clairvoyant_value(self) -> float:
        """The same for who knows the partner."""
        alone = [self.best(start(self.opening), (number,))[0] for number in self.everybody]
        return sum(alone) / sum(self.chances)

    def success(self) -> float:
        """The chance that this policy, which seeks surplus and not success, ends in a deal that both gain from."""
        ends = zip(self.chances, map(self.gain_from, self.kinds), strict=True)
        return sum(chance for chance, gain in ends if gain) / sum(self.chances)

    def gain_from(self, kind: Kind) -> int:
        """The gain in steps that this policy ends with against a partner of a kind; 0 without a deal."""
        state, left = start(self.opening), self.everybody
        while True:
            move = self.best(state, left)[1]
            if not isinstance(move, int):
                return state.partner_offer if move == ACCEPT else 0
            answer = respond(kind, self.opening, state, move)
            if answer.state is None:
                return move if answer.outcome == "deal" else 0
            left = tuple(number for number in left if self.answer(number, state, move) == answer)
            state = answer.state

    def move(self, heard: Heard) -> Move:
        """The best move after what was heard.

        Raises:
            ValueError: if no kind of partner would have answered so.
        """
        state, left = start(self.opening), self.everybody
        for move, *said in heard:
            answers = {number: self.answer(number, state, move) for number in left}
            left = tuple(number for number, answer in answers.items() if _sounds_like(answer, said))
            if not left:
                raise ValueError(f"no partner of this kind answers so: {heard!r:.200}")
            after = answers[left[0]].state
            assert after is not None
            state = after
        return self.best(state, left)[1]

    def best(self, state: State, left: tuple[int, ...]) -> tuple[float, Move]:
        """Value and best move: the sum over the kinds that are left of chance times share.

        Of equals the move that ends the conversation is taken, then the higher offer.
        """
        found = self._best.get((state, left))
        if found is not None:
            return found
        value, move = 0.0, WALK
        if state.partner_offer > 0:
            value, move = self._deals(left, state.partner_offer), ACCEPT
        for offer in range(self.max_gain, max(state.partner_offer, 0), -1):
            other = self._after(state, left, offer, value)
            if other > value + 1e-12:
                value, move = other, offer
        self._best[state, left] = value, move
        return value, move

    def _deals(self, numbers: Sequence[int], gain: int) -> float:
        """What a deal with each of those kinds is worth; nothing where there is no surplus."""
        return sum(self.chances[n] * gain / self.kinds[n].surplus for n in numbers if self.kinds[n].surplus > 0)

    def _after(self, state: State, left: tuple[int, ...], offer: int, enough: float) -> float:
        """The value of a move; any number up to ``enough`` where it cannot be more."""
        groups: dict[Answer, list[int]] = {}
        for number in left:
            groups.setdefault(self.answer(number, state, offer), []).append(number)
        value = self._deals(groups.pop(Answer("deal"), ()), offer)
        groups.pop(Answer("left"), None)
        hope = {answer: self._most(answer, numbers) for answer, numbers in groups.items()}
        for answer, numbers in groups.items():
            if value + sum(hope.values()) <= enough:
                return enough
            assert answer.state is not None
            del hope[answer]
            value += self.best(answer.state, tuple(numbers))[0]
        return value

    def _most(self, answer: Answer, numbers: Sequence[int]) -> float:
        """What who knew the partner would get from there: no less than who does not."""
        assert answer.state is not None
        return sum(self.best(answer.state, (number,))[0] for number in numbers)


def _sounds_like(answer: Answer, said: Sequence[Any]) -> bool:
    state = answer.state
    return state is not None and [state.partner_offer, answer.far, answer.last] == list(said)


STRAIGHT_OPENING = 8
"""The gain that :func:`straight` asks for first."""


def straight(heard: Heard) -> Move:
    """A move that supposes nothing about the partner: asks for a gain of 8, and for a step less each turn.

    It takes the partner's price where that is as good as what it would ask for next.
    """
    asked = sum(move is not None for move, *_ in heard)
    offer = max([said[0] for _, *said in heard], default=0)
    following = max(STRAIGHT_OPENING - asked, 1)
    return ACCEPT if offer >= following else max(following, offer + 1)


@functools.lru_cache(maxsize=64)
def optimum(profile: str, no_deal_share: float, opening: int) -> Optimum:
    """The optimum against the partners of :func:`~dialogym.envs.negotiation.game.prior`, worked out once."""
    return Optimum(prior(profile, no_deal_share), opening)


def optimal_values(profile: str = "mixed", no_deal_share: float = 0.0) -> dict[str, float]:
    """The greatest expected share of the surplus, over all openings, which are equally likely.

    Args:
        profile: of the partners, or "mixed".
        no_deal_share: share of goals without a zone of agreement; there the share of the surplus is 0.

    Returns:
        {"uninformed": for who knows what partners there are, "clairvoyant": for who knows the partner, "success": the
        chance of a deal that both gain from, under the uninformed optimum}, all in [0, 1].
    """
    found = [optimum(profile, no_deal_share, opening) for opening in OPENINGS]
    return {
        "uninformed": sum(one.value() for one in found) / len(found),
        "clairvoyant": sum(one.clairvoyant_value() for one in found) / len(found),
        "success": sum(one.success() for one in found) / len(found),
    }
