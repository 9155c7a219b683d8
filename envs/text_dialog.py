"""``TextDialog-v0``: the agent works for a restaurant guide."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, cast

from .core.streams import Streams
from .core.task import SHIPPED, Task
from .data_files import full_source
from .restaurant.database import DONTCARE, FIELDS, load_database
from .restaurant.goals import Goal, GoalRates, draw_goal
from .restaurant.person import RestaurantPerson
from .restaurant.policies import POLICIES
from .restaurant.speaker import RestaurantSpeaker
from .restaurant.tracker import SUMMARY_SIZES
from .restaurant.understanding import reader_of
from .restaurant.user import PROFILES, RestaurantUser, World
from .restaurant.wording import INSTRUCTIONS, MENU, MENU_WORDS
from .speakers import Speaker

PYDIAL = {
    1: {"noise": 0.0, "masks": True, "profile": "cooperative"},
    2: {"noise": 0.0, "masks": False, "profile": "cooperative"},
    3: {"noise": 0.15, "masks": True, "profile": "cooperative"},
    4: {"noise": 0.15, "masks": False, "profile": "cooperative"},
    5: {"noise": 0.15, "masks": True, "profile": "unfriendly"},
    6: {"noise": 0.30, "masks": True, "profile": "cooperative"},
}
"""Keyword arguments of PyDial's six settings (Casanueva et al., 2017, table 1, https://arxiv.org/abs/1711.11023)."""


class TextDialog(Task):
    """Find a restaurant that fits, answer questions about it, book it.

    Data: 110 restaurants of Cambridge ship with the package. ``database`` takes others: CSV, or anything else of
    docs/data.md, with the columns ``name``, ``food``, ``area``, ``pricerange``, ``phone``, ``address`` and
    ``postcode``. The first four must be there; what is empty of the others is unknown to the agent too. Names differ
    from one another and from what people say anyway; case does not matter, and other columns are not read. Where every
    combination of food, area and pricerange has a restaurant, no goal is unreachable, and ``unreachable=0`` has to say
    so.

    Args:
        noise: semantic error rate in [0, 1): the share of what the user means that the agent reads garbled.
        profile: "cooperative", "unfriendly", or "mixed" (drawn per conversation).
        masks: True leaves the replies that make no sense now out of the action mask; False allows all of them always.
        out_of_domain: chance, per turn that brings something, that the user asks about something else first.
        unreachable: share of goals that no restaurant meets until the user relaxes one constraint.
        goal_change: share of goals where the user changes its mind after the first good offer.
        alternatives: share of goals where the user asks for another place, if there is one.
        database: restaurants of your own; see above.
        fields: columns of ``database`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``database``, or "skip" to leave them out.

    Raises:
        ValueError: for a rate outside its range, an unknown profile, or a file that is not what it should be.
    """

    name = "TextDialog"
    vocabulary = SHIPPED
    menu = MENU
    summary_sizes = SUMMARY_SIZES
    instructions = INSTRUCTIONS
    examples = tuple(words for options in MENU_WORDS for words in options)
    num_parts = 3
    ceiling = 0.98
    floor = 0.05
    policies = POLICIES
    data_fields = FIELDS

    def __init__(
        self,
        noise: float = 0.0,
        profile: str = "cooperative",
        masks: bool = True,
        out_of_domain: float = 0.05,
        unreachable: float = 0.1,
        goal_change: float = 0.1,
        alternatives: float = 0.15,
        database: Any = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        rates = {
            "noise": noise,
            "out_of_domain": out_of_domain,
            "unreachable": unreachable,
            "goal_change": goal_change,
            "alternatives": alternatives,
        }
        for option, rate in rates.items():
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
                raise ValueError(f"{option} must be a number in [0, 1), got {rate!r}")
        if unreachable + goal_change + alternatives > 1:
            total = unreachable + goal_change + alternatives
            raise ValueError(f"unreachable + goal_change + alternatives must be at most 1, got {total:g}")
        if profile not in (*PROFILES, "mixed"):
            raise ValueError(f"profile must be one of {', '.join((*PROFILES, 'mixed'))}, got {profile!r}")
        if database is None and fields is not None:
            raise ValueError(f"fields name the columns of database, which is not given: got fields={fields!r:.80}")
        self.made_with = {
            **rates,
            "profile": profile,
            "masks": bool(masks),
            "database": full_source(database),
            "fields": fields,
            "on_error": on_error,
        }
        self.rates = GoalRates(unreachable, goal_change, alternatives)
        self.database = load_database(database, fields, on_error)
        self.fields, self.num_skipped = self.database.fields, self.database.num_skipped
        if unreachable and not self.database.impossible:
            raise ValueError("unreachable must be 0 for this database: every combination of constraints has a match")
        reader = reader_of(self.database)
        self.world = World(self.database, reader, bool(masks), float(noise), float(out_of_domain), profile)

    def draw_goal(self, rng: random.Random) -> Goal:  # type: ignore[override]
        return draw_goal(self.database, self.rates, rng)

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> RestaurantUser:
        return RestaurantUser(self.world, cast(Goal, goal), streams, split)

    def person(self, streams: Streams, split: str, ask: Callable[[str], str]) -> RestaurantPerson:
        return RestaurantPerson(self.world, streams, split, ask)

    def speaking_partner(
        self, goal: Mapping[str, Any], streams: Streams, split: str, speaker: Speaker
    ) -> RestaurantSpeaker:
        if self.world.noise:
            raise ValueError(
                f"noise garbles what the simulated user means: beside a speaker it must be 0, got {self.world.noise}"
            )
        return RestaurantSpeaker(self.world, cast(Goal, goal), streams, split, speaker)

    def content(self, goal: Mapping[str, Any]) -> str:
        return repr(tuple(goal.values()))

    def secrets(self, goal: Mapping[str, Any]) -> list[str]:
        """Every value of the goal that the user has to say before the agent can know it."""
        pairs = [*goal["constraints"], *(goal["booking"] or ())]
        pairs += [pair for pair in (goal["relax"], goal["change"], goal["fallback"]) if pair is not None]
        return [value for slot, value in pairs if value != DONTCARE and slot != "people"]
