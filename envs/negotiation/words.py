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
    "far": ("that is far from what i can do .", "we are worlds apart ."),
    "stalled": ("you said that before .", "you are not moving ."),
    "withdrawn": ("you were nearer to me before .", "you take back what you said ?"),
    "last": ("this is my last offer :", "i will only say this once more :"),
    "deal": ("deal !", "agreed , it is a deal ."),
    "left": ("i have had enough , goodbye .", "we will not agree , goodbye ."),
    "walked": ("a pity , goodbye .", "as you like , goodbye ."),
    "chat": ("yes , but what is your price ?", "thank you , but let us talk about the price ."),
    "better": ("make me an offer first .", "it is your turn to name a price ."),
    "refuse": ("then what is your price ?", "so what do you say instead ?"),
    "confused": ("which price do you mean ?", "name one price , please ."),
    "puzzled": ("sorry , i did not understand .", "what do you mean ?"),
}
_BOTH_TEST: Bank = {
    "far": ("no way , that is not even close .", "you must be joking ."),
    "stalled": ("that is no step towards me .", "you only repeat yourself ."),
    "withdrawn": ("that is a step back .", "now you go away from me ."),
    "last": ("my very last word :", "here is my final offer :"),
    "deal": ("good , we have a deal .", "done , let us shake hands ."),
    "left": ("this leads nowhere , bye .", "i am leaving , bye ."),
    "walked": ("all right then , bye .", "too bad , bye ."),
    "chat": ("i know , but back to the price .", "sure , and how much do you say ?"),
    "better": ("first you name a price .", "tell me what you have in mind ."),
    "refuse": ("and what would suit you ?", "so name your own price ."),
    "confused": ("that is more than one price .", "just one price at a time ."),
    "puzzled": ("i do not follow you .", "could you say that in other words ?"),
}
BANKS: Mapping[tuple[str, bool], Bank] = {
    # the role of the partner, and whether it is the test split
    ("seller", False): {
        **_BOTH,
        "open": ("i sell my {item} for {price} .", "the {item} is {price} ."),
        "counter": ("i can let it go for {price} .", "you can have it for {price} .", "i would take {price} ."),
    },
    ("seller", True): {
        **_BOTH_TEST,
        "open": ("i am asking {price} for the {item} .", "{price} and the {item} is yours ."),
        "counter": ("how about {price} ?", "make it {price} .", "i could go down to {price} ."),
    },
    ("buyer", False): {
        **_BOTH,
        "open": ("i would pay {price} for your {item} .", "is it {price} for the {item} ?"),
        "counter": ("i can pay {price} .", "i would give you {price} .", "what about {price} ?"),
    },
    ("buyer", True): {
        **_BOTH_TEST,
        "open": ("i offer {price} for that {item} .", "would you sell me the {item} for {price} ?"),
        "counter": ("how about {price} ?", "make it {price} .", "i could go up to {price} ."),
    },
}


def worded(bank: Bank, act: str, wording: int, turn: int, **values: object) -> str:
    """One act of the partner in words; which ones is a fixed function of the conversation and the turn."""
    templates = bank[act]
    return templates[pick(wording, turn, len(templates))].format(**values)


def opening_of(role: str, limit: int, step: int, item: str) -> str:
    """What the agent is told."""
    if role == "buyer":
        return f"you want to buy the {item} . do not pay {limit} or more . prices go in steps of {step} ."
    return f"you want to sell the {item} . do not take {limit} or less . prices go in steps of {step} ."


def offer_of(role: str, price: int) -> str:
    """The agent's offer from the menu."""
    return f"i can pay {price} ." if role == "buyer" else f"you can have it for {price} ."


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
