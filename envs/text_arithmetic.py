"""``TextArithmetic-v0``: word problems with an answer that can be checked."""

from __future__ import annotations

import functools
import math
import operator
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, SupportsIndex

from .core.items import Field, Item, ItemTask, OneReply, load_items, own_data, read_once
from .core.streams import Stream, Streams, pick
from .core.task import DIGITS, Policy
from .data_files import Items, final_number_of
from .understanding.answers import answer_of

LEVELS = (1, 2, 3)
NUM_PROBLEMS = 6000
"""Drawn for each level, before repetitions are dropped."""
WINDOW, RISE_AT = 50, 0.8
"""The curriculum goes up when this share of so many problems was solved."""
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Finn", "Grace", "Henry")
PRONOUNS = ("she", "he")
"""Of the names, by turns."""
THINGS = ("apples", "books", "coins", "pencils", "stamps", "marbles", "shells", "cards")
INSTRUCTIONS = """\
Solve the word problem. Write the calculations one after the other, without explaining them, and end with the answer as
a number. The whole reply has at most 400 characters.
Example: to "Anna buys 3 books at 4 pounds each and a pen for 2 pounds. How many pounds does she spend?" the whole
reply is: 3 * 4 = 12. 12 + 2 = 14. The answer is 14."""
FIELDS = {
    "problem": Field(str, ("question", "prompt", "instruction", "query", "input", "text")),
    "answer": Field(
        (int, float),
        ("final_answer", "solution", "completion", "response", "output", "target", "label", "result"),
        read=final_number_of,
    ),
}
"""What is read of a row of own problems."""


class Family(NamedTuple):
    """A kind of problem.

    Attributes:
        level: how hard it is.
        draw: numbers of one problem, from a random stream.
        steps: calculations, in order; ``a``, ``b``... are the numbers, ``A``, ``B``... the results of earlier steps.
            The last result is the answer.
        train, test: wordings; ``{0}``, ``{1}``... are the numbers, ``{0:mile}`` one with its unit, ``{name}``,
            ``{other}`` and ``{things}`` are drawn, ``{he}`` and ``{He}`` stand for the name.
    """

    level: int
    draw: Callable[[random.Random], tuple[int, ...]]
    steps: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]


def _between(*ranges: tuple[int, int]) -> Callable[[random.Random], tuple[int, ...]]:
    """Draws one number from each range, both ends included."""
    return lambda rng: tuple([rng.randint(low, high) for low, high in ranges])


def _smaller_second(rng: random.Random) -> tuple[int, ...]:
    first = rng.randint(5, 99)
    return first, rng.randint(1, first - 1)


def _divisible(rng: random.Random) -> tuple[int, ...]:
    share, people = rng.randint(2, 20), rng.randint(2, 12)
    return share * people, people


def _gives_groups(rng: random.Random) -> tuple[int, ...]:
    friends, each = rng.randint(2, 9), rng.randint(2, 9)
    return friends * each + rng.randint(1, 30), friends, each


def _change(rng: random.Random) -> tuple[int, ...]:
    count, price, other, other_price = (rng.randint(2, 9) for _ in range(4))
    return count * price + other * other_price + rng.randint(1, 40), count, price, other, other_price


def _average(rng: random.Random) -> tuple[int, ...]:
    first, second = rng.randint(2, 40), rng.randint(2, 40)
    third = rng.randint(2, 40)
    return first, second, third + -(first + second + third) % 3


def _percent(rng: random.Random) -> tuple[int, ...]:
    return rng.choice((10, 20, 25, 50, 75)), 20 * rng.randint(1, 30)


def _remainder(rng: random.Random) -> tuple[int, ...]:
    box = rng.randint(3, 12)
    return box * rng.randint(2, 12) + rng.randint(1, box - 1), box


FAMILIES: dict[str, Family] = {
    "sum": Family(
        1, _between((2, 99), (2, 99)), ("a + b",),
        ("{name} has {0} {things}. {He} finds {1} more. How many {things} does {he} have now?",
         "There are {0} {things} in one box and {1} in another. How many are there in all?",
         "{name} has {0} {things}, and {other} has {1}. How many do they have together?",
         "{other} gives {name} {1} {things}. {name} had {0} before. How many does {he} have now?",
         "On Monday {name} picks up {0} {things}, and on Tuesday {1} more. How many is that in total?",
         "{0} {things} lie on the table, and {1} more lie under it. How many {things} are there altogether?",
         "{name} buys {0} {things} and gets {1} for nothing. How many {things} does {he} own then?",
         "A shelf holds {0} {things}, and a drawer holds {1}. What is the total?"),
        ("{name} owns {0} {things} and gets {1} more as a present. How many is that altogether?",),
    ),
    "difference": Family(
        1, _smaller_second, ("a - b",),
        ("{name} has {0} {things} and loses {1}. How many are left?",
         "{name} has {0} {things} and gives {1} of them to {other}. How many does {name} keep?",
         "{name} has {1} {things} fewer than {other}, who has {0}. How many does {name} have?",
         "Of {0} {things}, {1} are broken. How many are whole?",
         "{name} wants {0} {things} and has {1} of them. How many are missing?",
         "There were {0} {things} in the box, but {name} took {1} out. How many are still in it?",
         "{name} has {0} {things} and {other} has {1}. How many more does {name} have?",
         "A shop opens with {0} {things} and sells {1} in a day. How many does it have in the evening?"),
        ("{name} had {0} {things}, but sold {1} of them. How many remain?",),
    ),
    "product": Family(
        1, _between((2, 12), (2, 20)), ("a * b",),
        ("There are {0} bags with {1} {things} in each. How many {things} are there?",
         "{name} buys {0} packs of {1} {things}. How many {things} is that?",
         "A box holds {1} {things}. How many do {0} such boxes hold?",
         "{0} people bring {1} {things} each. How many do they bring altogether?",
         "{name} puts {1} {things} on each of {0} shelves. How many {things} does {he} need?",
         "There are {0} rows of {1} {things}. How many are there in total?",
         "Every day {name} finds {1} {things}. How many does {he} find in {0} days?",
         "{0} times {name} takes {1} {things}. How many does {he} have then?"),
        ("Each of {0} children has {1} {things}. How many {things} do they have together?",),
    ),
    "share": Family(
        1, _divisible, ("a / b",),
        ("{0} {things} are shared equally by {1} children. How many does each of them get?",
         "{name} puts {0} {things} into {1} boxes, the same number in each. How many are in each box?",
         "{name} has {0} {things} for {1} friends. How many can each get, if all get the same?",
         "How many {things} are in each of {1} equal piles that {name} makes of {0}?",
         "{0} {things} fill {1} bags, all with the same number. How many does one bag hold?",
         "A team of {1} divides {0} {things} among its members. How many does every member get?",
         "{1} children get {0} {things}, all of them as many. How many does one child get?",
         "{name} lays {0} {things} out in {1} rows, all of them equally long. How many are in a row?"),
        ("{1} friends divide {0} {things} evenly. How many are there for each of them?",),
    ),
    "sum_difference": Family(
        2, _between((10, 60), (10, 60), (2, 19)), ("a + b", "A - c"),
        ("{name} has {0} {things}. {He} finds {1} more and then loses {2}. How many does {he} have now?",
         "{0} people are on a bus. {1} get on and {2} get off. How many people are on the bus now?",
         "{name} had {0} {things}, bought {1} and gave {2} away. How many does {he} have?",
         "A box holds {0} {things}. {name} puts {1} in and takes {2} out. How many are in it then?",
         "{name} finds {0} {things} and {other} finds {1}, but they lose {2}. How many do they have together?",
         "{0} birds sit in a tree. {1} more come, then {2} fly away. How many birds are left?",
         "A baker makes {0} rolls, then {1} more, and sells {2}. How many rolls remain?",
         "In the morning a shop has {0} {things}. It gets {1} and sells {2} that day. How many are there at night?"),
        ("A shop has {0} {things}, receives {1} and sells {2}. How many does it have now?",),
    ),
    "buy": Family(
        2, _between((2, 9), (2, 15), (1, 30)), ("a * b", "A + c"),
        ("{name} buys {0} {things} at {1} pounds each and a bag for {2:pound}. How many pounds does {he} spend?",
         "{0} tickets cost {1} pounds each, and the bus costs {2:pound}. How many pounds does the trip cost?",
         "{name} pays {1} pounds for each of {0} {things}, and {2:pound} for a box. How many pounds is that?",
         "A taxi takes {2:pound} at the start and {1} pounds for each of {0} miles. How many pounds is the ride?",
         "Entry is {2:pound}, and each of {0} games costs {1} pounds. How many pounds is that in all?",
         "{name} orders {0} pizzas at {1} pounds each and gives a tip of {2:pound}. How many pounds does {he} pay?",
         "{0} {things} at {1} pounds each come with {2:pound} for the post. What does {name} pay?",
         "For {0} cakes {name} asks {1} pounds each, and for a card {2:pound}. How many pounds does {he} get?"),
        ("For {0} {things} at {1} pounds each and {2:pound} of postage, how many pounds does {name} pay?",),
    ),
    "gives_groups": Family(
        2, _gives_groups, ("b * c", "a - A"),
        ("{name} has {0} {things} and gives {2} to each of {1} friends. How many are left?",
         "Of {0} {things}, {name} fills {1} bags with {2} each. How many do not go into a bag?",
         "{name} has {0} {things}. {1} friends get {2} each. How many does {he} keep?",
         "There are {0} {things} on a plate. Each of {1} children takes {2}. How many are left?",
         "{name} packs {1} boxes of {2} out of {0} {things}. How many are left over?",
         "From {0} {things}, {1} people take {2} each. How many remain?",
         "{1} times {name} sells {2} of {0} {things}. How many does {he} have in the end?",
         "{0} {things} are in a store, and {1} people buy {2} each. How many stay there?"),
        ("{1} guests take {2} {things} each from a table with {0} of them. How many stay on the table?",),
    ),
    "times_as_many": Family(
        2, _between((2, 30), (2, 6)), ("a * b", "a + A"),
        ("{name} has {0} {things} and {other} has {1} times as many. How many do they have together?",
         "One box holds {0} {things}, and another holds {1} times as many. How many do both hold together?",
         "{name} finds {0} {things}. {other} finds {1} times as many. What is the total?",
         "On Monday {name} sells {0} {things}, on Tuesday {1} times as many. How many does {he} sell on both days?",
         "A book has {0} pages, and another has {1} times that many. How many pages do the two have?",
         "{other} has {1} times as many {things} as {name}, who has {0}. How many do they have in all?",
         "{0} {things} lie in a drawer and {1} times the number on a table. How many are there altogether?",
         "{name} buys {0} {things}, and {other} buys {1} times as many. How many do the two buy?"),
        ("{name} owns {0} {things}, and {other} owns {1} times that number. How many do the two own together?",),
    ),
    "travel": Family(
        2, _between((2, 9), (10, 60), (1, 50)), ("a * b", "A + c"),
        ("A train goes {1} miles an hour for {0} hours and then {2:more mile}. How many miles is that in all?",
         "{name} walks {1} minutes on each of {0} days and {2:minute} on Sunday. How many minutes is that in all?",
         "For {0} hours a ship does {1} miles an hour, and after that {2:more mile}. How many miles does it go?",
         "At {1} miles an hour {name} rides for {0} hours, and then {2:more mile}. How many miles is that?",
         "{name} reads {1} pages on each of {0} days and another {2:page} on Sunday. How many pages does {he} read?",
         "{name} runs {0} times {1} yards and then {2:more yard}. How many yards is that altogether?",
         "A machine makes {1} parts an hour. How many are there after {0} hours, if there were {2} before?",
         "{name} works {0} hours for {1} pounds an hour and gets {2:more pound}. How many pounds is that in all?"),
        ("{name} drives for {0} hours at {1} miles an hour and then another {2:mile}. How many miles is that in all?",),
    ),
    "change": Family(
        3, _change, ("b * c", "d * e", "a - A", "C - B"),
        ("{name} has {0} pounds. {He} buys {1} {things} at {2} pounds each and {3} pens at {4} pounds each. "
         "How many pounds are left?",
         "Of {0} pounds, {name} spends {2} on each of {1} {things} and {4} on each of {3} cups. "
         "How many pounds remain?",
         "{name} has {0} pounds and buys {1} cups for {2} pounds each and {3} {things} for {4} pounds each. "
         "How many pounds does {he} have then?",
         "{1} {things} cost {2} pounds each and {3} bags {4} pounds each. {name} has {0} pounds. "
         "How many pounds does {he} keep?",
         "{name} buys {1} pens at {2} pounds each and {3} {things} at {4} pounds each and pays with {0} pounds. "
         "How many pounds does {he} get back?",
         "With {0} pounds {name} buys {1} {things}, {2} pounds each, and {3} cakes, {4} pounds each. "
         "How many pounds are left?",
         "A class has {0} pounds. It buys {1} tickets at {2} pounds each and {3} maps at {4} pounds each. "
         "How many pounds of change are there?",
         "For {1} {things} at {2} pounds and {3} caps at {4} pounds {name} takes {0} pounds along. "
         "How many pounds come back?"),
        ("{name} pays for {1} {things} at {2} pounds each and {3} caps at {4} pounds each with {0} pounds. "
         "How many pounds of change does {he} get?",),
    ),
    "average": Family(
        3, _average, ("a + b", "A + c", "B / 3"),
        ("{name} found {0}, {1} and {2} {things} on three days. What is the average per day?",
         "Three boxes hold {0}, {1} and {2} {things}. How many would each hold if all held the same?",
         "{name} gets {0}, {1} and {2} points in three games. What is the mean of these?",
         "On three days a shop sells {0}, {1} and {2} {things}. How many is that on average?",
         "Three friends have {0}, {1} and {2} {things} and share them equally. How many does each get?",
         "Three plants are {0}, {1} and {2} inches high. What is their mean height?",
         "It takes {name} {0}, {1} and {2} minutes to get home. How many minutes is that on average?",
         "What is the average of the numbers {0}, {1} and {2}?"),
        ("What is the mean of {0}, {1} and {2} {things}?",),
    ),
    "percent": Family(
        3, _percent, ("b * a", "A / 100", "b - B"),
        ("A bike costs {1} pounds. {name} gets {0} percent off. How many pounds does {he} pay?",
         "Of {1} {things}, {0} percent are sold. How many are left?",
         "{0} percent of {1} pounds are paid. How many pounds are still to pay?",
         "A shop takes {0} percent off a price of {1} pounds. What is the new price?",
         "{0} percent of {1} seats are taken. How many are free?",
         "There are {1} people, and {0} percent of them go away. How many stay?",
         "{name} had {1} {things} and lost {0} percent of them. How many does {he} have?",
         "A coat of {1} pounds is {0} percent cheaper today. How many pounds is it now?"),
        ("{name} has {1} {things} and gives away {0} percent of them. How many does {he} keep?",),
    ),
    "remainder": Family(
        3, _remainder, ("a % b", "b - A"),
        ("{name} has {0} {things} and fills boxes of {1}. How many more does {he} need to fill the last box?",
         "{0} children go in cars with {1} seats for them. How many seats stay empty in the last car?",
         "{name} packs {0} rolls in bags of {1}. How many rolls are missing in the last bag?",
         "{0} {things} are put in rows of {1}. How many more would fill the last row?",
         "{0} people sit down at tables for {1}. How many chairs are free at the last table?",
         "A tray holds {1} cakes, and {name} has {0}. How many more would fill the last tray?",
         "{name} ties {0} flowers in bunches of {1}. How many flowers does the last bunch lack?",
         "Each team has {1} players, and there are {0}. How many players does the last team need?"),
        ("Each page of an album holds {1} {things}, and {name} has {0}. "
         "How many places are free on the last page that {he} needs?",),
    ),
}  # fmt: skip


OPERATIONS: dict[str, tuple[Callable[[int, int], int], str]] = {
    "+": (operator.add, "{} + {} = {}."),
    "-": (operator.sub, "{} - {} = {}."),
    "*": (operator.mul, "{} * {} = {}."),
    "/": (operator.floordiv, "{} / {} = {}."),
    "%": (operator.mod, "{} divided by {} leaves {}."),
}
"""What a sign of a step does, and how the calculation is written."""


def work_out(steps: Sequence[str], numbers: Sequence[int]) -> tuple[int, list[str]]:
    """The answer of a problem, and each calculation on the way to it, in words."""
    values = {chr(ord("a") + place): number for place, number in enumerate(numbers)}
    written: list[str] = []
    result = 0
    for place, step in enumerate(steps):
        left, sign, right = step.split()
        calculate, said = OPERATIONS[sign]
        first, second = (values[part] if part in values else int(part) for part in (left, right))
        result = values[chr(ord("A") + place)] = calculate(first, second)
        written.append(said.format(first, second, result))
    return result, written


class _Number(int):
    """A number of a problem, which ``{0:mile}`` writes with its unit, in the singular or the plural."""

    def __format__(self, unit: str) -> str:
        return f"{int(self)} {unit}{'s' * (self != 1)}" if unit else str(int(self))


class TextArithmetic(ItemTask):
    """Solve a word problem: one turn, and an answer that can be checked.

    Thirteen families of problems on three levels: one step (sums, differences, products, shares), two steps and three
    steps (change, averages, percentages, remainders). A problem is a family and its numbers; problems are split by
    that, and their wordings into a train and a test bank, eight to one. A reply is right when the one number that it
    claims is the answer, however it says so: ``12``, ``She has twelve apples left.``, ``3 x 4 = 12``, ``#### 12``; see
    ``dialogym.envs.understanding.answers``. A reply that merely contains the number among others, that names several as
    its answer or none, is wrong.

    The rule calculates step by step, as one would show it to somebody who learns it (``24 + 7 = 31. 31 - 5 = 26. The
    answer is 26.``); of problems of your own it says the answer alone. The ceiling is 1 by definition.

    Data of your own: a file with the fields ``problem`` and ``answer``, JSON Lines such as
    ``{"problem": "What is 2 + 2?", "answer": 4}``, CSV with a header, or anything else of docs/data.md. An answer may
    stand at the end of a solution, as in GSM8K (``... #### 42``).

    Args:
        level: 1, 2, 3, or "mixed"; not used with ``data``.
        curriculum: True begins at level 1 and goes up when 80 % of the last 50 problems of a level were solved. It
            concerns the train split alone; the level reached belongs to the environment, a vector environment has one
            for all rows, and resetting does not take it back. Needs ``level="mixed"`` and no ``data``.
        data: problems of your own; see above.
        fields: columns of ``data`` by field, where they go by names that are not recognised (docs/data.md).
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.

    Raises:
        ValueError: for an unknown level, a curriculum of one level, or a wrong line in a file of your own.
    """

    name = "TextArithmetic"
    vocabulary = DIGITS
    instructions = INSTRUCTIONS
    examples = tuple(str(number) for number in range(0, 60, 3))
    ceiling = 1.0
    floor = 0.05
    max_reply_chars = 400
    data_fields = FIELDS

    def __init__(
        self,
        level: int | str = "mixed",
        curriculum: bool = False,
        data: Any = None,
        fields: Mapping[str, str] | None = None,
        on_error: str = "raise",
    ):
        if level not in (*LEVELS, "mixed") or isinstance(level, bool):
            raise ValueError(f"level must be one of {', '.join(map(str, LEVELS))}, mixed, got {level!r}")
        if not isinstance(curriculum, bool):
            raise ValueError(f"curriculum must be True or False, got {curriculum!r}")
        if curriculum and (level != "mixed" or data is not None):
            raise ValueError(f"curriculum needs level='mixed' and no data, got level={level!r} and data={data!r:.80}")
        self.made_with = {"level": level, "curriculum": curriculum, **own_data(data, fields, on_error)}
        self.curriculum = Curriculum() if curriculum else None
        super().__init__(_problems(level) if data is None else _own_problems(data, fields, on_error))
        self.policies = {"rule": Policy("text", self._solve), "claim_success": Policy("text", claim_success)}

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return *super().__reduce_ex__(protocol), {"curriculum": self.curriculum}  # with how far it has come

    def state_dict(self) -> dict[str, Any]:
        """The level of the curriculum, and how the latest problems went."""
        return {} if self.curriculum is None else self.curriculum.state_dict()

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        if self.curriculum is not None:
            self.curriculum.load_state_dict(state)

    def content(self, goal: Mapping[str, Any]) -> str:
        return " ".join(goal["problem"].split()) if "problem" in goal else repr((goal["family"], goal["numbers"]))

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        return (written(goal["answer"]),)

    def _solve(self, observation: Any, info: Mapping[str, Any]) -> str:
        """The rule: calculates step by step and names the answer; of a problem of the user's, the answer alone."""
        return solution(self.goal(info["goal_id"]))

    def sample_goal(self, seed: int, split: str) -> tuple[str, Item]:
        if self.curriculum is None or split != "train":
            return super().sample_goal(seed, split)
        numbers = self._numbers_of_levels[self.curriculum.level - 1]
        number = numbers[Stream(seed).randrange(len(numbers))]
        return str(number), self.items[number]

    @functools.cached_property
    def _numbers_of_levels(self) -> tuple[list[int], ...]:
        """Numbers of the training problems of each level."""
        train = self.numbers_of("train")
        return tuple([[number for number in train if self.items[number]["level"] == level] for level in LEVELS])

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> OneReply:
        return Examiner(goal, _worded(goal, streams.wording, split), self.curriculum)


class Curriculum:
    """The level that a learner has reached.

    Attributes:
        level: of the problems to set now.
        recent: whether the latest problems of that level were solved.
    """

    def __init__(self) -> None:
        self.level = LEVELS[0]
        self.recent: deque[bool] = deque(maxlen=WINDOW)

    def note(self, level: int, solved: bool) -> None:
        """Takes in one outcome; problems of other levels (replayed ones) do not count."""
        if level != self.level:
            return
        self.recent.append(solved)
        if len(self.recent) == WINDOW and sum(self.recent) >= RISE_AT * WINDOW and self.level < LEVELS[-1]:
            self.level += 1
            self.recent.clear()

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"level": self.level, "recent": list(self.recent)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """From a checkpoint."""
        self.level, self.recent = state["level"], deque(state["recent"], maxlen=WINDOW)


class Examiner(OneReply):
    """Sets a problem and checks the answer."""

    def __init__(self, goal: Mapping[str, Any], problem: str, curriculum: Curriculum | None):
        super().__init__("", problem, functools.partial(is_right, goal["answer"]))
        self.goal, self.curriculum = goal, curriculum

    def hear(self, utterance: str) -> list[Any]:
        lines = super().hear(utterance)
        if self.curriculum is not None:
            self.curriculum.note(self.goal["level"], self.success)
        return lines

    def facts(self) -> dict[str, Any]:
        return {} if self.curriculum is None else {"level": self.curriculum.level}


def written(answer: float) -> str:
    """A number in digits alone: 1e22 has 23 of them."""
    return format(Decimal(str(answer)), "f")


def solution(goal: Mapping[str, Any]) -> str:
    """A reply that shows how the answer is come by: ``24 + 7 = 31. 31 - 5 = 26. The answer is 26.``"""
    working = [] if "problem" in goal else work_out(FAMILIES[goal["family"]].steps, goal["numbers"])[1]
    return " ".join([*working, f"The answer is {written(goal['answer'])}."])


def is_right(answer: float, reply: str) -> bool:
    """The one number that the reply claims is the answer; 12 and 12.0 are the same number."""
    return answer_of(reply) == Decimal(str(answer))


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Says that the problem is solved, without a number."""
    return "I have solved it."


def _worded(goal: Mapping[str, Any], wording: int, split: str) -> str:
    """The words of a problem; the test split has wordings of its own."""
    if "problem" in goal:
        return goal["problem"]
    family = FAMILIES[goal["family"]]
    options = family.test if split == "test" else family.train
    first = pick(wording, 1, len(NAMES))
    second = (first + 1 + pick(wording, 2, len(NAMES) - 1)) % len(NAMES)
    pronoun = PRONOUNS[first % len(PRONOUNS)]
    return options[pick(wording, 0, len(options))].format(
        *map(_Number, goal["numbers"]),
        name=NAMES[first], other=NAMES[second], he=pronoun, He=pronoun.capitalize(),
        things=THINGS[pick(wording, 3, len(THINGS))],
    )  # fmt: skip


@functools.cache
def _problems(level: int | str) -> tuple[Item, ...]:
    """The problems of a level, or of all: the same on every machine."""
    if level == "mixed":
        return tuple([problem for one in LEVELS for problem in _problems(one)])
    rng = Stream(int(level))
    names = [name for name, family in FAMILIES.items() if family.level == level]
    drawn: dict[tuple[str, tuple[int, ...]], Item] = {}
    for number in range(NUM_PROBLEMS):
        name = names[number % len(names)]
        numbers = FAMILIES[name].draw(rng)
        answer, _ = work_out(FAMILIES[name].steps, numbers)
        drawn[name, numbers] = {"family": name, "numbers": numbers, "level": level, "answer": answer}
    return tuple(drawn.values())


@read_once
def _own_problems(data: Any, fields: Mapping[str, str] | None, on_error: str) -> Items:
    def wrong(item: Mapping[str, Any]) -> str | None:
        if not item["problem"].strip():
            return "problem must not be empty"
        if isinstance(item["answer"], float) and not math.isfinite(item["answer"]):
            return f"answer must be finite, got {item['answer']}"
        if len(written(item["answer"])) > TextArithmetic.max_reply_chars:
            return f"answer must have at most {TextArithmetic.max_reply_chars} digits, got {item['answer']!r:.40}"
        return None

    return load_items(data, FIELDS, fields, on_error, check=wrong)
