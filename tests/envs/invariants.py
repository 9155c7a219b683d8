"""What must hold on every turn of every conversation with the restaurant user; the benchmark checks many more."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import gymnasium as gym

from dialogym.envs.restaurant.database import BOOKING_SLOTS, CONSTRAINT_SLOTS, DONTCARE
from dialogym.envs.restaurant.policies import rule
from dialogym.envs.restaurant.user import RestaurantUser

Chooser = Callable[[object, dict, random.Random], int]


def rule_chooser(observation, info, rng):
    """The rule policy, with one reply in ten at random."""
    if rng.random() < 0.1:
        return rng.randrange(len(info["action_mask"]))
    return rule(observation, info)


def random_chooser(observation, info, rng):
    """Any reply that makes sense."""
    return rng.choice([reply for reply, allowed in enumerate(info["action_mask"]) if allowed])


def check_conversations(num: int, chooser: Chooser, seed: int = 0, **options) -> Counter:
    """Plays ``num`` conversations and asserts every invariant; returns what happened how often."""
    env = gym.make("dialogym:TextDialog-v0", interface="choices", profile="mixed", **options)
    rng = random.Random(seed)
    seen: Counter = Counter()
    observation, info = env.reset(seed=seed)
    for _ in range(num):
        watch = Watch(env.unwrapped.partner)
        ended = False
        while not ended:
            observation, _, terminated, truncated, info = env.step(chooser(observation, info, rng))
            watch.turn()
            ended = terminated or truncated
        watch.end(info, truncated)
        seen.update(watch.seen)
        seen["semantic_items"] += info["semantic_items"]
        seen["semantic_errors"] += info["semantic_errors"]
        observation, info = env.reset()
    seen["conversations"] = num
    return seen


class Watch:
    """Follows one user and asserts what must hold after each of its turns."""

    def __init__(self, user: RestaurantUser):
        self.user, self.goal = user, user.goal
        self.allowed = self._goal_values()
        self.patience = user.patience
        self.acts = user.last_acts
        self.seen: Counter = Counter()
        assert 3 <= user.patience <= 6
        self._informs_only_its_goal()

    def _goal_values(self) -> set[tuple[str, str]]:
        goal = self.goal
        pairs = [*goal["constraints"], *(goal["booking"] or ())]
        pairs += [pair for pair in (goal["relax"], goal["change"], goal["fallback"]) if pair]
        named = {slot for slot, _ in goal["constraints"]}
        return {*pairs, *((slot, DONTCARE) for slot in CONSTRAINT_SLOTS if slot not in named)}

    def turn(self) -> None:
        """After one agent turn."""
        user = self.user
        assert 0 <= self.patience - user.patience <= 1, "patience goes down by at most one, and never up"
        self.patience = user.patience
        self._informs_only_its_goal()
        if user.over:
            self.seen[user.last_acts[0][0]] += 1
        assert user.over or user.patience > 0, "a user without patience has hung up"

    def _informs_only_its_goal(self) -> None:
        for act in self.user.last_acts:
            if act[0] == "inform":
                assert (act[1], act[2]) in self.allowed, f"{act} is not in {self.goal}"
                assert act[1] not in BOOKING_SLOTS or self.goal["booking"] is not None
            if act[0] == "request":
                assert act[1] in (*self.goal["requests"], *CONSTRAINT_SLOTS)

    def end(self, info: dict, truncated: bool) -> None:
        """After the last turn."""
        user = self.user
        hung_up = user.over and user.last_acts[0][0] == "hang_up"
        assert hung_up == (user.over and user.patience <= 0), "it hangs up exactly when patience is gone"
        assert not (info["success"] and (hung_up or truncated))
        satisfied = user.over and not hung_up
        if satisfied and self.goal["booking"] is not None:
            assert user.agenda.booking_confirmed, "it never leaves satisfied before the booking is confirmed"
            assert user.tools.reservation is not None
        if satisfied:
            assert set(self.goal["requests"]) <= set(user.agenda.answers), "nor with a request open"
        if info["success"]:
            venue = user.world.database.venues[user.agenda.venue]
            assert all(value in (DONTCARE, getattr(venue, slot)) for slot, value in user.agenda.constraints)
        self.seen["success"] += info["success"]
        self.seen["truncated"] += truncated
