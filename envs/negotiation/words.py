"""What is said while haggling: the partner's turns, a bank split into train and test wordings.

A turn of the partner names one price at most.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "unclear": ("Is that a yes? Then just say: deal.", "Do you take my price, then?"),
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
    "unclear": ("So is it a deal or not?", "Does that mean that you agree to my price?"),
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
