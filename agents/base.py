"""What every agent is: it acts, and some learn, save and load.

An agent plays one interface, "text" or "choices". It is made from an environment in any interface and plays, or learns
in, the same environment re-made in its own (:func:`in_interface`). The user's wrappers come along: what they do to
rewards and to the length of an episode counts, and one that cannot be put around the environment again is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from ..envs import Utterance, make_to_play, remake
from ..envs.core.make import OF_WHO_PLAYS, given_options, is_same, task_options
from ..envs.core.remake import time_limit_of
from ..envs.core.wrappers import WATCHERS
from .files import atomic_write, existing_folder
from .trust import check_trusted

LogRow: TypeAlias = dict[str, Any]
"""One row of a training log. Always there: "env_turns" (int, agent turns so far), "success" (float, share of the
rollout's conversations) and "return" (float, their mean return). Often: "progress" (float, the share of the training
that is over) and, where a validation ran, "validation" (float)."""

SomeAgent = TypeVar("SomeAgent", bound="Agent")
Log: TypeAlias = Callable[[LogRow], None]
Validate: TypeAlias = Callable[["Agent"], float]
Info: TypeAlias = Mapping[str, Any]

AGENT_FILE = "agent.json"
OF_THE_MACHINE = frozenset({"device"})
"""Settings that are not saved: an agent loads on a machine that lacks what it was trained on."""
BEST, LAST = "best", "last"
"""Folders of a checkpoint: the agent that validation chose, and where training stopped (what ``resume`` goes on from).
Each loads as an agent."""


class CutShort(str):
    """A reply that ended at the agent's longest length, and not where the agent would have ended it."""

    __slots__ = ()


def discard(row: LogRow) -> None:
    """The log of a caller who does not want one."""


@dataclasses.dataclass
class Budget:
    """What an agent has used up to learn; validation is not counted.

    Attributes:
        env_turns: agent turns played.
        tokens: that a language model learned from: all of a conversation, read and said, once for every pass over it;
            padding is not counted.
        seconds: wall-clock time.
        demonstrations: conversations it was shown.
    """

    env_turns: int = 0
    tokens: int = 0
    seconds: float = 0.0
    demonstrations: int = 0


@dataclasses.dataclass(frozen=True)
class NoConfig:
    """The configuration of an agent that has nothing to configure."""


class Agent(ABC):
    """Somebody who plays.

    Args:
        env: the environment it is made for, in any interface; or its id or spec.
        seed: of everything random in the agent.
        config: an instance of ``Config``; None takes the defaults.

    Attributes:
        name: what it is called in the registry and in reports.
        interface: "text" or "choices", what ``act`` reads and returns.
        learns: False where ``learn`` has nothing to do.
        plays_with: settings of how it plays, which :meth:`load` takes in place of those that it was trained with.
        spec: of the environment, or None where that was not made by ``gym.make``.
        task: the environment's ``Task``, or None where it has none.
        budget: what ``learn`` has used so far.

    Raises:
        TypeError: for a ``config`` of another agent.
    """

    name: ClassVar[str]
    interface: str = "text"
    learns: ClassVar[bool] = False
    plays_with: ClassVar[frozenset[str]] = frozenset()
    Config: ClassVar[type[Any]] = NoConfig

    def __init__(self, env: Any, seed: int = 0, config: Any = None):
        if config is not None and not isinstance(config, self.Config):
            raise TypeError(f"config of {self.name} must be a {self.Config.__name__}, got {config!r:.80}")
        self.seed = seed
        self.config = self.Config() if config is None else config
        self.budget = Budget()
        made = env if hasattr(env, "unwrapped") else make_to_play(env)
        self.spec: EnvSpec | None = made.spec
        self.task: Any = getattr(made.unwrapped, "task", None)

    @abstractmethod
    def act(self, observation: Any, info: Info) -> Any:
        """The action for one observation, as in evaluation: nothing is explored, nothing learned."""

    def act_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[Any]:
        """The actions for N observations; ``infos`` has a dict for each."""
        return [self.act(observation, info) for observation, info in zip(observations, infos, strict=True)]

    def value_batch(self, observations: Sequence[Any], infos: Sequence[Info]) -> list[float] | None:
        """What the agent expects of N conversations from here on, on its own scale; None where it has no critic."""
        return None

    def learn(
        self,
        env: Any,
        *,
        log: Log = discard,
        validate: Validate | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> None:
        """Learns in ``env``, and afterwards is the agent that validated best; without ``validate``, the last one.

        Args:
            env: where to learn, in any interface (its train split, normally).
            log: is handed rows of the training log, see ``LogRow``.
            validate: scores the agent as it is now, higher is better; called now and then to choose the best.
            checkpoint: a folder that gets the agents ``best`` and ``last``, so that an interrupted training can go on.
            resume: go on from ``checkpoint``; starts anew where it holds nothing.

        Raises:
            ValueError: for ``resume`` without ``checkpoint``.
            KeyboardInterrupt: when interrupted, after the checkpoint was written.
        """
        if resume and checkpoint is None:
            raise ValueError("resume=True needs the checkpoint folder to go on from, got checkpoint=None")

    # On disk

    def save(self, folder: str | Path) -> None:
        """Writes the agent into ``folder``, beside whatever it holds; each file atomically."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._save(folder)
        atomic_write(folder / AGENT_FILE, json.dumps(self.description(), indent=2) + "\n")

    def description(self) -> dict[str, Any]:
        """Its kind, seed, settings, budget and environment, as :meth:`save` writes them and a file gives them back."""
        config = {
            field.name: _in_json(getattr(self.config, field.name))
            for field in dataclasses.fields(self.config)
            if field.name not in OF_THE_MACHINE
        }
        description = {
            "agent": self.name,
            "seed": self.seed,
            "config": config,
            "budget": dataclasses.asdict(self.budget),
            "env": _describe(self.spec),
            **self._about(),
        }
        return json.loads(json.dumps(description, default=str))

    @classmethod
    def load(
        cls: type[SomeAgent], folder: str | Path, env: Any = None, trust: bool = False, **settings: Any
    ) -> SomeAgent:
        """The agent that ``save`` wrote.

        Args:
            folder: where it was saved; no pickle in it is loaded.
            env: what it shall play; None is the environment it was saved with.
            trust: whoever wrote the folder may name code to import and servers to talk to; see ``trust.py``.
            settings: of how it plays, of ``plays_with``, in place of those that it was saved with.

        Raises:
            ValueError: if ``folder`` holds another agent, or none, or does not say which environment it was made for,
                or names what ``trust`` is needed for; for settings that were of its training.
        """
        found = existing_folder(folder)
        description = read_description(folder)
        assert found is not None
        if description["agent"] != cls.name:
            raise ValueError(f"expected an agent {cls.name!r} in {folder}, got {description['agent']!r}")
        if settled := sorted(settings.keys() - cls.plays_with):
            can = f"only {', '.join(sorted(cls.plays_with))} can be others" if cls.plays_with else "none can be another"
            raise ValueError(f"{folder} holds an agent with the settings of its training: {can}, got {settled[0]}")
        if not trust:
            check_trusted(description, folder, with_env=env is None)
        if env is None:
            env = _remember(description["env"], folder)
        saved = {**description["config"], **settings}
        with loading():
            agent = cls(env, seed=description["seed"], config=_config_from_json(cls.Config, saved))
        agent.budget = Budget(**description["budget"])
        try:
            agent._load(found)
        except ValueError as e:
            made_for = (description["env"] or {}).get("id")
            if made_for is None or agent.spec is None or made_for == agent.spec.id:
                raise
            raise ValueError(f"the agent in {folder} was made for {made_for}, not for {agent.spec.id}: {e}") from e
        return agent

    @property
    def notice(self) -> str:
        """What there is to say before it learns, in one line; "" for nothing."""
        return ""

    def _about(self) -> dict[str, Any]:
        """What else shall stand in the description that ``save`` writes."""
        return {}

    def _save(self, folder: Path) -> None:  # noqa: B027
        """Writes what was learned; an agent that does not learn has nothing to write."""

    def _load(self, folder: Path) -> None:  # noqa: B027
        """Reads what ``_save`` wrote into this agent."""


_is_loading = ContextVar("_is_loading", default=False)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Agents that are made in this block take what they start from out of their folder."""
    token = _is_loading.set(True)
    try:
        yield
    finally:
        _is_loading.reset(token)


def is_loading() -> bool:
    """Whether the agent that is being made will be loaded from a folder: what it once started from may be gone."""
    return _is_loading.get()


def in_interface(env: Any, interface: str) -> gym.Env[Any, Any]:
    """``env`` itself where it shows ``interface`` or is none of ours, else the same environment re-made in it."""
    if isinstance(env, gym.vector.VectorEnv):
        return remake(env, interface=interface)
    if not isinstance(env, gym.Env):
        env = make_to_play(env)
    shown = _interface_of(env)
    return env if shown is None or shown == interface else remake(env, interface=interface)


def _interface_of(env: gym.Env[Any, Any]) -> str | None:
    core = getattr(env.unwrapped, "interface", None)
    return "tokens" if core == "text" and not isinstance(env.action_space, Utterance) else core


def read_description(folder: str | Path) -> dict[str, Any]:
    """What ``Agent.save`` wrote about the agent in ``folder``.

    Raises:
        ValueError: if no agent was saved there, or the file that says so is torn.
    """
    found = existing_folder(folder)
    path = None if found is None else found / AGENT_FILE
    if path is None or not path.is_file():
        inside = Path(folder) / "agent"  # where `dialogym train` saves it
        hint = f"; did you mean {str(inside)!r}?" if (inside / AGENT_FILE).is_file() else ""
        raise ValueError(f"expected a folder that an agent was saved to, got {folder}, which has no {AGENT_FILE}{hint}")
    try:
        return json.loads(path.read_text())
    except ValueError as e:
        raise ValueError(f"expected JSON in {path}, which is damaged: {e}") from e


def _in_json(value: Any) -> Any:
    """A setting as a file holds it; of data that is an object only what it is."""
    of_data = isinstance(value, list) and value and isinstance(value[0], Mapping)
    return (
        value
        if isinstance(value, (str, int, float, tuple, list, dict, Path, type(None))) and not of_data
        else (f"a {type(value).__name__}, which no file can hold")
    )


def _describe(spec: EnvSpec | None) -> dict[str, Any] | None:
    """Id, options and wrappers of an environment, or None where no file can hold them: a function as reward, say."""
    if spec is None or spec.id not in gym.registry:
        return None
    around = [dataclasses.asdict(one) for one in spec.additional_wrappers if one.entry_point not in WATCHERS]
    description: dict[str, Any] = {"id": spec.id, "options": given_options(spec)}
    if around:
        description["wrappers"] = around
    if time_limit_of(spec) is not None:
        description["max_episode_steps"] = time_limit_of(spec)
    try:
        faithful = json.loads(json.dumps(description)) == description
    except (TypeError, ValueError):
        return None
    return description if faithful and all(one["kwargs"] is not None for one in around) else None


def is_made_for(description: Mapping[str, Any], spec: EnvSpec | None) -> bool:
    """Whether an agent was made for an environment and its options, but for those that say how it is played.

    Args:
        description: as :func:`read_description` returns it.
        spec: of the environment; None is one that ``gym.make`` did not make.
    """
    made_for = description["env"]
    if made_for is None or spec is None:
        return False
    asked = {name: value for name, value in made_for["options"].items() if name not in OF_WHO_PLAYS}
    return made_for["id"] == spec.id and is_same(asked, task_options(spec))


def environment_of(folder: str | Path, trust: bool = False, **options: Any) -> gym.Env[Any, Any] | None:
    """The environment that a saved agent was made for, as it was then but for ``options``; None if it is not known.

    Args:
        folder: of the agent.
        trust: make it though the folder names code to run.
        **options: keyword arguments of ``gym.make`` that shall differ.

    Raises:
        FileNotFoundError, ValueError: as :meth:`Agent.load`.
    """
    description = read_description(folder)
    if description["env"] is None:
        return None
    if not trust:
        check_trusted(description, folder, with_env=True)
    made_for = description["env"]
    return _remember({**made_for, "options": {**made_for["options"], **options}}, folder)


def _remember(description: Mapping[str, Any] | None, folder: str | Path) -> gym.Env[Any, Any]:
    if description is None:
        raise ValueError(f"the agent in {folder} was made for an environment that no file can describe: pass env=")
    try:
        spec = gym.spec(description["id"])
    except gym.error.UnregisteredEnv as e:
        raise ValueError(
            f"the agent in {folder} was made for {description['id']!r}, which nobody has registered here: import the "
            f"module that does and pass env=, or --env MODULE:{description['id']} on the command line"
        ) from e
    options = {**spec.kwargs, **description["options"]}
    around = tuple(WrapperSpec(**one) for one in description.get("wrappers", ()))
    spec = dataclasses.replace(spec, kwargs=options, additional_wrappers=around)
    return make_to_play(spec, max_episode_steps=description.get("max_episode_steps"))


def _config_from_json(config: type[Any], values: Mapping[str, Any]) -> Any:
    """JSON has no tuples, so a list in it was one."""
    return config(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
