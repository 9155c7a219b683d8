"""``TextArithmetic-v0``: word problems with an answer that can be checked."""

from __future__ import annotations

import functools
import math
import random
import re
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, SupportsIndex

from .core.items import Item, ItemTask, OneReply, full_path, read_items
from .core.streams import Stream, Streams, pick
from .core.task import Policy

LEVELS = (1, 2, 3)
NUM_PROBLEMS = 6000
"""Drawn for each level, before repetitions are dropped."""
WINDOW, RISE_AT = 50, 0.8
"""The curriculum goes up when this share of so many problems was solved."""
NAMES = ("anna", "ben", "clara", "david", "emma", "finn", "grace", "henry")
THINGS = ("apples", "books", "coins", "pencils", "stamps", "marbles", "shells", "cards")
INSTRUCTION = "solve the problem . answer with the number alone ."
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


class Family(NamedTuple):
    """A kind of problem.

    Attributes:
        level: how many steps it takes.
        draw: numbers of one problem, from a random stream.
        answer: what they come to.
        train, test: wordings; ``{0}``, ``{1}``... are the numbers, ``{name}``, ``{other}`` and ``{things}`` are drawn.
    """

    level: int
    draw: Callable[[random.Random], tuple[int, ...]]
    answer: Callable[..., int]
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
        1, _between((2, 99), (2, 99)), lambda a, b: a + b,
        ("{name} has {0} {things} and finds {1} more . how many {things} does {name} have now ?",
         "there are {0} {things} in one box and {1} in another . how many are there in all ?"),
        ("{name} owns {0} {things} and gets {1} as a present . what is the total ?",),
    ),
    "difference": Family(
        1, _smaller_second, lambda a, b: a - b,
        ("{name} has {0} {things} and loses {1} . how many are left ?",
         "of {0} {things} {name} gives {1} to {other} . how many does {name} keep ?"),
        ("{name} had {0} {things} and sold {1} of them . how many remain ?",),
    ),
    "product": Family(
        1, _between((2, 12), (2, 20)), lambda a, b: a * b,
        ("there are {0} bags with {1} {things} in each . how many {things} are there ?",
         "{name} buys {0} packs of {1} {things} . how many {things} is that ?"),
        ("each of {0} children has {1} {things} . how many {things} do they have together ?",),
    ),
    "share": Family(
        1, _divisible, lambda a, b: a // b,
        ("{0} {things} are shared equally by {1} children . how many does each get ?",
         "{name} puts {0} {things} into {1} boxes , the same number in each . how many are in a box ?"),
        ("{1} friends divide {0} {things} evenly . how many are there for each ?",),
    ),
    "sum_difference": Family(
        2, _between((10, 60), (10, 60), (2, 19)), lambda a, b, c: a + b - c,
        ("{name} has {0} {things} , finds {1} and loses {2} . how many does {name} have now ?",
         "{0} people are on a bus . {1} get on and {2} get off . how many people are on the bus ?"),
        ("a shop has {0} {things} , receives {1} and sells {2} . how many does it have ?",),
    ),
    "buy": Family(
        2, _between((2, 9), (2, 15), (1, 30)), lambda a, b, c: a * b + c,
        ("{name} buys {0} {things} at {1} pounds each and a bag for {2} pounds . what does it cost ?",
         "{0} tickets cost {1} pounds each , and the bus costs {2} pounds . what does the trip cost ?"),
        ("for {0} {things} of {1} pounds each and {2} pounds of postage , how many pounds does {name} pay ?",),
    ),
    "gives_groups": Family(
        2, _gives_groups, lambda a, b, c: a - b * c,
        ("{name} has {0} {things} and gives {2} to each of {1} friends . how many are left ?",
         "of {0} {things} {name} fills {1} bags with {2} each . how many do not go into a bag ?"),
        ("{1} guests take {2} {things} each from a plate of {0} . how many stay on the plate ?",),
    ),
    "times_as_many": Family(
        2, _between((2, 30), (2, 6)), lambda a, b: a + a * b,
        ("{name} has {0} {things} and {other} has {1} times as many . how many do they have together ?",
         "one box holds {0} {things} , another {1} times as many . how many do both hold ?"),
        ("{other} owns {1} times the {0} {things} of {name} . how many do the two own ?",),
    ),
    "travel": Family(
        2, _between((2, 9), (10, 60), (1, 50)), lambda a, b, c: a * b + c,
        ("a train goes {1} miles an hour for {0} hours and then {2} miles more . how many miles is that ?",
         "{name} walks {1} minutes on each of {0} days and {2} minutes on sunday . how many minutes is that ?"),
        ("for {0} hours at {1} miles an hour and another {2} miles , how far does {name} drive ?",),
    ),
    "change": Family(
        3, _change, lambda a, b, c, d, e: a - b * c - d * e,
        ("{name} has {0} pounds and buys {1} {things} at {2} pounds and {3} pens at {4} pounds . what is left ?",
         "of {0} pounds {name} spends {2} on each of {1} {things} and {4} on each of {3} cups . what remains ?"),
        ("{1} {things} for {2} pounds each and {3} caps for {4} pounds each are paid from {0} . what is the change ?",),
    ),
    "average": Family(
        3, _average, lambda a, b, c: (a + b + c) // 3,
        ("{name} found {0} , {1} and {2} {things} on three days . what is the average ?",
         "three boxes hold {0} , {1} and {2} {things} . how many would each hold if all held the same ?"),
        ("what is the mean of {0} , {1} and {2} {things} ?",),
    ),
    "percent": Family(
        3, _percent, lambda a, b: b - a * b // 100,
        ("a bike costs {1} pounds . {name} gets {0} percent off . how many pounds does {name} pay ?",
         "of {1} {things} {0} percent are sold . how many are left ?"),
        ("{name} has {1} {things} and gives away {0} percent . how many does {name} keep ?",),
    ),
    "remainder": Family(
        3, _remainder, lambda a, b: b - a % b,
        ("{name} has {0} {things} and fills boxes of {1} . how many more are needed to fill the last box ?",
         "{0} children go in cars of {1} . how many seats stay empty in the last car ?"),
        ("pages hold {1} {things} and {name} has {0} . how many places are free on the last page ?",),
    ),
}  # fmt: skip


class TextArithmetic(ItemTask):
    """Solve a word problem: one turn, and an answer that can be checked.

    Thirteen families of problems on three levels: one step (sums, differences, products, shares), two steps and three
    steps (change, averages, percentages, remainders). A problem is a family and its numbers; problems are split by
    that, and their wordings into a train and a test bank. The answer must be the number and nothing else: ``12`` or
    ``12 .``; a reply that merely contains the number is wrong, and so is every reply that is no number.

    The ceiling is the answer itself, so 1 by definition.

    Data of your own: a file with the fields ``problem`` and ``answer``, JSON Lines such as
    ``{"problem": "what is 2 + 2 ?", "answer": 4}``, or CSV with a header.

    Args:
        level: 1, 2, 3, or "mixed"; not used with ``data``.
        curriculum: True begins at level 1 and goes up when 80 % of the last 50 problems of a level were solved. It
            concerns the train split alone; the level reached belongs to the environment, a vector environment has one
            for all rows, and resetting does not take it back. Needs ``level="mixed"`` and no ``data``.
        data: a file of your own; see above.

    Raises:
        ValueError: for an unknown level, a curriculum of one level, or a wrong line in a file of your own.
    """

    name = "TextArithmetic"
    examples = tuple(str(number) for number in range(0, 60, 3))
    ceiling = 1.0
    floor = 0.05
    max_reply_chars = 200

    def __init__(self, level: int | str = "mixed", curriculum: bool = False, data: str | None = None):
        if level not in (*LEVELS, "mixed") or isinstance(level, bool):
            raise ValueError(f"level must be one of {', '.join(map(str, LEVELS))}, mixed, got {level!r}")
        if not isinstance(curriculum, bool):
            raise ValueError(f"curriculum must be True or False, got {curriculum!r}")
        if curriculum and (level != "mixed" or data is not None):
            raise ValueError(f"curriculum needs level='mixed' and no data, got level={level!r} and data={data!r}")
        self.made_with = {"level": level, "curriculum": curriculum, "data": full_path(data)}
        self.curriculum = Curriculum() if curriculum else None
        super().__init__(_problems(level) if data is None else _own_problems(data))
        self.policies = {"rule": Policy("text", self.reference), "claim_success": Policy("text", claim_success)}

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return *super().__reduce_ex__(protocol), {"curriculum": self.curriculum}  # with how far it has come

    def content(self, goal: Mapping[str, Any]) -> str:
        return goal["problem"] if "problem" in goal else repr((goal["family"], goal["numbers"]))

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        return (written(goal["answer"]),)

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


class Examiner(OneReply):
    """Sets a problem and checks the answer."""

    def __init__(self, goal: Mapping[str, Any], problem: str, curriculum: Curriculum | None):
        super().__init__(INSTRUCTION, problem, functools.partial(is_right, goal["answer"]))
        self.goal, self.curriculum = goal, curriculum

    def hear(self, utterance: str) -> list[Any]:
        lines = super().hear(utterance)
        if self.curriculum is not None:
            self.curriculum.note(self.goal["level"], self.success)
        return lines

    def facts(self) -> dict[str, Any]:
        return {} if self.curriculum is None else {"level": self.curriculum.level}


def written(answer: float) -> str:
    """A number in digits alone, as :func:`is_right` reads it: 1e22 has 23 of them."""
    return format(Decimal(str(answer)), "f")


def is_right(answer: float, reply: str) -> bool:
    """The reply is the number, with a full stop at most; 12 and 12.0 are the same number."""
    said = reply.strip().removesuffix(".").rstrip()
    return _NUMBER.fullmatch(said) is not None and Decimal(said) == Decimal(str(answer))


def claim_success(observation: Any, info: Mapping[str, Any]) -> str:
    """Says that the problem is solved, without a number."""
    return "i have solved it ."


def _worded(goal: Mapping[str, Any], wording: int, split: str) -> str:
    """The words of a problem; the test split has wordings of its own."""
    if "problem" in goal:
        return goal["problem"]
    family = FAMILIES[goal["family"]]
    options = family.test if split == "test" else family.train
    first = pick(wording, 1, len(NAMES))
    second = (first + 1 + pick(wording, 2, len(NAMES) - 1)) % len(NAMES)
    return options[pick(wording, 0, len(options))].format(
        *goal["numbers"], name=NAMES[first], other=NAMES[second], things=THINGS[pick(wording, 3, len(THINGS))]
    )


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
        answer = FAMILIES[name].answer(*numbers)
        drawn[name, numbers] = {"family": name, "numbers": numbers, "level": level, "answer": answer}
    return tuple(drawn.values())


def _own_problems(path: str) -> list[dict[str, Any]]:
    def wrong(item: Mapping[str, Any]) -> str | None:
        if not item["problem"].strip():
            return "problem must not be empty"
        if isinstance(item["answer"], float) and not math.isfinite(item["answer"]):
            return f"answer must be finite, got {item['answer']}"
        if len(written(item["answer"])) > TextArithmetic.max_reply_chars:
            return f"answer must have at most {TextArithmetic.max_reply_chars} digits, got {item['answer']!r:.40}"
        return None

    return read_items(path, {"problem": str, "answer": (int, float)}, check=wrong)
