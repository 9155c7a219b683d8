"""What is said while haggling: the partner's turns, a bank split into train and test wordings, and how it understands.

A turn of the partner names one price at most, so that who repeats it is understood to take it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..core.streams import pick

Bank = Mapping[str, tuple[str, ...]]

_BOTH: Bank = {
    "far": ("That's a long way from what I can do.", "We're worlds apart."),
    "stalled": ("You've said that before.", "You're not moving."),
    "withdrawn": ("You were closer to me before.", "Are you taking back what you said?"),
    "last": ("This is my last offer.", "I'll only say this once more."),
    "deal": ("Deal!", "Agreed, it's a deal."),
    "left": ("I've had enough. Goodbye.", "We won't agree. Goodbye."),
    "walked": ("A pity. Goodbye.", "As you like. Goodbye."),
    "chat": ("Yes, but what's your price?", "Thanks, but let's talk about the price."),
    "better": ("Make me an offer first.", "It's your turn to name a price."),
    "refuse": ("Then what's your price?", "So what would you say instead?"),
    "confused": ("Which price do you mean?", "Name one price, please."),
    "puzzled": ("Sorry, I didn't understand that.", "What do you mean?"),
}
_BOTH_TEST: Bank = {
    "far": ("No way, that's not even close.", "You must be joking."),
    "stalled": ("That's no step towards me.", "You're only repeating yourself."),
    "withdrawn": ("That's a step back.", "Now you're moving away from me."),
    "last": ("My very last word.", "Here's my final offer."),
    "deal": ("Good, we have a deal.", "Done, let's shake hands on it."),
    "left": ("This leads nowhere. Bye.", "I'm leaving. Bye."),
    "walked": ("All right then. Bye.", "Too bad. Bye."),
    "chat": ("I know, but back to the price.", "Sure, and how much do you say?"),
    "better": ("You name a price first.", "Tell me what you have in mind."),
    "refuse": ("And what would suit you?", "Then name your own price."),
    "confused": ("That's more than one price.", "Just one price at a time."),
    "puzzled": ("I don't follow you.", "Could you say that in other words?"),
}
BANKS: Mapping[tuple[str, bool], Bank] = {
    # the role of the partner, and whether it is the test split
    ("seller", False): {
        **_BOTH,
        "open": ("I'd like {price} for my {item}.", "The price of the {item} is {price}."),
        "counter": ("I can let it go for {price}.", "You can have it for {price}.", "I'd take {price}."),
    },
    ("seller", True): {
        **_BOTH_TEST,
        "open": ("I'm asking {price} for the {item}.", "For {price}, you can take the {item} home."),
        "counter": ("How about {price}?", "Make it {price}.", "I could go down to {price}."),
    },
    ("buyer", False): {
        **_BOTH,
        "open": ("I'd pay {price} for your {item}.", "Would {price} be all right for the {item}?"),
        "counter": ("I can pay {price}.", "I'd give you {price}.", "What about {price}?"),
    },
    ("buyer", True): {
        **_BOTH_TEST,
        "open": ("I'm offering {price} for the {item}.", "Would you sell me the {item} for {price}?"),
        "counter": ("How about {price}?", "Make it {price}.", "I could go up to {price}."),
    },
}


def worded(bank: Bank, act: str, wording: int, turn: int, **values: object) -> str:
    """One act of the partner in words; which ones is a fixed function of the conversation and the turn."""
    templates = bank[act]
    return templates[pick(wording, turn, len(templates))].format(**values)


def opening_of(role: str, limit: int, step: int, item: str) -> str:
    """What the agent is told."""
    aim = "buy the {item}. Pay less than {limit}" if role == "buyer" else "sell the {item}. Get more than {limit}"
    told = aim.format(item=item, limit=money(limit))
    return f"You want to {told}, or you gain nothing. Prices move in steps of {money(step)}."


def offer_of(role: str, price: int) -> str:
    """The agent's offer from the menu."""
    return f"I can pay {money(price)}." if role == "buyer" else f"You can have it for {money(price)}."


def money(amount: float) -> str:
    """An amount as people write it: £45, £1,250, £45.50."""
    return f"£{amount:,.0f}" if amount == int(amount) else f"£{amount:,.2f}"


# Understanding


class Meaning(NamedTuple):
    """What the agent said.

    Attributes:
        act: "offer", "accept", "walk_away", "better" (it asks for a better price), "refuse" (no, without an offer),
            "chat", "confused" (several prices) or "puzzled" (nothing that makes sense).
        price: of an offer.
    """

    act: str
    price: float | None = None


_NUMBER = re.compile(r"\d+(?:[,']\d{3})+(?!\d)|\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_WALK = re.compile(
    r"\b(?:good ?bye|bye|walk(?:ing)? away|not interested|forget it|i am (?:out|leaving)|i'm (?:out|leaving)|i leave|"
    r"i walk|leave it|no thanks|no thank you)\b"
)
_ACCEPT = re.compile(
    r"\b(?:deal|accept(?:ed)?|agree|agreed|sold|ok|okay|yes|yep|sure|fine|done|i take it|i'll take it|"
    r"i will take it|take it|it is yours|it's yours|settled)\b"
)
_REFUSE = re.compile(
    r"\b(?:no|not|never|cannot|nope|(?:ca|wo|do|does|did|is|are|was|would|could|should)n['’]?t|"
    r"too (?:much|high|low|little|expensive|cheap|dear))\b"
)
_NO_REFUSAL = re.compile(r"\b(?:no problem|why not|not bad|no doubt)\b")
_BETTER = re.compile(
    r"\b(?:better|best|discount|lower|less|cheaper|higher|more|come down|go down|come up|go up|your (?:last )?price|"
    r"last offer|final offer)\b"
)


def understand(utterance: str, partner_price: int, own_price: float | None) -> Meaning:
    """What an utterance means to somebody who haggles.

    A price that was not on the table is an offer, whatever stands around it; to name the partner's price, or to say
    yes, is to take it, unless it is refused or left at that. One's own price again is an offer again.

    Args:
        utterance: any text.
        partner_price: the partner's standing offer.
        own_price: the agent's last one, or None.
    """
    text = utterance.lower()
    prices = list(dict.fromkeys(_price(found) for found in _NUMBER.findall(text)))
    new = [price for price in prices if price not in (partner_price, own_price)]
    if len(new) > 1:
        return Meaning("confused")
    if new:
        return Meaning("offer", new[0])
    if _WALK.search(text):
        return Meaning("walk_away")
    if own_price is not None and own_price in prices:
        return Meaning("offer", own_price)
    if _REFUSE.search(_NO_REFUSAL.sub("", text)):
        return Meaning("refuse")
    if prices or (_ACCEPT.search(text) and "?" not in text):
        return Meaning("accept")
    if _BETTER.search(text):
        return Meaning("better")
    return Meaning("chat" if len(_WORD.findall(text)) >= 2 else "puzzled")


def _price(text: str) -> float:
    value = float(re.sub(r"[,']", "", text))
    return int(value) if value == int(value) else value
