"""A person in the user's seat: whoever talks to an agent at the terminal, understood by what the words contain."""

from __future__ import annotations

from collections.abc import Callable

from ...rewards.transcript import Line
from ..core.streams import Streams
from .database import CONSTRAINT_SLOTS, DONTCARE, REQUEST_SLOTS, SLOTS
from .goals import Goal
from .understanding import Understood
from .user import RestaurantUser, World
from .wording import Act

Ask = Callable[[str], str]
"""Given what the agent just said (empty at the opening), what the person says."""

NO_GOAL = Goal(
    constraints=(), relax=None, change=None, alternative=False, requests=(), booking=None, fallback=None
)  # fmt: skip
YES, NO = ("yes", "right", "correct", "sure"), ("no", "wrong")


class RestaurantPerson(RestaurantUser):
    """The restaurant user with a person's words: the tools and the agent's record are the same, the wants are yours.

    There is no goal, so the conversation has no success; it ends when the person says goodbye.
    """

    __slots__ = ("ask",)

    def __init__(self, world: World, streams: Streams, split: str, ask: Ask):
        super().__init__(world, NO_GOAL, streams, split)
        self.ask = ask
        self.tracker.masks = False

    def open(self) -> list[Line]:
        lines = super().open()
        return [lines[0], self._say("")]

    def hear(self, utterance: str) -> list[Line]:
        self.turn += 1
        understood = self.world.reader.understand(utterance)
        if understood.tool is not None:
            self.patience = self.tools_in_a_row = 10
            return self._use_tool(understood.tool)
        self.tracker.hear_agent(understood)
        spoken = self.spoken(utterance)
        return [self._say(utterance if spoken is None else spoken())]

    def _say(self, heard: str) -> Line:
        words = self.ask(heard)
        understood = self.world.reader.understand(words)
        self.over = understood.is_goodbye
        self.tracker.hear_user(acts_of(words.lower(), understood))
        return "user", words


def acts_of(words: str, understood: Understood) -> list[Act]:
    """What a person means: values are informed, other slots asked for; anything else is off topic."""
    acts: list[Act] = []
    first = words.replace(",", " ").split()[:1]
    if first and first[0] in YES:
        acts.append(("affirm",))
    elif first and first[0] in NO:
        acts.append(("negate",))
    acts += [("inform", slot, value) for slot, value in understood.values if slot in SLOTS]
    asked = [slot for slot in REQUEST_SLOTS if slot in words] + [s for s in understood.asked if s in CONSTRAINT_SLOTS]
    if "any" in words.split() or "care" in words.split():
        acts += [("inform", slot, DONTCARE) for slot in understood.asked if slot in CONSTRAINT_SLOTS]
    else:
        acts += [("request", slot) for slot in asked]
    if "book" in words or "table" in words or "reserve" in words:
        acts.insert(0, ("book",))
    if any(word in words for word in ("another", "else", "other")):
        acts.append(("alternative",))
    return acts or ([("prompt",)] if understood.asked or "restaurant" in words else [("out_of_domain", "weather")])
