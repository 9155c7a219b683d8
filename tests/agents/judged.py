"""Judgements by raters of a known taste, for tests."""

from __future__ import annotations

import random

from dialogym.agents.preference.judgements import FIRST, SECOND, Judgement, Pair
from dialogym.rewards import Message

PEOPLE = ("two", "three", "four", "five")
DAYS = ("monday", "tuesday", "friday", "sunday")


def asking(text: str) -> tuple[Message, ...]:
    """A conversation of one question."""
    return (Message(role="user", content=text),)


def judgement(choice: str = FIRST, pair: str = "p", rater: str = "anna", **rest) -> Judgement:
    """A judgement of "yes ." against "no ."."""
    fields = {"messages": asking("open ?"), "first": "yes .", "second": "no .", "agents": ("a", "b"), **rest}
    return Judgement(pair=pair, choice=choice, rater=rater, **fields)


def by_taste(num: int, seed: int = 0) -> list[Judgement]:
    """Judgements of a rater who likes "please" in a reply, and does not mind which side it is on."""
    rng, found = random.Random(seed), []
    for _ in range(num):
        people, day = rng.choice(PEOPLE), rng.choice(DAYS)
        asked = asking(f"a table for {rng.choice(PEOPLE)} people on {rng.choice(DAYS)}")
        good, bad = f"for {people} people on {day} please ?", f"for {people} people on {day} ?"
        swapped = rng.random() < 0.5
        pair = Pair(asked, *((bad, good) if swapped else (good, bad)))
        found.append(Judgement.of(pair, FIRST, SECOND if swapped else FIRST, "anna", 1.0))
    return found
