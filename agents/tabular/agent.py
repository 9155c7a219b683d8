"""What the tabular agents share: the table, its file, and the chores around learning. The algorithms are in their own
files, as the boxes of Sutton & Barto (2018), http://incompleteideas.net/book/the-book-2nd.html.

We differ from the book in two ways: only the actions that the environment's ``info["action_mask"]`` allows are chosen
or counted in a maximum or an expectation, and the step size of a pair falls with the visits to that pair.
"""

from __future__ import annotations

import dataclasses
import json
import random
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import gymnasium as gym
import numpy as np

from ..base import LAST, Budget, Info, LogRow, in_interface
from ..files import atomic_folder, atomic_write, existing_folder
from ..training.learner import Learner, Training
from ..training.resuming import check_resumable
from ..training.selection import Selection
from .exploration import EpsilonGreedy, Exploration, Softmax, greedy

State: TypeAlias = tuple[int, ...]

EXPLORATIONS: Mapping[str, type[EpsilonGreedy] | type[Softmax]] = {"epsilon_greedy": EpsilonGreedy, "softmax": Softmax}
TRAINING_FILE = "training.json"


@dataclasses.dataclass(frozen=True)
class TabularConfig:
    """The whole configuration of a tabular agent.

    Attributes:
        env_turns: agent turns that one ``learn`` learns from; the conversation under way is finished.
        gamma: discount per turn, in [0, 1].
        step_size: of the first visit of a pair, in (0, 1].
        step_size_decay: the n-th visit takes a step of step_size * n ** -step_size_decay; 0 keeps it constant, and in
            (0.5, 1] it meets the conditions of Sutton & Barto (2018), equation 2.7.
        min_step_size: but never less than this, in [0, 1].
        initial_value: of a pair never tried.
        exploration: "epsilon_greedy" or "softmax".
        explore_start, explore_end: epsilon or temperature at the start and at the end of its line; None is the default
            of the exploration.
        explore_until: the share of training over which it goes from start to end, in (0, 1].
        num_reports: log rows, validations and checkpoints, evenly spaced.
    """

    env_turns: int = 300_000
    gamma: float = 0.99
    step_size: float = 1.0
    step_size_decay: float = 0.7
    min_step_size: float = 0.02
    initial_value: float = 0.0
    exploration: str = "epsilon_greedy"
    explore_start: float | None = None
    explore_end: float | None = None
    explore_until: float = 0.8
    num_reports: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must be in [0, 1], got {self.gamma}")
        if not 0 < self.step_size <= 1:
            raise ValueError(f"step_size must be in (0, 1], got {self.step_size}")
        if not 0 <= self.min_step_size <= 1:
            raise ValueError(f"min_step_size must be in [0, 1], got {self.min_step_size}")
        if self.step_size_decay < 0:
            raise ValueError(f"step_size_decay must not be negative, got {self.step_size_decay}")
        if self.exploration not in EXPLORATIONS:
            raise ValueError(f"exploration must be one of {', '.join(EXPLORATIONS)}, got {self.exploration!r}")
        if not 0 < self.explore_until <= 1:
            raise ValueError(f"explore_until must be in (0, 1], a share of training, got {self.explore_until}")
        for name in ("env_turns", "num_reports"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def new_exploration(self) -> Exploration:
        """The schedule, at its start."""
        ends = {"start": self.explore_start, "end": self.explore_end}
        given = {name: value for name, value in ends.items() if value is not None}
        return EXPLORATIONS[self.exploration](until=self.explore_until, **given)


class ActionValues(dict[State, list[float]]):
    """Q: for each state, the estimated return of each action. A state never seen has ``initial_value`` everywhere.

    Plain lists, because reading one number from a numpy array costs several times as much.

    Args:
        num_actions: K.
        config: for the initial value and the step sizes.
    """

    def __init__(self, num_actions: int, config: TabularConfig):
        super().__init__()
        self.num_actions, self.initial_value = num_actions, config.initial_value
        self.step_size, self.decay, self.min_step_size = (
            config.step_size,
            config.step_size_decay,
            config.min_step_size,
        )
        self.visits: dict[State, list[int]] = {}

    def __missing__(self, state: State) -> list[float]:
        self.visits[state] = [0] * self.num_actions
        values = self[state] = [self.initial_value] * self.num_actions
        return values

    def peek(self, state: State) -> Sequence[float]:
        """The values of a state, which is not added to the table by looking."""
        return self.get(state) or [self.initial_value] * self.num_actions

    def update(self, state: State, action: int, target: float) -> None:  # type: ignore[override]
        """Q(s, a) <- Q(s, a) + step size * (target - Q(s, a))."""
        values = self[state]
        visits = self.visits[state]
        visits[action] += 1
        step_size = max(self.min_step_size, self.step_size * visits[action] ** -self.decay)
        values[action] += step_size * (target - values[action])

    def to_json(self, names: Sequence[str]) -> str:
        """One line per state: its numbers, and value and number of visits of each action tried there."""
        lines = []
        for state in sorted(self):
            tried = {
                names[action]: [value, visits]
                for action, (value, visits) in enumerate(zip(self[state], self.visits[state], strict=True))
                if visits
            }
            lines.append(json.dumps({"state": list(state), "tried": tried}))
        head = json.dumps({"initial_value": self.initial_value, "actions": list(names)})
        return f'{{"head": {head},\n"states": [\n' + ",\n".join(lines) + "\n]}\n"

    def read_json(self, text: str, expected: Sequence[str], length: int) -> None:
        """Takes over what ``to_json`` wrote.

        Args:
            text: what it wrote.
            expected: names of the actions.
            length: numbers of a state.

        Raises:
            ValueError: if it was written for other actions, or for states of another length.
        """
        written = json.loads(text)
        names = written["head"]["actions"]
        if len(names) != self.num_actions:
            raise ValueError(f"expected a table of {self.num_actions} actions, got one of {len(names)}")
        for number, (name, own) in enumerate(zip(names, expected, strict=True)):
            if name != own:
                raise ValueError(f"expected a table whose action {number} is {own!r}, got one where it is {name!r}")
        lengths = {len(line["state"]) for line in written["states"]}
        if lengths - {length}:
            raise ValueError(f"expected a table of states of {length} numbers, got one of {min(lengths - {length})}")
        numbers = {name: number for number, name in enumerate(names)}
        self.clear()
        self.visits.clear()
        for line in written["states"]:
            state = tuple(line["state"])
            values, visits = self[state], self.visits[state]
            for name, (value, count) in line["tried"].items():
                values[numbers[name]], visits[numbers[name]] = value, count


class EpisodeSummary(NamedTuple):
    """What the log wants to know about one conversation."""

    turns: int
    total_reward: float
    success: bool


class TabularAgent(Learner):
    """An agent whose knowledge is a table; a subclass is one algorithm, its ``play_episode``.

    Plays every environment whose observations are ``MultiDiscrete`` or ``Discrete`` and whose actions are ``Discrete``.

    Raises:
        ValueError: for an environment with other spaces.
    """

    interface = "choices"
    Config = TabularConfig
    config: TabularConfig
    num_tables: ClassVar[int] = 1

    def __init__(self, env: Any, seed: int = 0, config: TabularConfig | None = None):
        super().__init__(env, seed, config)
        own = in_interface(env, self.interface)
        spaces = gym.spaces
        if not isinstance(own.action_space, spaces.Discrete) or own.action_space.start != 0:
            raise ValueError(f"{self.name} needs actions of Discrete(K), got {own.action_space}")
        if not isinstance(own.observation_space, (spaces.MultiDiscrete, spaces.Discrete)):
            raise ValueError(f"{self.name} needs MultiDiscrete or Discrete observations, got {own.observation_space}")
        self.num_actions = int(own.action_space.n)
        self.state_length = own.observation_space.shape[0] if own.observation_space.shape else 1
        menu = getattr(self.task, "menu", ())
        self.action_names = list(menu) or [str(action) for action in range(self.num_actions)]
        self.tables = [ActionValues(self.num_actions, self.config) for _ in range(self.num_tables)]
        self.exploration = self.config.new_exploration()
        self.random = random.Random(seed)
        self._turns = 0  # of this training; the budget holds those of earlier ones too
        self._all = list(range(self.num_actions))
        self._allowed_by_mask: dict[bytes, list[int]] = {}

    @abstractmethod
    def play_episode(self, env: gym.Env[Any, Any], seed: int | None) -> EpisodeSummary:
        """Plays one conversation and learns from every turn: the algorithm.

        Args:
            env: shows the choices interface.
            seed: for ``env.reset``; None goes on with the environment's own stream.
        """

    # What the algorithms call

    def allowed(self, info: Info) -> list[int]:
        """The actions that make sense now; all of them where the environment has no mask, or an empty one."""
        mask = info.get("action_mask")
        if mask is None:
            return self._all
        key = mask.tobytes()
        allowed = self._allowed_by_mask.get(key)
        if allowed is None:
            allowed = self._allowed_by_mask[key] = np.flatnonzero(mask).tolist() or self._all
        return allowed

    def values(self, state: State) -> Sequence[float]:
        """What the agent acts on: Q(s, .)."""
        return self.tables[0].peek(state)

    # Agent

    def act(self, observation: Any, info: Info) -> int:
        return greedy(self.values(state_of(observation)), self.allowed(info))

    def value_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[float]:
        """The value of the best reply that makes sense, the discounted return that it expects."""
        found = []
        for observation, info in zip(observations, infos, strict=True):
            values = self.values(state_of(observation))
            found.append(float(max(values[action] for action in self.allowed(info))))
        return found

    def train(self, env: Any, training: Training) -> None:
        """A training that was interrupted and resumed ends with the very table of one that was not: it goes back to the
        last report, and every stretch between reports has its own random stream.
        """
        env = in_interface(env, self.interface)
        with training.begin() as (folder, selection):
            self._turns = 0
            last = None if training.checkpoint is None else folder / LAST
            if not (training.resume and self._resume(folder, selection)):
                self._checkpoint(last, selection)
            while self._turns < self.config.env_turns:
                row = self._train(env)
                row.update(selection.keep_best())
                self._checkpoint(last, selection)
                training.log(row)

    def _train(self, env: gym.Env[Any, Any]) -> LogRow:
        """Learns until the next report is due."""
        config, began, turns = self.config, time.perf_counter(), self._turns
        report = int(turns * config.num_reports / config.env_turns) + 1
        goal = min(config.env_turns, -(-report * config.env_turns // config.num_reports))
        self.random = random.Random(f"{self.seed}/{self.budget.env_turns}")
        seed: int | None = self.random.getrandbits(31)
        episodes: list[EpisodeSummary] = []
        while turns < goal:
            self.exploration.anneal(turns / config.env_turns)
            episode = self.play_episode(env, seed)
            episodes.append(episode)
            turns += episode.turns
            seed = None
        self.budget.env_turns += turns - self._turns
        self._turns = turns
        self.budget.seconds += time.perf_counter() - began
        return {
            "env_turns": self.budget.env_turns,
            "success": sum(episode.success for episode in episodes) / len(episodes),
            "return": sum(episode.total_reward for episode in episodes) / len(episodes),
            "turns": sum(episode.turns for episode in episodes) / len(episodes),
            "episodes": len(episodes),
            "states": len(self.tables[0]),
            "seconds": self.budget.seconds,
            "progress": min(1.0, turns / config.env_turns),
        }

    # On disk

    def _save(self, folder: Path) -> None:
        for number, table in enumerate(self.tables, start=1):
            atomic_write(folder / f"table_{number}.json", table.to_json(self.action_names))

    def _load(self, folder: Path) -> None:
        for number, table in enumerate(self.tables, start=1):
            table.read_json((folder / f"table_{number}.json").read_text(), self.action_names, self.state_length)

    def _checkpoint(self, folder: Path | None, selection: Selection) -> None:
        if folder is None:
            return
        with atomic_folder(folder) as draft:
            self.save(draft)
            budget = dataclasses.asdict(self.budget)
            state = {"turns": self._turns, "best": selection.score, "budget": budget}
            atomic_write(draft / TRAINING_FILE, json.dumps(state) + "\n")

    def _resume(self, folder: Path, selection: Selection) -> bool:
        last = existing_folder(folder / LAST)
        if last is None:
            return False
        check_resumable(self, last)
        state = json.loads((last / TRAINING_FILE).read_text())
        self._turns, selection.score, self.budget = state["turns"], state["best"], Budget(**state["budget"])
        self._load(last)
        return True


def state_of(observation: Any) -> State:
    """The observation as a key: a tuple of ints."""
    return tuple(observation.tolist()) if isinstance(observation, np.ndarray) else (int(observation),)
