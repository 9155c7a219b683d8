"""``TextNegotiation-v0``: buy or sell an item."""

from __future__ import annotations

import functools
import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .core.items import Field, load_items, own_data, read_once, shipped_file
from .core.streams import Streams
from .core.task import Policy, Task
from .data_files import Items, number_of
from .negotiation.game import MAX_GAIN, NO_ZONE_SURPLUSES, OPENINGS, PATIENCE, SURPLUSES, TACTICS
from .negotiation.haggler import WORDS, Haggler
from .negotiation.optimum import ACCEPT, WALK, optimum, straight
from .negotiation.speaker import HagglingSpeaker
from .negotiation.words import money
from .speakers import Speaker

ROLES = ("buyer", "seller")
MIN_PRICE = 30
"""Cheaper goods have too few prices to haggle about."""
STEPS = (1, 2, 5)
FIELDS = {
    "item": Field(str, ("name", "title", "product", "thing", "good")),
    "price": Field(int, ("typical_price", "list_price", "cost", "value"), read=number_of),
}
"""What is read of a row of own goods."""
SPREAD = 5
"""The agent's limit is up to so many steps worse than the typical price."""
INSTRUCTIONS = """\
You are haggling over the price of one thing with a partner who wants a good price too. Below you are told whether \
you buy or sell, and your limit, which your partner must not know; your partner has a hidden limit of its own. Reach \
a deal at the best price you can get: the further it is on your side of your limit, the more you gain. No deal brings \
nothing, and nor does a deal at your limit or beyond it.

Start high if you sell and low if you buy, then move towards your partner in small steps: it moves as well. It loses \
its patience over an offer that is no better for it than your last, an offer far out of its reach, or a turn without \
an offer, and soon leaves. There are at most ten turns.

Say one short sentence each turn, and nothing else. "Deal." takes your partner's latest price and ends the \
conversation. "No deal, goodbye." walks away and ends it too. To make an offer, name one price: "I can pay £119." if \
you buy, "You can have it for £119." if you sell."""


class TextNegotiation(Task):
    """Haggle: buy or sell an item at a price that is good for you, with a partner whose limit and tactic are hidden.

    The agent is told its own limit and who it is, buyer or seller; the partner opens far beyond that limit. Prices
    go in steps, twenty to fifty of which make up the typical price of the item; all below is counted in steps of
    the agent's *gain*, so that buying and selling are one game. There are 3 to 10 steps to share, the *surplus*.
    Who names a new price makes an offer, however it is written (``£45``, ``forty-five pounds``, ``I can't go above
    45``); who takes the partner's price says so (``Deal.``, ``I'll take it for £60.``), and who walks away does too
    (``No deal, goodbye.``): with a condition, a maybe or a question mark it is neither. The partner answers an
    offer with a deal, a price of its own, or by leaving. Anything else gets a reply, such as a question, and costs
    patience.

    The partner concedes by one of five tactics, each as likely (Faratin, Sierra & Jennings 1998): ``boulware`` (late),
    ``linear``, ``conceder`` (early), ``tit_for_tat`` (as much as the agent last did), and ``impatient`` (linear, and
    leaves after five offers without a warning; the others after eight, the last of their own named as such). It takes
    what leaves it as much as its next offer would, at least a step, but never an offer that takes back a concession.
    The third strike ends its patience: one for an offer without a concession of a step, or more than three steps beyond
    the partner's limit, or a turn without an offer; two for taking back.

    Success is a deal that both gain from, that is, at a price strictly between the two limits. It says nothing of how
    much the agent kept; that is the default reward, ``surplus``: on the last turn the share of the surplus that the
    deal leaves the agent, and 0 without a deal, or with one at a loss. With ``no_deal_share`` above 0 no price suits
    both in that share of goals: there success is to walk away before the partner leaves, and ``surplus`` pays nothing.
    It is 0 by default, since nobody gains anything there. At 0.2 the rule succeeds in 0.80 of 500 held-out goals: it
    walks away only when it is sure.

    The rule is the optimum: dynamic programming over what the agent knows (``envs/negotiation/optimum.py``) finds the
    greatest expected share, which is 0.594; who knew the partner's limit and tactic would get 0.633, the
    clairvoyant ceiling. The rule seeks surplus, not success, and takes a risk for it: it closes 0.975 of its deals. By
    tactic, the shares of who knows the tactic but not the limit: boulware 0.519, linear 0.609, conceder 0.657,
    tit_for_tat 0.403, impatient 0.821.

    Open with a gain of 8 and concede a step each turn: no such straight line does better, and it keeps 0.294 and
    succeeds in 0.733. Measured on 500 held-out goals: the rule succeeds in 0.966 with a share of 0.599, random replies
    in 0.042 with 0.009. Typical prices are so near each other that one price, named whatever is heard, at times suits
    both: the middle one, 34, which is the floor ``inform_everything``, succeeds in 0.096, and on 500 validation goals
    in 0.132, where the best of all prices, 33, does in 0.134. The other floors never succeed. Two seeds of
    ``q_learning`` succeed in 0.72 and 0.67 after 30,000 turns, with a share of 0.20 both; ``sft`` after 600
    demonstrations in 0.19 of 200 validation goals, with 0.10.

    From the menu the agent offers a price that leaves it a gain of 1 to 12 steps, takes the partner's price, walks
    away, or says something else; masked out are offers that are worse than the partner's. Its summary holds, in steps:
    the offers made, the partner's offer (0 while it leaves no gain), the agent's lowest, strikes, how far the partner
    just moved, and whether it called the offer far or its own the last. The agent's role is not in it: nothing depends
    on it. ``info["heard"]`` is the record that the rule reads.

    Data: 150 things of a flea market, our own list, whose typical prices are 30 to 39, so that a step is 1: a small
    language model can learn to count there, which it hardly can where prices are of every size. ``data`` takes another
    list, a file with the fields ``item`` (a name without digits) and ``price`` (a whole number of at least 30), JSON
    Lines such as ``{"item": "bike", "price": 180}``, or CSV with a header. Goals are split as they are drawn, by the
    good, the role, the limits, the tactic and the opening together: a good may be haggled over in every split, but
    never under the same terms.

    Args:
        profile: the partner's tactic, or "mixed" (drawn per conversation).
        no_deal_share: share of goals in [0, 1) where no price suits both.
        data: a list of goods of your own; see above.
        fields: columns of ``data`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.

    Raises:
        ValueError: for an option out of range, or a wrong line in a list of your own.
    """

    name = "TextNegotiation"
    instructions = INSTRUCTIONS
    menu = (*WORDS, *(f"gain_{gain}" for gain in range(1, MAX_GAIN + 1)))
    summary_sizes = (9, max(SURPLUSES), MAX_GAIN + 2, PATIENCE, 5, 4)
    examples = (
        "I can pay £95.", "You can have it for £120.", "How about £60?", "Deal.", "No deal, goodbye.",
        "Can you do better?", "It's in good shape.",
    )  # fmt: skip
    ceiling = 0.95
    floor = 0.15
    min_gap = 0.8
    max_reply_chars = 200
    data_fields = FIELDS

    def __init__(
        self,
        profile: str = "mixed",
        no_deal_share: float = 0.0,
        data: Any = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        if profile != "mixed" and profile not in TACTICS:
            raise ValueError(f"profile must be mixed or one of {', '.join(TACTICS)}, got {profile!r}")
        if isinstance(no_deal_share, bool) or not isinstance(no_deal_share, (int, float)) or not 0 <= no_deal_share < 1:
            raise ValueError(f"no_deal_share must be a number in [0, 1), got {no_deal_share!r}")
        self.made_with = {"profile": profile, "no_deal_share": no_deal_share, **own_data(data, fields, on_error)}
        self.profiles = tuple(TACTICS) if profile == "mixed" else (profile,)
        self.no_deal_share = float(no_deal_share)
        self.goods = load_goods(data, fields, on_error)
        if data is not None:
            self.fields, self.num_skipped = self.goods.fields, self.goods.num_skipped
        middle = statistics.median_low([good["price"] for good in self.goods])
        self.policies = {
            "rule": Policy("choices", functools.partial(optimal, profile, self.no_deal_share)),
            "inform_everything": Policy("text", functools.partial(name_middle_price, middle)),
            "claim_success": Policy("text", claim_success),
        }

    def draw_goal(self, rng: random.Random) -> dict[str, Any]:
        """A good, who the agent is, its limit, and the partner's limit, tactic and opening; "price" is the deal's."""
        good = self.goods[rng.randrange(len(self.goods))]
        step = step_of(good["price"])
        role = ROLES[rng.randrange(2)]
        sign = 1 if role == "buyer" else -1
        limit = good["price"] // step * step + sign * step * rng.randrange(SPREAD + 1)
        surpluses = NO_ZONE_SURPLUSES if rng.random() < self.no_deal_share else SURPLUSES
        partner_limit = limit - sign * step * surpluses[rng.randrange(len(surpluses))]
        return {
            "item": good["item"],
            "step": step,
            "role": role,
            "buyer_limit": limit if role == "buyer" else partner_limit,
            "seller_limit": partner_limit if role == "buyer" else limit,
            "profile": self.profiles[rng.randrange(len(self.profiles))],
            "opening": OPENINGS[rng.randrange(len(OPENINGS))],
            "price": None,
        }

    def content(self, goal: Mapping[str, Any]) -> str:
        return repr(sorted((key, value) for key, value in goal.items() if key != "price"))

    def secrets(self, goal: Mapping[str, Any]) -> Sequence[str]:
        return (str(goal["seller_limit" if goal["role"] == "buyer" else "buyer_limit"]), goal["profile"])

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Haggler:
        assert isinstance(goal, dict)
        return Haggler(goal, streams, split)

    def speaking_partner(
        self, goal: Mapping[str, Any], streams: Streams, split: str, speaker: Speaker
    ) -> HagglingSpeaker:
        assert isinstance(goal, dict)
        return HagglingSpeaker(goal, streams, split, speaker)


def optimal(profile: str, no_deal_share: float, observation: Any, info: Mapping[str, Any]) -> int:
    """The rule: the move with the greatest expected share of the surplus.

    With a partner that speaks for itself, whose answers no tactic may explain, it concedes a step each turn.
    """
    opening, *heard = info["heard"]
    move = straight(heard) if info.get("speaks") else optimum(profile, no_deal_share, opening).move(heard)
    if move == ACCEPT:
        return WORDS.index("accept")
    if move == WALK:
        return WORDS.index("walk_away")
    return len(WORDS) + int(move) - 1


def name_middle_price(price: int, observation: Any, info: Mapping[str, Any]) -> str:
    """Names the middle one of the typical prices of all goods, whatever it hears."""
    return f"{money(price)}."


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Claims that there is a deal, whatever was offered."""
    return "It's a deal, we both gain."


def step_of(price: int) -> int:
    """The step between prices: the greatest of 1, 2, 5, 10, 20, 50 ... that goes twenty times into a typical price."""
    powers = [10**power for power in range(len(str(price)))]
    return max(part * power for power in powers for part in STEPS if part * power * 20 <= price)


@read_once
def load_goods(data: Any, fields: Mapping[str, str] | None, on_error: str) -> Items:
    """The goods of a user's data, or those that ship.

    Raises:
        ValueError: for a wrong row.
    """
    seen: set[str] = set()

    def wrong(item: Mapping[str, Any]) -> str | None:
        name, price = item["item"], item["price"]
        if not name.strip() or name in seen or any(character.isdigit() for character in name):
            return f"item must be a new name without digits, got {name!r}"
        if price < MIN_PRICE:
            return f"price must be at least {MIN_PRICE}, got {price}"
        seen.add(name)
        return None

    source = str(shipped_file("goods.csv")) if data is None else data
    return load_items(source, FIELDS, fields, on_error, once=wrong)
