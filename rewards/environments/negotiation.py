"""Rewards for haggling: how much of what there was to gain did the agent keep?"""

from __future__ import annotations

from ..base import Reward
from ..registry import register_reward
from ..transcript import Transcript

_NEEDED = ("role", "buyer_limit", "seller_limit", "price")


def surplus_share(price: float, buyer_limit: float, seller_limit: float, role: str) -> float:
    """The share of the surplus that a price leaves one side.

    Args:
        price: agreed on.
        buyer_limit: the most that the buyer would pay (its reservation price), in the same currency.
        seller_limit: the least that the seller would take.
        role: whose share: "buyer" or "seller".

    Returns:
        A value in [0, 1]: 1.0 at the other side's limit or beyond, 0.0 at one's own limit or beyond, and where there is
        no surplus (``buyer_limit`` not above ``seller_limit``).

    Raises:
        ValueError: for another role.

    Reference: Raiffa (1982), The Art and Science of Negotiation, chapter 4: reservation prices, zone of agreement, and
    the surplus of the two.
    """
    if role not in ("buyer", "seller"):
        raise ValueError(f"role must be buyer or seller, got {role!r}")
    surplus = buyer_limit - seller_limit
    if surplus <= 0:
        return 0.0
    gain = buyer_limit - price if role == "buyer" else price - seller_limit
    return min(1.0, max(0.0, gain / surplus))


class Surplus(Reward):
    """The share of the surplus that the deal leaves the agent, on the last turn; bounds [0, 1], 0.0 without a deal.

    It reads ``transcript.goal``: "role" (of the agent), "buyer_limit", "seller_limit" and "price" (None without a
    deal), which ``TextNegotiation-v0`` keeps. A deal at a loss pays 0.0, no less than none.

    Raises:
        ValueError: at the end of a conversation whose goal does not say them (another task than haggling).
    """

    name: str = "surplus"

    def __call__(self, transcript: Transcript) -> float:
        if not transcript.ended:
            return 0.0
        goal = transcript.goal
        missing = [key for key in _NEEDED if key not in goal]
        if missing:
            raise ValueError(f"transcript.goal must have {', '.join(_NEEDED)}, got none of {', '.join(missing)}")
        if goal["price"] is None:
            return 0.0
        return surplus_share(goal["price"], goal["buyer_limit"], goal["seller_limit"], goal["role"])


register_reward(Surplus.name, Surplus)
