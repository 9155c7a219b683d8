"""A conversation task of your own, in about forty lines: the partner thinks of a number, the agent guesses.

    python examples/custom_task.py

prints what `dialogym validate` finds, and then how well the random and the rule agent play, and a conversation:

    (a table in which every check passes or does not apply)
    random: 8.3% of 12 test goals, 7.0 guesses
    rule: 100.0% of 12 test goals, 4.9 guesses
    system: Guess the number.
    user: I think of a number from 1 to 100.
    assistant: Is it 50?
    user: Higher.
    assistant: Is it 75?
    user: Higher.
    assistant: Is it 88?
    user: Lower.
    assistant: Is it 81?
    user: Lower.
    assistant: Is it 78?
    user: Lower.
    assistant: Is it 76?
    user: Yes!
"""

import argparse
import re

import gymnasium as gym
from rich.console import Console

from dialogym import Partner, Policy, Task, register_task
from dialogym.agents.registry import make_agent
from dialogym.evaluation.score import frozen_goals, score
from dialogym.evaluation.validate import validate

HIGHEST = 100


class Thinker(Partner):
    """Knows the number, answers higher or lower, and gives up after seven guesses."""

    def __init__(self, number):
        self.number, self.low, self.high, self.guesses = number, 1, HIGHEST, 0

    def open(self):
        return [("system", "Guess the number."), ("user", f"I think of a number from 1 to {HIGHEST}.")]

    def hear(self, utterance):
        found = re.search(r"\d+", utterance)
        guess = int(found[0]) if found else 0
        self.guesses += 1
        self.success = guess == self.number
        self.over = self.success or self.guesses == 7
        if guess < self.number:
            self.low = max(self.low, guess + 1)
        elif guess > self.number:
            self.high = min(self.high, guess - 1)
        answer = "Yes!" if self.success else "Higher." if guess < self.number else "Lower."
        return [("user", answer)]

    def summary(self):
        return (self.low - 1, self.high - 1)

    def allowed(self):
        return bytes([1]) * HIGHEST  # any number may be tried

    def phrase(self, choice):
        return f"Is it {choice + 1}?"


def halve(observation, info):
    """The rule: the middle of what is left."""
    return int(observation[0] + observation[1]) // 2


class GuessTask(Task):
    """Guess a number from 1 to 100 in seven questions: always possible by halving."""

    name = "Guess"
    menu = tuple(str(number) for number in range(1, HIGHEST + 1))
    summary_sizes = (HIGHEST, HIGHEST)
    examples = ("Is it 25?", "12")
    ceiling, floor = 1.0, 0.1
    policies = {"rule": Policy("choices", halve)}  # noqa: RUF012 (as short as can be)

    def draw_goal(self, rng):
        return {"number": rng.randint(1, HIGHEST)}

    def partner(self, goal, streams, split):
        return Thinker(goal["number"])

    def secrets(self, goal):
        return ()  # every number may be named by anybody


register_task("Guess-v0", GuessTask, max_turns=7)


def main() -> None:
    parser = argparse.ArgumentParser(description="A task of your own.")
    parser.add_argument("--quick", action="store_true", help="skip the validation")
    if not parser.parse_args().quick:
        Console().print(validate("Guess-v0").table())
    env = gym.make("Guess-v0")
    goals = frozen_goals(env, "test", 200).goals
    for name in ("random", "rule"):
        scores = score(make_agent(name, env), env, goals)
        print(f"{name}: {scores.success.mean():.1%} of {len(goals)} test goals, {scores.turns.mean():.1f} guesses")
    print(*(f"{message['role']}: {message['content']}" for message in scores.conversations[0]), sep="\n")


if __name__ == "__main__":
    main()
