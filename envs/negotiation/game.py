"""The game under the words of ``TextNegotiation-v0``: what a haggling partner does, in steps of price.

Everything is told from the agent's side, so that buying and selling are one game: a price is the *gain* that it leaves
the agent, the number of steps by which it is better than the agent's own limit. At 0 the agent gains nothing; at the
*surplus* the partner gains nothing; in between both gain.

The tactics are those of Faratin, Sierra & Jennings (1998), section 4, https://doi.org/10.1016/S0921-8890(98)00029-3:
time-dependent ones concede the share (round / rounds) ** (1 / exponent) of the way from the opening to the limit, tit
for tat what the agent conceded last. An offer is accepted when it leaves the partner at least what its own next offer
would. Ours differ in that patience is finite: offers that concede nothing, are taken back, or are far out of reach wear
it down. An offer that takes a concession back is never accepted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

MAX_GAIN = 12
"""The best offer, in steps of gain, that the menu asks for."""
OPENINGS = (-9, -8, -7)
"""Where partners open: so many steps beyond the agent's limit."""
SURPLUSES = tuple(range(3, 11))
"""What there is to share where both can gain, in steps."""
NO_ZONE_SURPLUSES = (-2, -1)
"""And where no price suits both."""
PATIENCE = 3
"""Strikes at which a partner leaves."""
FAR = 3
"""An offer more than so many steps beyond the partner's limit is far out of reach: a strike."""
STALLED, WITHDRAWN = 1, 2
"""Strikes for an offer that concedes less than a step, and for one that takes a concession back."""


class Tactic(NamedTuple):
    """How a partner concedes.

    Attributes:
        exponent: of time-dependent tactics: below 1 boulware, above 1 conceder; None is tit for tat.
        rounds: offers of the agent that it listens to.
        warns: whether it says that an offer is its last.
    """

    exponent: float | None
    rounds: int
    warns: bool


TACTICS: Mapping[str, Tactic] = {
    "boulware": Tactic(0.4, 8, True),
    "linear": Tactic(1.0, 8, True),
    "conceder": Tactic(2.5, 8, True),
    "tit_for_tat": Tactic(None, 8, True),
    "impatient": Tactic(1.0, 5, False),
}


class Kind(NamedTuple):
    """What the agent does not know: how much there is to share (steps, negative without a zone), and the tactic."""

    surplus: int
    profile: str


class State(NamedTuple):
    """What both sides know.

    Attributes:
        round: offers of the agent so far.
        partner_offer: the partner's standing offer, as gain of the agent.
        own_offer: the agent's lowest offer so far, or None.
        strikes: the partner's patience is over at ``PATIENCE``.
    """

    round: int
    partner_offer: int
    own_offer: float | None
    strikes: int


class Answer(NamedTuple):
    """What comes of an agent's move.

    Attributes:
        outcome: "deal" (at the agent's offer), "left" or "counter".
        state: after it, where the conversation goes on, else None.
        far: the partner called the offer out of reach.
        last: the partner called its own offer the last one.
    """

    outcome: str
    state: State | None = None
    far: bool = False
    last: bool = False


def start(opening: int) -> State:
    """The state after the partner's opening offer."""
    return State(0, opening, None, 0)


def respond(kind: Kind, opening: int, state: State, move: float | None) -> Answer:
    """The partner's answer, which depends on nothing else.

    Args:
        kind: the partner.
        opening: its first offer, in steps of gain of the agent.
        state: before the move.
        move: the agent's offer in steps of its own gain, or None for a turn without one: a strike that brings nothing.
    """
    if move is None:
        waiting = state._replace(strikes=state.strikes + STALLED)
        return _go_on(kind, waiting, False) if waiting.strikes < PATIENCE else Answer("left")
    offer = aspiration(kind, opening, state, move)
    if move <= offer and (state.own_offer is None or move <= state.own_offer):
        return Answer("deal")
    far = move - limit_of(kind) > FAR
    strikes = state.strikes + far + strikes_for(move, state.own_offer)
    own_offer = move if state.own_offer is None else min(move, state.own_offer)
    after = State(state.round + 1, offer, own_offer, strikes)
    if strikes >= PATIENCE or after.round >= TACTICS[kind.profile].rounds:
        return Answer("left")
    return _go_on(kind, after, far)


def _go_on(kind: Kind, state: State, far: bool) -> Answer:
    tactic = TACTICS[kind.profile]
    return Answer("counter", state, far, last=tactic.warns and state.round == tactic.rounds - 1)


def aspiration(kind: Kind, opening: int, state: State, move: float) -> int:
    """What the partner would offer after the agent's ``move``; it never takes an offer back."""
    tactic, limit = TACTICS[kind.profile], limit_of(kind)
    if tactic.exponent is None:
        conceded = 1.0 if state.own_offer is None else max(0.0, state.own_offer - move)
        wanted = state.partner_offer + math.floor(conceded)
    else:
        share = min(1.0, (state.round + 1) / tactic.rounds) ** (1 / tactic.exponent)
        wanted = opening + math.floor(share * (limit - opening) + 0.5)
    return max(state.partner_offer, min(wanted, limit))


def limit_of(kind: Kind) -> int:
    """The most that the partner ever leaves the agent: it keeps a step of gain for itself."""
    return kind.surplus - 1


def strikes_for(move: float, own_offer: float | None) -> int:
    """Strikes for an offer of the agent after its lowest so far, beside that for one far out of reach."""
    if own_offer is None or move <= own_offer - 1:
        return 0
    return WITHDRAWN if move > own_offer else STALLED


def prior(profile: str = "mixed", no_deal_share: float = 0.0) -> dict[Kind, float]:
    """How likely each kind of partner is: surplus and profile are independent and uniform.

    Args:
        profile: a name in ``TACTICS``, or "mixed" for all of them.
        no_deal_share: chance that there is no zone of agreement.
    """
    names = tuple(TACTICS) if profile == "mixed" else (profile,)
    chances = {}
    for surpluses, share in ((SURPLUSES, 1 - no_deal_share), (NO_ZONE_SURPLUSES, no_deal_share)):
        for surplus in surpluses if share > 0 else ():
            for name in names:
                chances[Kind(surplus, name)] = share / len(surpluses) / len(names)
    return chances
