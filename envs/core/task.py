"""What can be wanted, and from whom: a task, its goals, and the partner of one conversation about a goal."""

from __future__ import annotations

import functools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple, SupportsIndex

from ...rewards.transcript import Line, Words
from ..data_files import Field
from ..speakers import Speaker, Steps
from .audit import AGENT, Mark
from .streams import Stream, Streams, pick

SPLITS = ("train", "validation", "test")
WORDS, DIGITS, LETTERS, SHIPPED = "words", "digits", "letters", "shipped"
VOCABULARIES = (WORDS, DIGITS, LETTERS, SHIPPED)
"""What a vocabulary for a task is made of; see ``Task.vocabulary``."""
NUM_GOALS = 2**31
"""Goals are numbered; the number is the seed that a goal is drawn from, and its ``str`` is the goal's id."""


class Policy(NamedTuple):
    """A policy that comes with a task: a floor, or the rule that declares the ceiling."""

    interface: str
    act: Callable[[Any, Mapping[str, Any]], Any]


class Partner(ABC):
    """The other side of one conversation, and the ground truth about it.

    Attributes:
        over: the conversation has ended.
        success: the ground truth; may be True only once the conversation is over.
        parts_done: finished parts of the task so far, for rewards that pay for them.
        audits: its own turns are read, so that ``audit`` and ``blame`` say something.
    """

    __slots__ = ()

    over: bool = False
    success: bool = False
    parts_done: int = 0
    audits: ClassVar[bool] = False

    @abstractmethod
    def open(self) -> Sequence[Line]:
        """What stands in the conversation before the agent's first turn."""

    @abstractmethod
    def hear(self, utterance: str) -> Sequence[Line]:
        """Answers the agent's utterance and updates ``over``, ``success`` and ``parts_done``."""

    def opening(self) -> Steps[Sequence[Line]] | None:
        """The steps of ``open`` of a partner whose words come from a speaker; None of one that has its own."""
        return None

    def hearing(self, utterance: str) -> Steps[Sequence[Line]] | None:
        """The steps of ``hear``, likewise."""
        return None

    def spoken(self, utterance: str) -> Words | None:
        """What ``utterance`` sounds like where that differs (placeholders filled); read before ``hear``."""
        return None

    def answers(self, utterance: str) -> bool:
        """Whether the partner itself answers ``utterance``, and no tool does; read before ``hear``."""
        return True

    # Tasks with a menu give these too.

    def summary(self) -> Sequence[int]:
        """What the agent has heard so far, one number for each entry of the task's ``summary_sizes``."""
        raise NotImplementedError(f"{type(self).__name__} has no menu: use interface='text' or 'tokens'")

    def allowed(self) -> bytes:
        """One 0 or 1 for each reply of the menu: 1 where it makes sense now."""
        raise NotImplementedError(f"{type(self).__name__} has no menu: use interface='text' or 'tokens'")

    def phrase(self, choice: int) -> str:
        """The words of one reply of the menu."""
        raise NotImplementedError(f"{type(self).__name__} has no menu: use interface='text' or 'tokens'")

    def choose(self, choice: int) -> tuple[Words, Words | None, Sequence[Line]]:
        """Plays one reply of the menu: its words, what they sound like (as ``spoken``), and the answer.

        The same conversation as ``hear(phrase(choice))``.
        """
        words = phrase_of(self, choice)
        return words, self.spoken(words), self.hear(words)

    def facts(self) -> dict[str, Any]:
        """What ``info`` says beside the common entries; fresh objects on every call."""
        return {}

    # Partners that are audited give these too.

    def audit(self) -> Sequence[Mark]:
        """What was wrong with its turns so far, by rules; see ``audit.py``."""
        return ()

    def blame(self) -> str:
        """Whose fault it is where the conversation has ended without success: a name of ``audit.SIDES``."""
        return AGENT


def phrase_of(partner: Partner, choice: int) -> str:
    """What :meth:`Partner.phrase` says.

    Raises:
        TypeError: for anything but a str.
    """
    words: Any = partner.phrase(choice)
    if not isinstance(words, str):
        raise TypeError(f"{type(partner).__name__}.phrase must return a str, the words of a reply, got {words!r:.80}")
    return words


MIN_GAP = 0.9
"""How far a rule stays above the floors, where a task's own ceiling and floor allow it."""


class Task(ABC):
    """What can be wanted, and from whom; holds data, no conversation.

    A subclass gives ``draw_goal`` and ``partner``; for the choices interface also ``menu`` and ``summary_sizes``.
    Keyword arguments of its ``__init__`` become keyword arguments of ``gym.make``.
    """

    name: ClassVar[str] = "task"
    version: ClassVar[int] = 1
    """Raise it when the same conversation would be judged otherwise: scores of different versions are not mixed."""
    max_reply_chars: ClassVar[int] = 500
    menu: ClassVar[tuple[str, ...]] = ()
    summary_sizes: ClassVar[tuple[int, ...]] = ()
    examples: ClassVar[tuple[str, ...]] = ()
    vocabulary: ClassVar[str] = WORDS
    """What the vocabulary of a small language model is fitted to: "words" of the conversations; also each of their
    "digits" or "letters" alone, where the task is about numbers or spelling; "shipped" is the one of the package."""
    instructions: str = ""
    """Opens the system message of every conversation: what a model that has never heard of the task needs to know."""
    num_parts: int = 0
    """Parts that a conversation can finish at most (``Partner.parts_done``); the default reward pays shares of them."""
    ceiling: ClassVar[float] = 1.0
    """Success that the task's rule policy reaches at least."""
    floor: ClassVar[float] = 0.05
    """Success that no floor agent exceeds."""
    min_gap: ClassVar[float | None] = None
    """How far the rule stays above the floors, at least; lower where chance alone succeeds, as between two labels.
    None: ``MIN_GAP``, or ``ceiling - floor`` where that is less."""
    policies: Mapping[str, Policy] = {}
    own_partner: ClassVar[str] = "rule"
    """What ``partner=`` calls the task's own partner: "rule", or "data" where its words come from data."""
    patience: ClassVar[int] = 1000
    """Draws in a row that bring no new goal, after which ``goal_ids`` takes a goal again."""
    max_draws: ClassVar[int] = 10_000
    """Goals of other splits in a row, after which a split counts as empty; the smaller splits have a tenth of them."""
    scarcity: ClassVar[str] = "the task needs more different goals"
    """What is to be said then."""
    extras: ClassVar[str] = ""
    """Extras of the package that bring the task's own data, as ``pip install "dialogym[...]"`` wants them."""
    data_fields: ClassVar[Mapping[str, Field]] = {}
    """What the task reads of a row of a user's own data."""
    fields: Mapping[str, str] = {}
    """The column of the user's own data that each field was taken from."""
    num_skipped: int = 0
    """Rows of it that were left out, with ``on_error="skip"``."""
    longest_item: int = 0
    """Characters of the longest item that a conversation shows; an observation has room for twice as many."""
    made_with: Mapping[str, Any] | None = None
    """Keyword arguments that make this task again; a task that gives them pickles as them, not as all of its data."""

    @abstractmethod
    def draw_goal(self, rng: random.Random) -> Mapping[str, Any]:
        """A goal drawn from ``rng`` alone."""

    @abstractmethod
    def partner(self, goal: Mapping[str, Any], streams: Streams, split: str) -> Partner:
        """Who the agent talks to about ``goal``; ``split`` chooses the wordings."""

    def person(self, streams: Streams, split: str, ask: Callable[[str], str]) -> Partner:
        """A partner whose words come from a person: ``ask`` is given what the agent said and returns the answer."""
        raise NotImplementedError(f"{self.name} has no seat for a person on the partner's side")

    def speaking_partner(self, goal: Mapping[str, Any], streams: Streams, split: str, speaker: Speaker) -> Partner:
        """A partner whose words come from a speaker, such as a language model, that is given the goal and the rules."""
        raise NotImplementedError(f"{self.name} has no seat for a model on the partner's side")

    def content(self, goal: Mapping[str, Any]) -> str:
        """Canonical text of a goal: equal goals, equal text. Splits and goal-list hashes are made from it.

        Raises:
            TypeError: for a goal that is no mapping.
        """
        if not isinstance(goal, Mapping):
            raise TypeError(f"{type(self).__name__}.draw_goal must return a dict, got {goal!r:.80}")
        return repr(sorted(goal.items()))

    def secrets(self, goal: Mapping[str, Any]) -> Sequence[str]:
        """Words that may reach the agent only through what the partner or a tool says."""
        return ()

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        """Gold replies, where the task has any."""
        return ()

    def another_reply(self, messages: Sequence[Mapping[str, str]], rng: random.Random) -> str:
        """A reply that makes sense after ``messages``, wise or not: what takes the rule's place in flawed
        demonstrations. By default one of ``examples``."""
        return rng.choice(self.examples or ("",))

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if self.made_with is None:
            return super().__reduce_ex__(protocol)
        return functools.partial(type(self), **self.made_with), ()

    def state_dict(self) -> dict[str, Any]:
        """What playing has changed, such as the level of a curriculum, for checkpoints: plain values, or nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:  # noqa: B027
        """Takes over what :meth:`state_dict` gave."""

    # Goals by number

    def goal(self, goal_id: str) -> Mapping[str, Any]:
        """The goal of an id.

        Raises:
            ValueError: if ``goal_id`` is not the text of a number in [0, NUM_GOALS).
        """
        if not isinstance(goal_id, str) or not goal_id.isascii() or not goal_id.isdigit() or int(goal_id) >= NUM_GOALS:
            raise ValueError(f"a goal id is the text of a number in [0, {NUM_GOALS}), got {goal_id!r}")
        return self.draw_goal(Stream(int(goal_id)))

    def goal_content(self, goal_id: str) -> str:
        """Canonical text of the goal of an id."""
        return self.content(self.goal(goal_id))

    def split_of(self, goal: Mapping[str, Any]) -> str:
        """The split a goal belongs to, by a hash of its content: 80 % train, 10 % validation, 10 % test."""
        bucket = blake2b(self.content(goal).encode(), digest_size=4).digest()[0] % 10
        return "test" if bucket == 0 else "validation" if bucket == 1 else "train"

    def sample_goal(self, seed: int, split: str) -> tuple[str, Mapping[str, Any]]:
        """Id and content of the goal of a split that ``seed`` stands for.

        Raises:
            ValueError: for a split that there is not, and if no goal falls into the split.
        """
        check_split(split)
        draw = Stream(0)
        for attempt in range(self.max_draws):
            number = pick(seed, attempt, NUM_GOALS)
            draw.seed(number)
            goal = self.draw_goal(draw)
            if self.split_of(goal) == split:
                return str(number), goal
        raise ValueError(
            f"{self.name}: none of {self.max_draws} goals that were drawn fell into the split {split!r} (8 of 10 go to "
            f"train, 1 to validation, 1 to test, by a hash of their content): {self.scarcity}"
        )

    def goal_ids(self, split: str, count: int, seed: int = 0) -> list[str]:
        """A frozen list of ``count`` goals of a split, different in content while the split has that many."""
        check_split(split)
        digest = blake2b(f"{self.name}/{split}/{seed}".encode(), digest_size=8).digest()
        rng = Stream(int.from_bytes(digest, "little"))
        chosen: list[str] = []
        seen: set[str] = set()
        misses = 0
        while len(chosen) < count:
            goal_id, goal = self.sample_goal(rng.getrandbits(62), split)
            content = self.content(goal)
            misses = misses + 1 if content in seen else 0
            if misses == 0 or misses > self.patience:
                seen.add(content)
                chosen.append(goal_id)
        return chosen


def check_split(split: str) -> None:
    """Raises ValueError for a split that there is not."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")


PartnerFactory = Callable[[Task, Mapping[str, Any], Streams, str], Partner]
"""Makes the other side of a conversation: given the task, a goal, the streams of randomness and the split."""
