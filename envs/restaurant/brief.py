"""What a language model is told that plays the user: the goal, who it is, and the rules."""

from __future__ import annotations

from .calls import listed
from .database import CONSTRAINT_SLOTS, DONTCARE, Database
from .goals import Goal
from .wording import REQUEST_WORDS, time_in_words

CUE = "Hello, this is the restaurant guide. How can I help you?"
"""What the model is told before it opens the conversation; nobody says it."""
_SLOTS = {"food": "food", "area": "part of town", "pricerange": "price range"}
RULES = """\
Rules:
- You are the customer. Never speak for the guide: you recommend nothing, find nothing and book nothing yourself.
- Say only what stands above. Invent nothing: no other wish, name, day or number.
- Say one thing at a time, in one short sentence. Do not tell everything at once.
- Answer what you are asked. If you are asked about something that you do not mind, say that you do not mind.
- Say only what you, the customer, say next, and nothing else.
- When you have got everything, or it cannot be had, say "Thank you, goodbye.", and not before."""


def brief(goal: Goal, database: Database, is_curt: bool, patience: int) -> str:
    """The instructions of a language model that plays the user.

    Args:
        goal: what it wants.
        database: that the values are from, for how they are written.
        is_curt: it is short of words.
        patience: turns that may bring nothing.
    """
    lines = ["You are a customer who talks to a restaurant guide.", "", "What you want, in this order:"]
    lines += [f"{number}. {step}" for number, step in enumerate(_steps(goal, database), 1)]
    manner = "You are short of words, and say only what you are asked." if is_curt else "You are friendly."
    lines += ["", f"{manner} After {patience} answers that bring you nothing you lose patience and say goodbye.", ""]
    return "\n".join(lines) + RULES


def _steps(goal: Goal, database: Database) -> list[str]:
    wishes = {slot: value for slot, value in goal["constraints"] if value != DONTCARE}
    wanted = [f"the {_SLOTS[slot]} {database.written(slot, value)}" for slot, value in wishes.items()]
    free = [_SLOTS[slot] for slot in CONSTRAINT_SLOTS if slot not in wishes]
    steps = [f"You look for a restaurant with {listed(wanted)}."]
    if free:
        steps[0] += f" You do not mind the {listed(free, 'or')}."
    if goal["relax"] is not None:
        slot, value = goal["relax"]
        steps.append(
            f"Only if you are told that there is none: the {_SLOTS[slot]} {database.written(slot, value)} instead."
        )
    if goal["change"] is not None:
        slot, value = goal["change"]
        steps.append(
            f"Once you are offered a restaurant that fits, change your mind: you want the {_SLOTS[slot]} "
            f"{database.written(slot, value)} instead, and so another restaurant."
        )
    if goal["alternative"]:
        steps.append("Once you are offered a restaurant that fits, ask for another one, and take that.")
    if goal["requests"]:
        asked = listed([REQUEST_WORDS[slot] for slot in goal["requests"]])
        steps.append(f"Once you have the right restaurant, ask for its {asked}.")
    return steps + _table(goal, database)


def _table(goal: Goal, database: Database) -> list[str]:
    if goal["booking"] is None:
        return ["You do not need a table."]
    table = dict(goal["booking"])
    people = f"{table['people']} {'person' if table['people'] == '1' else 'people'}"
    when = f"on {database.written('day', table['day'])} at {time_in_words(table['time'], 0)}"
    steps = [f"Then book a table for {people} {when}, and ask for the reference."]
    if goal["fallback"] is not None:
        slot, value = goal["fallback"]
        other = f"on {database.written('day', value)}" if slot == "day" else f"at {value}"
        steps.append(f"Only if you are told that there is no table then: {other} instead.")
    return steps
