"""What an agent achieves on a frozen list of goals, each under its own noise seed, the same for every agent."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from ..agents.base import Agent
from ..envs import Task, TextVectorEnv, make_to_play, playing, remake, remake_vec, spec_of
from ..envs.core.audit import Verdict
from ..envs.core.make import OF_WHO_PLAYS
from ..envs.core.task import SPLITS
from ..rewards.text.style import distinct_n
from ..rewards.transcript import Message, Transcript
from .blame import blame_of

Trial = tuple[str, int]
"""Id of a goal, and the noise seed it is tried under: user behaviour, wording and channel noise hang on it."""


class FrozenGoals(NamedTuple):
    """A list of goals to score on.

    Attributes:
        split: of the environment that it is from.
        goals: id and noise seed of each.
        hash: SHA-256 of the goals' contents and noise seeds, in hexadecimal; the same list, the same hash.
    """

    split: str
    goals: list[Trial]
    hash: str


def frozen_goals(env: Any, split: str = "test", count: int = 500, seed: int = 0, repeats: bool = False) -> FrozenGoals:
    """A list of ``count`` goals of a split; a longer list of the same split and seed begins alike.

    Args:
        env: an environment in any interface, or its id or spec.
        split: "train", "validation" or "test".
        count: how many; a split that has fewer different goals gives those alone, since what an agent does twice with
            the same goal are not two independent trials.
        seed: of the list.
        repeats: let goals come again, under other noise, where the split has fewer.
    """
    task = task_of(made(env))
    ids = task.goal_ids(split, count, seed)
    noise_seeds = np.random.SeedSequence([seed, SPLITS.index(split)]).generate_state(count).tolist()
    goals, contents = list(zip(ids, noise_seeds, strict=True)), [task.goal_content(goal_id) for goal_id in ids]
    places = range(count) if repeats else _first_places(contents)
    goals = [goals[place] for place in places]
    return FrozenGoals(split, goals, goals_hash(task, goals))


def check_enough(goals: FrozenGoals, num_runs: int, where: str) -> None:
    """Makes sure, before anything is trained, that several runs can be scored: one goal does not tell runs from chance.

    Args:
        goals: that runs are scored on.
        num_runs: training runs of an agent.
        where: the goals are from; it ends the error.

    Raises:
        ValueError: for several runs on fewer than 2 goals.
    """
    if num_runs > 1 and len(goals.goals) < 2:
        raise ValueError(
            f"several training runs need at least 2 {goals.split} goals, got {len(goals.goals)} {where}: ask for more "
            "goals or for one run"
        )


def _first_places(contents: Sequence[str]) -> list[int]:
    """Where each content comes first."""
    places: dict[str, int] = {}
    for place, content in enumerate(contents):
        places.setdefault(content, place)
    return list(places.values())


def goals_hash(task: Task, goals: Sequence[Trial]) -> str:
    """The hash of a list of goals: see :class:`FrozenGoals`."""
    listed = [[task.goal_content(goal_id), noise_seed] for goal_id, noise_seed in goals]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def with_noise(goals: Sequence[Trial], number: int) -> list[Trial]:
    """The same goals under other noise; 0 leaves them as they are."""
    if number == 0:
        return list(goals)
    return [(goal, int(np.random.SeedSequence([seed, number]).generate_state(1)[0])) for goal, seed in goals]


def made(env: Any, **options: Any) -> gym.Env[Any, Any]:
    """``env`` itself, or the environment of an id (with or without ``module:``) or spec; with other options, if any."""
    if isinstance(env, gym.Env):
        return remake(env, **{"interface": env.unwrapped.interface, **options}) if options else env  # type: ignore[attr-defined]
    return make_to_play(env, **options)


def check_not_settled(options: Mapping[str, Any]) -> None:
    """Raises ValueError for an option of the environment that training and scoring settle, so that it would be ignored.

    Args:
        options: keyword arguments of ``gym.make`` that a comparison is asked for.
    """
    for name in sorted(OF_WHO_PLAYS & options.keys()):
        why = "every agent plays in its own way"
        if name == "split":
            why = "agents learn from train goals, are chosen on validation goals and scored on test goals"
        raise ValueError(f"{name} cannot be set here: {why}, got {name}={options[name]!r:.80}")


def task_of(env: gym.Env[Any, Any]) -> Task:
    """The task of an environment.

    Raises:
        TypeError: if it has none.
    """
    task = getattr(env.unwrapped, "task", None)
    if not isinstance(task, Task):
        raise TypeError(f"expected an environment of a dialogym task, got {env!r}, which has no task")
    return task


@dataclass
class Kept:
    """One conversation, with all that a reward was told of its turns.

    Attributes:
        messages: role and content of each, as written, placeholders and all.
        spoken: what the agent's messages sound like where that differs, by their place, a number as text.
        turns: for each agent turn, how many messages there were after it, and how many parts were done.
        success: the ground truth.
        ended: whether its last turn was so to the reward, as when the task's turn limit cuts it.
        audit: what was wrong with the partner's turns, each with turn, kind and what; None of one that is not audited.
        blame: whose fault a failure is: "agent", "partner" or "environment"; None for none, or without an audit.
        filled: for each agent turn, what the conversation had by then filled into its goal, such as the price of a
            deal, by the entry's name; empty where it never did, None of a version that did not keep it.
    """

    messages: list[list[str]]
    spoken: dict[str, str]
    turns: list[list[int]]
    success: bool
    ended: bool
    audit: list[dict[str, Any]] | None = None
    blame: str | None = None
    filled: list[dict[str, Any]] | None = None

    @classmethod
    def of(
        cls,
        transcript: Transcript,
        turns: list[list[int]],
        verdict: Verdict | None = None,
        filled: Sequence[Mapping[str, Any]] = (),
    ) -> Kept:
        """What is kept of a conversation that is over."""
        written, spoken = transcript.messages, transcript.spoken_messages
        differing = {
            str(place): heard["content"]
            for place, (said, heard) in enumerate(zip(written, spoken, strict=True))
            if said["content"] != heard["content"]
        }
        messages = [[message["role"], message["content"]] for message in written]
        judged = {} if verdict is None else verdict.in_info()
        judged["filled"] = list(map(dict, filled)) if any(filled) else []
        return cls(messages, differing, turns, bool(transcript.success), bool(transcript.ended), **judged)


def in_json(goal: Mapping[str, Any]) -> dict[str, str]:
    """The entries of a goal as JSON has them, those left out that it cannot hold."""
    found = {}
    for name, value in goal.items():
        with contextlib.suppress(TypeError, ValueError):
            found[name] = json.dumps(value)
    return found


@dataclass
class Scores:
    """How G conversations went; every array is in the order of the goals.

    Attributes:
        success: (G,) bool, ground truth.
        returns: (G,) float, sums of the environment's rewards.
        turns: (G,) int, agent turns.
        invalid_rate: share of agent turns that the task does not take as they are: a reply of the menu that makes no
            sense now, or an empty or over-long utterance.
        replies: everything the agent said.
        conversations: as people read them (placeholders filled).
        kept: the conversations with all that rewards were told of them.
        values: (G,) what the agent expected when each began, on its own scale; None where it has no critic.
    """

    success: np.ndarray
    returns: np.ndarray
    turns: np.ndarray
    invalid_rate: float
    replies: list[str] = field(repr=False)
    conversations: list[list[Message]] = field(repr=False)
    kept: list[Kept] = field(repr=False, default_factory=list)
    values: np.ndarray | None = field(repr=False, default=None)

    def distinct_n(self, n: int = 2, num_replies: int = 1000) -> float:
        """Different n-grams over all n-grams of the first ``num_replies`` replies.

        The number is fixed because the measure falls with it.
        """
        return distinct_n(self.replies[:num_replies], n)

    def blame(self) -> dict[str, Any] | None:
        """Whose fault the failures are; see :func:`~dialogym.evaluation.blame.blame_of`."""
        return blame_of([(one.audit, one.blame) for one in self.kept])


def score(
    agent: Agent,
    env: Any,
    goals: Sequence[Trial],
    *,
    split: str = "test",
    batch_size: int = 128,
    progress: Callable[[int], None] = lambda num_goals: None,
) -> Scores:
    """Plays every goal once, ``batch_size`` conversations side by side.

    Args:
        agent: who plays.
        env: an environment in any interface, or its id or spec; it is re-made in the agent's interface, wrappers and
            all, as for learning: a time limit ends conversations, and returns are of the rewards that it gives.
        goals: id and noise seed of each conversation.
        split: that the partner's wordings are taken from.
        batch_size: conversations at a time.
        progress: is told how many goals are over.

    Raises:
        ValueError: if ``goals`` is empty, or for a wrapper that cannot be put around the environment again.
        gymnasium.error.InvalidAction: for an action of the agent's that the environment does not take.
    """
    if not goals:
        raise ValueError("goals must not be empty")
    num_rows = min(batch_size, len(goals))
    env = made(env)
    envs = remake_vec(env, num_rows, interface=agent.interface, split=split, autoreset_mode="Disabled")
    try:
        with playing(agent):
            return _Scoring(agent, envs, goals, spec_of(env).id).run(progress)
    finally:
        envs.close()


class _Scoring:
    """One pass over the goals: rows of the vector environment take the next goal as soon as they are free."""

    def __init__(self, agent: Agent, envs: TextVectorEnv, goals: Sequence[Trial], env_id: str):
        self.agent, self.envs, self.goals, self.env_id = agent, envs, goals, env_id
        self.success = np.zeros(len(goals), dtype=bool)
        self.returns = np.zeros(len(goals))
        self.turns = np.zeros(len(goals), dtype=np.int64)
        self.replies: list[list[str]] = [[] for _ in goals]
        self.conversations: list[list[Message]] = [[] for _ in goals]
        self.kept: list[Kept | None] = [None] * len(goals)
        self.marks: list[list[list[int]]] = [[] for _ in goals]  # messages and finished parts after each turn
        self.drawn: dict[int, dict[str, str]] = {}  # the goals of conversations that go on, before anything was said
        self.filled: list[list[dict[str, Any]]] = [[] for _ in goals]
        self.num_invalid = 0
        self.values: list[float | None] = [None] * len(goals)

    def run(self, progress: Callable[[int], None]) -> Scores:
        envs = self.envs
        waiting = iter(range(len(self.goals)))
        playing: list[int | None] = [None] * envs.num_envs  # the number of the goal in each row
        observations, infos = self._seat(waiting, playing)
        num_over = 0
        while any(number is not None for number in playing):
            rows = [row for row, number in enumerate(playing) if number is not None]
            actions = self._act(rows, observations, infos, playing)
            observations, rewards, terminated, truncated, infos = envs.step(actions)
            transcripts = envs.transcripts
            for row in rows:
                number: Any = playing[row]
                self.returns[number] += rewards[row]
                self.marks[number].append([len(transcripts[row]), int(transcripts[row].parts_done)])
                self._note_goal(number, transcripts[row].goal)
            freed = [row for row in rows if terminated[row] or truncated[row]]
            for row in freed:
                self._note(playing[row], transcripts[row], envs.conversations[row].verdict())
                playing[row] = None
            if freed:
                num_over += len(freed)
                progress(num_over)
                observations, infos = self._seat(waiting, playing) or (observations, infos)
        return self._scores()

    def _seat(self, waiting: Iterator[int], playing: list[int | None]) -> Any:
        """Gives a goal to every free row while there are goals; None when there was none left."""
        size = len(playing)
        mask, seeds = np.zeros(size, dtype=bool), [0] * size
        ids: list[str | None] = [None] * size
        for row in [row for row, number in enumerate(playing) if number is None]:
            number = next(waiting, None)
            if number is not None:
                playing[row], mask[row] = number, True
                ids[row], seeds[row] = self.goals[number]
        if not mask.any():
            return None
        return self.envs.reset(seed=seeds, options={"reset_mask": mask, "goal_id": ids})

    def _act(self, rows: list[int], observations: Any, infos: dict[str, Any], playing: Sequence[Any]) -> list[Any]:
        """One action for each row that plays, None for the others."""
        seen = [observations[row] for row in rows]
        told = [row_info(self.envs, infos, row) for row in rows]
        actions: list[Any] = [None] * self.envs.num_envs
        fresh = [place for place, row in enumerate(rows) if not self.marks[playing[row]]]
        value_batch = getattr(self.agent, "value_batch", None)  # anything that acts is scored, with a critic or without
        values = value_batch([seen[p] for p in fresh], [told[p] for p in fresh]) if value_batch and fresh else None
        for place, value in zip(fresh, values or (), strict=False):
            self.values[playing[rows[place]]] = value
        for row, info, action in zip(rows, told, self._said(seen, told), strict=True):
            actions[row] = action
            self.num_invalid += self._is_invalid(action, info)
        return actions

    def _said(self, observations: list[Any], infos: list[dict[str, Any]]) -> list[Any]:
        """What the agent does in each of some conversations.

        Raises:
            ValueError: for another number of actions.
            gymnasium.error.InvalidAction: for one that the environment does not take, with whose it is.
        """
        actions = list(self.agent.act_batch(observations, infos))
        name = getattr(self.agent, "name", type(self.agent).__name__)
        where = f"agent {name} in {self.env_id}, interface {self.envs.interface!r}"
        if len(actions) != len(infos):
            raise ValueError(f"{where}: act_batch must return {len(infos)} actions, one each, got {len(actions)}")
        for action in actions:
            try:
                self.envs.check_action(action)
            except gym.error.InvalidAction as e:
                raise gym.error.InvalidAction(f"{where}: {e}") from e
        return actions

    def _is_invalid(self, action: Any, info: dict[str, Any]) -> bool:
        if "action_mask" in info:
            return not info["action_mask"][int(action)]
        return not action.strip() or len(action) > self.envs.task.max_reply_chars

    def _note_goal(self, number: int, goal: Mapping[str, Any]) -> None:
        """Notes what the conversation has filled into its goal so far, which rewards may read."""
        if number not in self.drawn:
            self.drawn[number] = in_json(self.envs.task.goal(self.goals[number][0]))
        drawn = self.drawn[number]
        filled = {name: text for name, text in in_json(goal).items() if text != drawn.get(name)}
        self.filled[number].append({name: json.loads(text) for name, text in filled.items()})

    def _note(self, number: Any, transcript: Transcript, verdict: Verdict | None) -> None:
        self.success[number] = transcript.success
        self.turns[number] = transcript.turn
        self.replies[number] = transcript.replies
        self.conversations[number] = transcript.spoken_messages
        self.kept[number] = Kept.of(transcript, self.marks[number], verdict, self.filled[number])
        del self.drawn[number]

    def _scores(self) -> Scores:
        invalid_rate = self.num_invalid / int(self.turns.sum())
        replies = [reply for conversation in self.replies for reply in conversation]
        kept = [one for one in self.kept if one is not None]
        values = None if None in self.values else np.array(self.values, dtype=float)
        return Scores(self.success, self.returns, self.turns, invalid_rate, replies, self.conversations, kept, values)


def row_info(envs: TextVectorEnv, infos: dict[str, Any], row: int) -> dict[str, Any]:
    """What the single environment would say in ``info`` where row ``row`` stands."""
    info = envs.conversations[row].facts()
    for name in ("messages", "action_mask"):
        if name in infos:
            info[name] = infos[name][row]
    if "messages" in infos:
        info["clipped"] = envs.conversations[row].clipped
    return info
