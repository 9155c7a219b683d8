"""The policies that come with the task: the rule that declares its ceiling, and two of its floors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.task import Policy
from .tracker import COMPLETE, FULL, GARBLED, INCOMPLETE, OFF_TOPIC, RESERVED
from .wording import MENU

_REPLY = {name: number for number, name in enumerate(MENU)}
DUMP = (
    "[name] is a [pricerange] [food] restaurant in the [area]. The phone number is [phone], the address is [address] "
    "and the postcode is [postcode]. It's booked for [people] people on [day] at [time], the reference is [reference]."
)


def rule(observation: Any, info: Mapping[str, Any]) -> int:
    """Asks for what is missing, searches, offers, answers, books and says so; reads the menu's summary alone."""
    return _REPLY[_rule(*(int(entry) for entry in observation))]


def _rule(
    food: int,
    area: int,
    pricerange: int,
    search: int,
    offered: int,
    phone: int,
    address: int,
    postcode: int,
    description: int,
    booking: int,
    last: int,
) -> str:
    if last == OFF_TOPIC:
        return "out_of_domain"
    if last == GARBLED:
        return "repeat"
    if search == 0:  # none yet, or what it was made of has changed
        for name, status in (("food", food), ("area", area), ("pricerange", pricerange)):
            if status == 0:
                return f"ask_{name}"
        return "search"
    if search == 1:
        return "no_match"
    if not offered or description:
        return "offer"
    for name, asked in (("phone", phone), ("address", address), ("postcode", postcode)):
        if asked:
            return f"answer_{name}"
    replies = {RESERVED: "confirm_booking", FULL: "booking_failed", INCOMPLETE: "ask_booking", COMPLETE: "book"}
    return replies.get(booking, "anything_else")


def inform_everything(observation: Any, info: Mapping[str, Any]) -> str:
    """Searches with nothing in hand and then recites all it knows, whatever it was asked."""
    spoken = sum(message["role"] == "assistant" for message in info["messages"])
    return "search()" if spoken == 0 else DUMP


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Claims that all is done, and says goodbye."""
    spoken = sum(message["role"] == "assistant" for message in info["messages"])
    return "Your table is booked, the reference is ABC12." if spoken == 0 else "All is done. Goodbye!"


POLICIES = {
    "rule": Policy("choices", rule),
    "inform_everything": Policy("text", inform_everything),
    "claim_success": Policy("text", claim_success),
}
