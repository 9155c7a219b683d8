"""What the commands share: where they print, the options that several take, and how arguments become objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import typer
from rich.console import Console

import dialogym  # registers the environments
from dialogym.envs import bridged_ids, is_bridged, make_to_play, task_class
from dialogym.envs.core.make import OF_WHO_PLAYS, given_options
from dialogym.rewards.suggestions import did_you_mean

console = Console()
errors = Console(stderr=True)
DEFAULT_ENV = "TextDialog-v0"
INTERRUPTED = 130
EnvOption = Annotated[str, typer.Option("--env", help="Id of a registered environment, or module:Name-v0.")]
PlayedEnvOption = Annotated[
    str | None,
    typer.Option("--env", help=f"Id of the environment. Default: a folder's own; {DEFAULT_ENV} for a name."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Keyword argument of the environment, such as noise=0.15; repeat."),
]
ConfigOption = Annotated[
    list[str] | None,
    typer.Option("--config", metavar="KEY=VALUE", help="Setting of the agent, such as learning_rate=3e-4; repeat."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
TrainingSeedOption = Annotated[
    int, typer.Option(min=0, help="Seed of the agent and its training; the goals it is scored on stay the same.")
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust", help="Load agents whose folder names code to import or a server to send your key to; docs/agents.md."
    ),
]
LogOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="TRACKER",
        help="Show the training in tensorboard or wandb too, beside --out/log.jsonl; repeat, or with a comma.",
    ),
]


def options_of(pairs: list[str] | None) -> dict[str, Any]:
    """``KEY=VALUE`` arguments as a dict; values are read as JSON where they are, else as text."""
    options: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"expected KEY=VALUE, got {pair!r}")
        options[key] = value_of(value)
    return options


def options_beside_split(pairs: list[str] | None) -> dict[str, Any]:
    """``--set`` of a command whose goals are those of ``--split``."""
    options = options_of(pairs)
    if "split" in options:
        raise ValueError(f"which goals are played is --split {options['split']}, got split in --set, which is ignored")
    return options


def value_of(text: str) -> Any:
    """Text as JSON where it is, else as it stands."""
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except json.JSONDecodeError:
        return text


def reward_of(text: str) -> Any:
    """``--reward``: a name, or the dict of a JSON object."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"--reward must be a name or JSON of names and weights, got {text!r}: {error}") from error


def make_env(env_id: str, **options: Any) -> gym.Env[Any, Any]:
    """The environment; an unknown id names the nearest right ones."""
    if ":" not in env_id and env_id not in gym.registry:
        hint = did_you_mean(env_id, [*known_ids(), *bridged_ids()], cutoff=0.3)
        known = [*known_ids(), *(f"{family}/*" for family in families())]
        raise ValueError(f"no environment {env_id!r}{hint or '.'} There are: {', '.join(known)}")
    return make_to_play(env_id, **options)


def env_for(
    agents: Sequence[str | None], env_id: str | None, options: dict[str, Any], trust: bool = False
) -> gym.Env[Any, Any]:
    """The environment that is asked for, else that of the first of ``agents`` that is a folder, with ``options``."""
    from dialogym.agents.base import environment_of

    folders = [agent for agent in agents if agent is not None and Path(agent).is_dir()]
    made = environment_of(folders[0], trust, **options) if folders and env_id is None else None
    return make_env(env_id or DEFAULT_ENV, **options) if made is None else made


def known_ids() -> list[str]:
    """Ids of all registered dialogym environments, a user's own among them and other projects' not."""
    known = (id for id, spec in gym.registry.items() if str(spec.entry_point).startswith("dialogym."))
    return sorted(id for id in known if not is_bridged(id))


def families() -> dict[str, int]:
    """Other projects whose tasks are environments here, and how many each has."""
    return Counter(id.partition("/")[0] for id in bridged_ids())


def task_of(id: str) -> Any:
    """The class of an id's task, or the task itself where a function makes it; a class needs no data."""
    try:
        return task_class(id)
    except TypeError:
        return core_of(gym.make(id, interface="text")).task


def core_of(env: gym.Env[Any, Any]) -> dialogym.TextEnv:
    """The environment inside the wrappers."""
    core = env.unwrapped
    assert isinstance(core, dialogym.TextEnv)
    return core


def player_of(agent: str, env: Any, seed: int, config: dict[str, Any] | None = None, trust: bool = False) -> Any:
    """The agent of a name and its settings, or of a folder, of which settings are those that it plays with."""
    from dialogym.agents.registry import agent_names, load_agent, make_agent

    if Path(agent).is_dir():
        player = load_agent(agent, env=env, trust=trust, **(config or {}))
        _tell_other_environment(agent, env)
        return player
    if agent not in agent_names() and (len(Path(agent).parts) > 1 or Path(agent).is_file()):
        found = "a file" if Path(agent).is_file() else "no folder"
        raise ValueError(f"expected the name of an agent or the folder of a trained one, got {agent!r}: {found}")
    return make_agent(agent, env, seed=seed, **(config or {}))


def _tell_other_environment(agent: str, env: gym.Env[Any, Any]) -> None:
    """Says where a trained agent plays another environment, or under other options, than it was trained in."""
    from dialogym.agents.base import is_made_for, read_description

    about, spec = read_description(agent), env.spec
    made_for = about["env"]
    if made_for is None or spec is None:  # one that no file can describe
        return
    if not is_made_for(about, spec):
        there, here = (_in_words(id, options) for id, options in (
            (made_for["id"], made_for["options"]), (spec.id, given_options(spec)),
        ))  # fmt: skip
        errors.print(
            f"{agent} was made for {there} and plays {here}: --env and --set choose another",
            soft_wrap=True, markup=False, highlight=False,
        )  # fmt: skip


def _in_words(id: str, options: Mapping[str, Any]) -> str:
    """An environment and those of its options that matter to whoever plays it."""
    own = {name: value for name, value in options.items() if name not in OF_WHO_PLAYS}
    return " with ".join([id, ", ".join(f"{name}={own[name]!r:.60}" for name in sorted(own))] if own else [id])
