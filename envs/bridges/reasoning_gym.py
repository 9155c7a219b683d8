"""``reasoning_gym/NAME-v0``: the generators of reasoning-gym, one question and one reply each.

Stojanovski et al. (2025), "Reasoning Gym", https://arxiv.org/abs/2505.24760; package ``reasoning-gym``, Apache-2.0.
``getattr(this module, NAME)`` is the task of a generator, which ``gym.make`` imports by that name.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import random
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..core.items import OneReply
from ..core.streams import Streams
from ..core.task import DIGITS, NUM_GOALS, Policy, Task
from . import REASONING_GYM
from .global_generators import global_generators, states_of

EXTRA = "reasoning-gym"
ACCEPTS = ("key", "score")
NUM_EXAMPLES = 5
"""Answers of training items that a random agent draws from; the first shows an agent the form."""
MAX_EXAMPLE_CHARS = 300
"""Of an answer that the instructions show."""
MAX_TRIES = 20
"""Items in a row that a generator may fail to make."""
FINITE = {"acre": 2000, "gsm_symbolic": 100_000, "list_functions": 100_000, "word_ladder": 20_000}
"""How many items to draw from, of generators that prepare all of them at once, or permit no more."""
_RUNS_REPLIES = (
    "binary_matrix countdown intermediate_integration n_queens polynomial_multiplication puzzle24 simple_integration "
    "spiral_matrix string_insertion"
)
RUNS_REPLIES = frozenset(_RUNS_REPLIES.split())
"""Generators whose scorer gives a wrong answer to ``eval``, or to sympy's parser, which calls it."""
WRITES_NUMBERS_OUT = frozenset({"coin_flip"})
"""Generators whose scorer makes a fraction of an answer: of "1e99999999" one with a hundred million digits."""
_LARGE_EXPONENT = re.compile(r"e[+-]?[\d_,]{4,}", re.IGNORECASE)
OWN_SEED = ("seed", "size")
"""Settings of every generator that number its items; here goals are numbered by themselves."""
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
INSTRUCTIONS = """\
Solve the user's problem. You may think first, in the same reply. Write the final answer, and nothing else, between \
<answer> and </answer>, in exactly the form that the problem asks for."""


class ReasoningTask(Task):
    """A generator of reasoning-gym: a question, and one reply.

    The agent thinks as it likes and puts its answer between ``<answer>`` and ``</answer>``; a reply without them is an
    answer as a whole, and of several the last one counts. It succeeds when it is the answer key, spaces around it and
    at the ends of lines aside. Their own scorer gives part marks to a long answer that has the right one somewhere in
    it; it is the reward ``reasoning_gym``, and ``accept="score"`` makes its full marks the success, as questions with
    many right answers want. Generators without an answer key have success by full marks alone.

    A goal is the number of an item, and any number is one: two seeds draw different goals. Items go to the splits by
    a hash of the question, so none stands in two, whatever the settings; of ARC tasks, which are shown turned and
    mirrored, by the task.

    Args:
        level: of the generator's curriculum, from 0; None takes the defaults of its settings. Settings that are given
            as well go before it.
        accept: "key" or "score": what success is. None is "key" where the generator has answer keys.
        trust_replies: let their scorer run what an agent writes, as those of some generators do with ``eval``.
        **settings: of the generator, by the names of its config; all but its ``seed`` and ``size``.

    Raises:
        ImportError: without reasoning-gym or what a generator of it needs, with the extra that brings it.
        ValueError: for settings that the generator refuses, where success needs ``trust_replies``, and from ``reset``
            where there are too few questions for the split.
    """

    generator: ClassVar[str]
    vocabulary = DIGITS
    extras = EXTRA
    max_reply_chars = 10_000
    patience = 100
    max_draws = 500  # one takes long to make; with a tenth of them in a split, none of it is found once in 10^22
    scarcity = "these settings have too few questions"

    def __init__(
        self, level: int | None = None, accept: str | None = None, trust_replies: bool = False, **settings: Any
    ):
        if accept not in (None, *ACCEPTS):
            raise ValueError(f"accept must be one of {', '.join(ACCEPTS)} or None, got {accept!r}")
        self.made_with = {"level": level, "accept": accept, "trust_replies": trust_replies, **settings}
        self.items = _items(self.generator, level, json.dumps(settings, sort_keys=True, default=repr), _Given(settings))
        examples = self._training_keys()
        self.has_keys = self.items[0]["answer"] is not None
        if accept == "key" and not self.has_keys:
            raise ValueError(f"{self.name} has no answer keys: accept must be 'score' or None, got 'key'")
        self.accept = accept or ("key" if self.has_keys else "score")
        self.trust_replies = trust_replies
        if self.accept == "score":
            self._check_trust()
        self.examples = tuple(in_tags(key) for key in examples)  # type: ignore[misc]
        self.instructions = _instructions(examples)
        self.policies = {
            "inform_everything": Policy("text", recite),
            "claim_success": Policy(
                "text", functools.partial(claim_success, max(examples, key=examples.count, default=""))
            ),
        }
        if examples:
            self.policies["rule"] = Policy("text", self.reference)

    def __deepcopy__(self, memo: dict[int, Any]) -> ReasoningTask:
        return self  # read, never changed

    def _training_keys(self) -> list[str]:
        """Answers of the first items that are training ones."""
        found: list[str] = []
        for number in range(10 * NUM_EXAMPLES):
            goal = self._goal(number)
            key = key_of(goal["entry"])
            if key is None or len(found) == NUM_EXAMPLES:
                break
            if self.split_of(goal) == "train":
                found.append(key)
        return found

    # Goals

    def _goal(self, number: int) -> dict[str, Any]:
        entry = self.items[number]
        return {"question": entry["question"], "answer": entry["answer"], "entry": entry, "marks": self.marks}

    def draw_goal(self, rng: random.Random) -> dict[str, Any]:
        return self._goal(rng.randrange(len(self.items)))

    def content(self, goal: Mapping[str, Any]) -> str:
        return tidy(goal["question"])

    def split_of(self, goal: Mapping[str, Any]) -> str:
        """By the question; of ARC by the task that the grids are variants of."""
        source = goal["entry"]["metadata"].get("task_id", goal["question"])
        return super().split_of({"question": source})

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        key = key_of(goal["entry"])
        return () if key is None else (in_tags(key),)

    def secrets(self, goal: Mapping[str, Any]) -> Sequence[str]:
        """The answer, where it is too long to stand anywhere by chance."""
        key = key_of(goal["entry"])
        return (key,) if key is not None and len(key) > 6 else ()

    def reference(self, observation: Any, info: Mapping[str, Any]) -> str:
        """The answer key, as a policy; it reads the goal, which no agent may."""
        return self.references(self.goal(info["goal_id"]))[0]

    # Replies

    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> OneReply:
        return OneReply("", goal["question"], functools.partial(self.accepts, goal))

    def accepts(self, goal: Mapping[str, Any], reply: str) -> bool:
        """Whether a reply succeeds."""
        if self.accept == "score":
            return self.marks(goal, reply) >= 1.0
        return tidy(answer_in(reply)) == tidy(goal["answer"])

    def marks(self, goal: Mapping[str, Any], reply: str) -> float:
        """What their scorer gives the answer in a reply, in [0, 1]; 0 for one on which it fails.

        Raises:
            ValueError: where it would run the reply.
        """
        self._check_trust()
        answer = answer_in(reply)
        if WRITES_NUMBERS_OUT & self.items.generators and _LARGE_EXPONENT.search(answer):
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, of an answer that is no matrix
            try:
                return min(max(float(self.items.dataset.score_answer(answer, goal["entry"])), 0.0), 1.0)
            except Exception:  # their scorer could not read the answer, and its items are its own
                return 0.0

    def _check_trust(self) -> None:
        if self.trust_replies or not RUNS_REPLIES & self.items.generators:
            return
        raise ValueError(
            f"the scorer of {self.name} runs what the agent writes (eval): where you would do that too, say "
            "trust_replies=True; accept='key' and reward='sparse' need no scorer"
        )


class _Given(dict):  # type: ignore[type-arg]
    """Settings as they were given; equal to any others, for a cache that knows them by their text."""

    def __hash__(self) -> int:  # type: ignore[override]
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Given)


class _Items:
    """The items of a generator by number, made when they are asked for; the latest are kept."""

    def __init__(self, generator: str, dataset: Any, generators: frozenset[str], size: int):
        self.generator, self.dataset, self.generators, self.size = generator, dataset, generators, size
        self._made = functools.lru_cache(maxsize=4096)(self._make)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: int) -> dict[str, Any]:
        return self._made(number)

    def _make(self, number: int) -> dict[str, Any]:
        """The item of a number; the next one where the generator fails to make it.

        Raises:
            RuntimeError: where it fails again and again.
        """
        failures: list[Exception] = []
        for place in range(number, number + MAX_TRIES):
            try:
                with global_generators(states_of(place % self.size)):  # from which a few of theirs draw, or seed them
                    return self.dataset[place % self.size]
            except Exception as error:
                failures.append(error)
                self.dataset.size = self.size  # word_ladder gives up for good
        raise RuntimeError(
            f"reasoning_gym/{self.generator} fails to make {MAX_TRIES} items in a row, from number {number} on: "
            f"{failures[-1]}"
        ) from failures[-1]


@functools.lru_cache(maxsize=64)
def _items(generator: str, level: int | None, key: str, settings: _Given) -> _Items:
    """The items of a generator; of the same settings, the same object.

    Raises:
        ImportError, ValueError: as :class:`ReasoningTask`.
    """
    factory = _factory()
    kind, config_class = factory.DATASETS[generator]
    given = dict(settings)
    generators = {generator}
    if generator == "composite":
        given["datasets"], inner = _parts(given.get("datasets"))
        generators |= inner
    size = min(FINITE.get(name, NUM_GOALS) for name in generators)
    try:
        config = _config(generator, config_class, level, {**given, "seed": 0, "size": size})
        with global_generators(states_of(0)):
            dataset = kind(config=config)
    except ImportError as error:
        raise _missing(error, f"reasoning_gym/{generator}") from error
    except (AssertionError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"reasoning_gym/{generator} refuses its settings {given!r:.200}: {error}") from error
    return _Items(generator, dataset, frozenset(generators), size)


def _config(generator: str, config_class: Any, level: int | None, given: Mapping[str, Any]) -> Any:
    """The generator's config, at a level of its curriculum."""
    if level is None:
        return config_class(**given)
    curricula = _factory().CURRICULA
    if generator not in curricula:
        raise ValueError(f"it has no curriculum, so level must be None, got {level!r}")
    curriculum = curricula[generator]()
    highest = max(len(attribute.levels) for attribute in curriculum.attributes.values()) - 1
    if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= highest:
        raise ValueError(f"level must be an int in [0, {highest}], got {level!r}")
    curriculum.set_global_level(level)
    return dataclasses.replace(curriculum.generate_configuration(), **given)


def _parts(datasets: Any) -> tuple[list[Any], set[str]]:
    """The parts of ``composite`` as its config wants them, and their names."""
    from reasoning_gym.composite import DatasetSpec

    parts = []
    for part in datasets or ():
        if not isinstance(part, Mapping) or "name" not in part or set(part) - {"name", "weight", "config"}:
            raise ValueError(
                'datasets must be a list of parts such as {"name": "gcd", "weight": 1, "config": {}}, got '
                f"{part!r:.80}"
            )
        if part["name"] not in _factory().DATASETS:
            raise ValueError(f"datasets names a generator that reasoning-gym does not have: {part['name']!r}")
        parts.append(DatasetSpec(part["name"], part.get("weight", 1), dict(part.get("config", {}))))
    if not parts:
        raise ValueError(
            'reasoning_gym/composite mixes other generators: give datasets=[{"name": "gcd", "weight": 1}, ...], got '
            f"{datasets!r}"
        )
    return parts, {part.name for part in parts}


# The answer in a reply


def answer_in(reply: str) -> str:
    """What stands in the last pair of tags, or all of the reply."""
    found = _ANSWER.findall(reply)
    return (found[-1] if found else reply).strip()


def in_tags(answer: str) -> str:
    """An answer as the instructions want it."""
    return f"<answer>{answer}</answer>"


def tidy(text: str) -> str:
    """A text without the spaces around it and at the ends of its lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def key_of(entry: Mapping[str, Any]) -> str | None:
    """The answer key of an item, or where it has none the example of an answer that some generators give."""
    if entry["answer"] is not None:
        return str(entry["answer"])
    metadata = entry["metadata"]
    found = metadata.get("example_correct_answer") or metadata.get("example_answer") or metadata.get("possible_answer")
    return found if isinstance(found, str) or not found else json.dumps(found)


def recite(observation: Any, info: Mapping[str, Any]) -> str:
    """The question, as an answer."""
    return in_tags(info["messages"][-1]["content"])


def claim_success(answer: str, observation: Any, info: Mapping[str, Any]) -> str:
    """The most frequent of a few training answers, whatever the question."""
    return in_tags(answer)


def _instructions(examples: Sequence[str]) -> str:
    """What to do, and the form of the answer by that of another item."""
    if not examples or len(examples[0]) > MAX_EXAMPLE_CHARS:
        return INSTRUCTIONS
    return f"{INSTRUCTIONS} The answer to another problem of this kind was:\n{in_tags(examples[0])}"


# The tasks by the names of the generators


def _factory() -> Any:
    """Their registry.

    Raises:
        ImportError: without the package or one that it needs.
    """
    try:
        import reasoning_gym.factory
    except ImportError as error:
        raise _missing(error, "reasoning_gym/...") from error
    return reasoning_gym.factory


def _missing(error: ImportError, what: str) -> ImportError:
    return ImportError(f'{what} needs {error.name}: pip install "dialogym[{EXTRA}]"', name=error.name)


@functools.cache
def task_of(generator: str) -> type[ReasoningTask]:
    """The task of a generator, whose keyword arguments are its settings.

    Raises:
        ImportError: without reasoning-gym.
        ValueError: if the installed version has no such generator.
    """
    factory = _factory()
    if generator not in factory.DATASETS:
        raise ValueError(f"the installed reasoning-gym has no generator {generator!r}; `pip install -U reasoning-gym`")
    _, config = factory.DATASETS[generator]
    own = [p for p in inspect.signature(ReasoningTask).parameters.values() if p.kind is not p.VAR_KEYWORD]
    settings = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=_default(field))
        for field in dataclasses.fields(config)
        if field.name not in OWN_SEED
    ]
    members = {
        "__module__": __name__, "__doc__": ReasoningTask.__doc__, "generator": generator,
        "name": f"reasoning_gym/{generator}", "__signature__": inspect.Signature([*own, *settings]),
    }  # fmt: skip
    return type(generator, (ReasoningTask,), members)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def __getattr__(name: str) -> Any:
    if name in REASONING_GYM:
        return task_of(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
