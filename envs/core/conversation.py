"""The core of every environment: one task, one partner, one conversation.

A :class:`Task` knows what can be wanted and who the agent talks to; a :class:`Partner` is the other side of one
conversation and the ground truth about it; :class:`TextEnv` plays them under a reward, in words or from a menu of
choices. ``tokens.py`` shows the same episode as token ids, and ``vector.py`` plays many at once.
"""

from __future__ import annotations

import functools
import itertools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple, SupportsIndex

import gymnasium as gym
import numpy as np

from ...rewards import ComposedReward, resolve
from ...rewards.transcript import Line, Message, Transcript, Words, written_line
from ..data_files import Field
from .spaces import Utterance
from .streams import Stream, Streams, pick

SPLITS = ("train", "validation", "test")
MAX_CONVERSATION_CHARS = 100_000
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
    """

    __slots__ = ()

    over: bool = False
    success: bool = False
    parts_done: int = 0

    @abstractmethod
    def open(self) -> Sequence[Line]:
        """What stands in the conversation before the agent's first turn."""

    @abstractmethod
    def hear(self, utterance: str) -> Sequence[Line]:
        """Answers the agent's utterance and updates ``over``, ``success`` and ``parts_done``."""

    def spoken(self, utterance: str) -> Words | None:
        """What ``utterance`` sounds like where that differs (placeholders filled); read before ``hear``."""
        return None

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
        words = self.phrase(choice)
        return words, self.spoken(words), self.hear(words)

    def facts(self) -> dict[str, Any]:
        """What ``info`` says beside the common entries; fresh objects on every call."""
        return {}


class Task(ABC):
    """What can be wanted, and from whom; holds data, no conversation.

    A subclass gives ``draw_goal`` and ``partner``; for the choices interface also ``menu`` and ``summary_sizes``.
    Keyword arguments of its ``__init__`` become keyword arguments of ``gym.make``.
    """

    name: ClassVar[str] = "task"
    max_reply_chars: ClassVar[int] = 500
    menu: ClassVar[tuple[str, ...]] = ()
    summary_sizes: ClassVar[tuple[int, ...]] = ()
    examples: ClassVar[tuple[str, ...]] = ()
    instructions: str = ""
    """Opens the system message of every conversation: what a model that has never heard of the task needs to know."""
    ceiling: ClassVar[float] = 1.0
    """Success that the task's rule policy reaches at least."""
    floor: ClassVar[float] = 0.05
    """Success that no floor agent exceeds."""
    min_gap: ClassVar[float] = 0.9
    """How far the rule stays above the floors, at least; lower where chance alone succeeds, as between two labels."""
    policies: Mapping[str, Policy] = {}
    extras: ClassVar[str] = ""
    """Extras of the package that bring the task's own data, as ``pip install "dialogym[...]"`` wants them."""
    data_fields: ClassVar[Mapping[str, Field]] = {}
    """What the task reads of a row of a user's own data."""
    fields: Mapping[str, str] = {}
    """The column of the user's own data that each field was taken from."""
    num_skipped: int = 0
    """Rows of it that were left out, with ``on_error="skip"``."""
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

    def content(self, goal: Mapping[str, Any]) -> str:
        """Canonical text of a goal: equal goals, equal text. Splits and goal-list hashes are made from it."""
        return repr(sorted(goal.items()))

    def secrets(self, goal: Mapping[str, Any]) -> Sequence[str]:
        """Words that may reach the agent only through what the partner or a tool says."""
        return ()

    def references(self, goal: Mapping[str, Any]) -> tuple[str, ...]:
        """Gold replies, where the task has any."""
        return ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if self.made_with is None:
            return super().__reduce_ex__(protocol)
        return functools.partial(type(self), **self.made_with), ()

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
        """Id and content of the goal of a split that ``seed`` stands for."""
        draw = Stream(0)
        for attempt in itertools.count():
            number = pick(seed, attempt, NUM_GOALS)
            draw.seed(number)
            goal = self.draw_goal(draw)
            if self.split_of(goal) == split:
                return str(number), goal
        raise AssertionError("unreachable")

    def goal_ids(self, split: str, count: int, seed: int = 0) -> list[str]:
        """A frozen list of ``count`` goals of a split, different in content while the split has that many."""
        _check_split(split)
        digest = blake2b(f"{self.name}/{split}/{seed}".encode(), digest_size=8).digest()
        rng = Stream(int.from_bytes(digest, "little"))
        chosen: list[str] = []
        seen: set[str] = set()
        misses = 0
        while len(chosen) < count:
            goal_id, goal = self.sample_goal(rng.getrandbits(62), split)
            content = self.content(goal)
            misses = misses + 1 if content in seen else 0
            if misses == 0 or misses > 1000:
                seen.add(content)
                chosen.append(goal_id)
        return chosen


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")


class Conversation:
    """One conversation under one reward: what the single and the vector environment share.

    Args:
        task: what it is about.
        reward: scored after every agent turn.
        split: of the goals and the wordings.
        max_turns: agent turns before it is cut.
        prompt: instructions in place of the task's; None keeps those.
    """

    def __init__(self, task: Task, reward: ComposedReward, split: str, max_turns: int, prompt: str | None = None):
        self.task = task
        self.instructions = task.instructions if prompt is None else prompt
        self.reward = reward
        self.split = split
        self.max_turns = max_turns
        self.streams = Streams()
        self.transcript = Transcript()
        self.partner: Partner | None = None
        self.goal_id = ""
        self.clipped = False

    def begin(self, np_random: np.random.Generator, goal_id: str | None) -> None:
        """Starts over: on a given goal, or on one drawn from the split."""
        self.streams.reseed(int(np_random.integers(0, 2**62)))
        if goal_id is None:
            self.goal_id, goal = self.task.sample_goal(self.streams.goal, self.split)
        else:
            self.goal_id, goal = goal_id, self.task.goal(goal_id)
        self.clipped = False
        partner = self.partner = self.task.partner(goal, self.streams, self.split)
        transcript = self.transcript = Transcript(goal, self.task.references(goal), self.max_turns)
        transcript.extend(_instructed(self.instructions, partner.open()))

    def say(self, utterance: str) -> None:
        """One agent turn in words; an over-long utterance is cut at the limit and ``clipped`` says so."""
        partner = self.partner
        assert partner is not None
        limit = self.task.max_reply_chars
        self.clipped = len(utterance) > limit
        if self.clipped:
            utterance = utterance[:limit]
        self.transcript.append(("assistant", utterance), partner.spoken(utterance))
        self._answer(partner, partner.hear(utterance))

    def choose(self, choice: int) -> None:
        """One agent turn from the menu."""
        partner = self.partner
        assert partner is not None
        words, spoken, lines = partner.choose(choice)
        self.transcript.append(("assistant", words), spoken)
        self._answer(partner, lines)

    def _answer(self, partner: Partner, lines: Sequence[Line]) -> None:
        transcript = self.transcript
        transcript.extend(lines)
        transcript.turn += 1
        parts_done = partner.parts_done
        transcript.parts_done_now = parts_done - transcript.parts_done
        transcript.parts_done = parts_done
        transcript.success = partner.success
        transcript.ended = partner.over or transcript.turn >= self.max_turns

    @property
    def terminated(self) -> bool:
        """The conversation is over."""
        return self.partner is not None and self.partner.over

    @property
    def truncated(self) -> bool:
        """The turn limit cut it; never together with ``terminated``."""
        return self.transcript.ended and not self.terminated


def _instructed(instructions: str, opening: Sequence[Line]) -> list[Line]:
    """An opening behind the instructions; its own system line, what differs between conversations, follows them."""
    lines = list(opening)
    if not instructions:
        return lines
    if lines and lines[0][0] == "system":
        brief = lines.pop(0)[1]
        return [("system", f"{instructions}\n\n{brief if isinstance(brief, str) else brief()}"), *lines]
    return [("system", instructions), *lines]


class TextEnv(gym.Env[Any, Any]):
    """One task played against one partner, in words or from the task's menu.

    Observation: in words, the conversation so far, one ``role: text`` line per message (str); from the menu, what the
        agent has heard so far (int64 array, ``MultiDiscrete``).
    Action: the agent's next utterance (any str; cut at ``task.max_reply_chars``), or the number of a reply.
    Reward: ``reward`` on every agent turn; its terms are in ``info["reward_terms"]`` and add up to it.
    Episode end: terminates when the conversation is over; truncates after ``max_turns`` agent turns. The environment
        counts turns itself, because gymnasium's ``TimeLimit`` would set both flags on the last turn, and would count
        tokens where a step is a token.
    Info: "success" (bool, ground truth), "turn" (int), "task" (str, the goal's id; replay it with
        ``reset(options={"task": id})``), in words "messages" and "clipped", from the menu "action_mask".

    Args:
        task: what the conversation is about.
        interface: "text" or "choices".
        reward: anything :func:`dialogym.rewards.resolve` takes.
        split: "train", "validation" or "test", of goals and wordings.
        max_turns: agent turns before truncation.
        render_mode: None, "ansi" (render returns the conversation) or "human" (render prints it after each step).
        prompt: instructions for the agent in place of the task's, at the head of the system message.

    Raises:
        ValueError: for an unknown interface, split or render mode, or a limit below one.
        TypeError: for a prompt that is no str.
        gymnasium.error.InvalidAction: from ``step``, for an action of the wrong type or out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 4}  # noqa: RUF012 (gymnasium's name)

    def __init__(
        self,
        task: Task,
        interface: str = "text",
        reward: Any = "pydial",
        split: str = "train",
        max_turns: int = 20,
        render_mode: str | None = None,
        prompt: str | None = None,
    ):
        check_options(task, interface, split, max_turns, render_mode, self.metadata["render_modes"], prompt)
        self.task, self.interface, self.split = task, interface, split
        self.max_turns, self.render_mode = max_turns, render_mode
        self.reward = resolve(reward)
        self.conversation = Conversation(task, self.reward, split, max_turns, prompt)
        self.observation_space, self.action_space = spaces_of(task, interface)
        self._in_words = interface == "text"
        self._rendered = ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.conversation.begin(self.np_random, goal_option(options))
        self._rendered = ""
        if self.render_mode == "human":
            self._print_new()
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        conversation = self.conversation
        partner = conversation.partner
        if partner is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        if conversation.transcript.ended:
            raise gym.error.ResetNeeded("the conversation has ended: call reset() to start another")
        if self._in_words:
            conversation.say(check_utterance(action))
        else:
            conversation.choose(check_choice(action, len(self.task.menu)))
        transcript = conversation.transcript
        terms = self.reward.terms(transcript)
        info = self._info()
        info["reward_terms"] = terms
        if self.render_mode == "human":
            self._print_new()
        terminated = partner.over
        return self._observation(), float(sum(terms.values())), terminated, transcript.ended and not terminated, info

    # What the agent sees

    def _observation(self) -> Any:
        if self._in_words:
            return self._text()
        assert self.conversation.partner is not None
        return summary_array(self.conversation.partner.summary())

    def _info(self) -> dict[str, Any]:
        conversation = self.conversation
        transcript, partner = conversation.transcript, conversation.partner
        assert partner is not None
        info = partner.facts()
        info["success"] = transcript.success
        info["turn"] = transcript.turn
        info["task"] = conversation.goal_id
        if self._in_words:
            info["messages"] = transcript.messages
            info["clipped"] = conversation.clipped
        else:
            info["action_mask"] = mask_array(partner.allowed())
        return info

    def _text(self) -> str:
        return conversation_text(self.conversation.transcript)

    def action_masks(self) -> np.ndarray:
        """(K,) bool: which replies of the menu make sense now; the name sb3-contrib's MaskablePPO looks for."""
        if self._in_words:
            raise AttributeError("action_masks needs a menu: use interface='choices'")
        assert self.conversation.partner is not None
        return mask_array(self.conversation.partner.allowed()).astype(bool)

    # For evaluation and for people

    @property
    def transcript(self) -> Transcript:
        """The conversation as rewards see it."""
        return self.conversation.transcript

    @property
    def partner(self) -> Partner | None:
        """The other side of the current conversation; ground truth, not for agents."""
        return self.conversation.partner

    @property
    def messages(self) -> list[Message]:
        """The conversation so far, fresh objects on every read."""
        return self.conversation.transcript.messages

    def render(self) -> str | None:  # type: ignore[override]
        if self.render_mode == "ansi":
            return spoken_text(self.conversation.transcript)
        if self.render_mode == "human":
            self._print_new()
        return None

    def _print_new(self) -> None:
        text = spoken_text(self.conversation.transcript)
        new = text[len(self._rendered) :] if text.startswith(self._rendered) else text
        if new:
            print(new, end="", flush=True)
        self._rendered = text


def check_options(
    task: Task,
    interface: str,
    split: str,
    max_turns: int,
    render_mode: str | None,
    modes: Sequence[str],
    prompt: str | None = None,
) -> None:
    """Raises ValueError or TypeError for the first option that no environment of ``task`` can have."""
    if interface not in ("text", "choices"):
        raise ValueError(f"interface must be one of choices, text, tokens, got {interface!r}")
    if interface == "choices" and not task.menu:
        raise ValueError(f"{task.name} has no menu of replies: interface must be 'text' or 'tokens', got 'choices'")
    _check_split(split)
    if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
        raise ValueError(f"max_turns must be an int of at least 1, got {max_turns!r}")
    if render_mode not in (None, *modes):
        raise ValueError(f"render_mode must be None or one of {', '.join(modes)}, got {render_mode!r}")
    if prompt is not None and not isinstance(prompt, str):
        raise TypeError(f"prompt must be a str, the instructions for the agent, or None, got {prompt!r:.80}")


def spaces_of(task: Task, interface: str) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Observation and action space of a task in the text or the choices interface."""
    if interface == "choices":
        return gym.spaces.MultiDiscrete(list(task.summary_sizes)), gym.spaces.Discrete(len(task.menu))
    return (
        Utterance(MAX_CONVERSATION_CHARS),
        Utterance(10 * task.max_reply_chars, task.examples),
    )


def goal_option(options: Mapping[str, Any] | None) -> str | None:
    """The goal id that ``reset`` was asked for, if any; a misspelt option is an error."""
    if not options:
        return None
    unknown = sorted(set(options) - {"task"})
    if unknown:
        raise ValueError(f"reset understands the option 'task', got {', '.join(map(repr, unknown))}")
    return options["task"]


def summary_array(summary: Sequence[int]) -> np.ndarray:
    """(D,) int64, a fresh array of what :meth:`Partner.summary` says."""
    return _summary_array(tuple(summary)).copy()


def mask_array(allowed: bytes) -> np.ndarray:
    """(K,) int8, a fresh array of what :meth:`Partner.allowed` says."""
    return _mask_array(allowed).copy()


# The same few hundred summaries and masks come again and again, and copying an array is cheaper than making one.


@functools.lru_cache(maxsize=4096)
def _summary_array(summary: tuple[int, ...]) -> np.ndarray:
    return np.array(summary, dtype=np.int64)


@functools.lru_cache(maxsize=4096)
def _mask_array(allowed: bytes) -> np.ndarray:
    return np.frombuffer(allowed, dtype=np.int8)


def check_utterance(action: Any) -> str:
    """``action`` when it is a str; any text is legal."""
    if not isinstance(action, str):
        raise gym.error.InvalidAction(f"action must be a str, the agent's utterance, got {action!r:.80}")
    return action


def check_choice(action: Any, num_choices: int) -> int:
    """``action`` as an int in [0, num_choices)."""
    if type(action) is not int:
        if isinstance(action, np.ndarray) and action.ndim == 0:
            action = action[()]
        if not isinstance(action, (int, np.integer)) or isinstance(action, bool):
            raise gym.error.InvalidAction(f"action must be an int in [0, {num_choices}), got {action!r:.80}")
        action = int(action)
    if not 0 <= action < num_choices:
        raise gym.error.InvalidAction(f"action must be an int in [0, {num_choices}), got {action}")
    return action


def conversation_text(transcript: Transcript) -> str:
    """The conversation as the agent reads it: one ``role: text`` line per message, oldest first."""
    return transcript.written


def spoken_text(transcript: Transcript) -> str:
    """The conversation as people read it: placeholders filled."""
    return "".join([written_line(message["role"], message["content"]) for message in transcript.spoken_messages])
