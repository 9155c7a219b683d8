"""A person in the user's seat: whoever talks to an agent at the terminal, understood as the simulated user is."""

from __future__ import annotations

from collections.abc import Callable

from ...rewards.transcript import Line
from ..core.streams import Streams
from .goals import Goal
from .hearing import UserReader
from .user import RestaurantUser, World

Ask = Callable[[str], str]
"""Given what the agent just said (empty at the opening), what the person says."""

NO_GOAL = Goal(
    constraints=(), relax=None, change=None, alternative=False, requests=(), booking=None, fallback=None
)  # fmt: skip
ENDLESS = 10
"""A person at a terminal leaves when it likes: patience that is filled up before every tool call."""


class RestaurantPerson(RestaurantUser):
    """The restaurant user with a person's words: the tools and the agent's record are the same, the wants are yours.

    There is no goal, so the conversation has no success; it ends when the person says goodbye.
    """

    __slots__ = ("ask", "reader")

    def __init__(self, world: World, streams: Streams, split: str, ask: Ask):
        super().__init__(world, NO_GOAL, streams, split)
        self.ask, self.reader = ask, UserReader(world.database)
        self.tracker.masks = False

    def open(self) -> list[Line]:
        return [self._say("", ())]

    def hear(self, utterance: str) -> list[Line]:
        self.turn += 1
        understood = self.world.reader.understand(utterance)
        if understood.tool is not None:
            self.patience, self.tools_in_a_row = ENDLESS, 0
            return self._wait_for_tool(understood)
        self.tracker.hear_agent(understood)
        spoken = self.spoken(utterance)
        return [self._say(utterance if spoken is None else spoken(), understood.asked)]

    def _say(self, heard: str, asked: tuple[str, ...]) -> Line:
        words = self.ask(heard)
        acts = self.reader.hear(words, asked)
        self.over = ("bye",) in acts
        self.tracker.hear_user(acts)
        return "user", words
