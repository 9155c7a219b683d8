"""Agents by name. A module is imported when one of its agents is made, so that a name costs no torch."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import typing
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple

from ..rewards.suggestions import did_you_mean
from .base import Agent, read_description
from .trust import servers_in


class Entry(NamedTuple):
    """What is known about an agent before its module is imported.

    Attributes:
        target: "module:class".
        plays: its interface; "any" where the task decides.
        learns: whether ``learn`` does anything.
        about: one line for a list.
    """

    target: str
    plays: str
    learns: bool
    about: str


_HERE = "dialogym.agents"
_TABULAR = f"{_HERE}.tabular"
_LM = f"{_HERE}.language_model"
ENTRIES: dict[str, Entry] = {
    "do_nothing": Entry(f"{_HERE}.floors:DoNothingAgent", "text", False, "says nothing; a floor"),
    "random": Entry(f"{_HERE}.floors:RandomAgent", "any", False, "any reply that makes sense now; a floor"),
    "repeat_last": Entry(f"{_HERE}.floors:RepeatLastAgent", "text", False, "says what it was told last; a floor"),
    "inform_everything": Entry(f"{_HERE}.floors:InformEverythingAgent", "text", False, "recites all it can; a floor"),
    "claim_success": Entry(f"{_HERE}.floors:ClaimSuccessAgent", "text", False, "says that all is done; a floor"),
    "rule": Entry(f"{_HERE}.rule:RuleAgent", "any", False, "the rule that comes with the task; the ceiling"),
    "human": Entry(f"{_HERE}.human:HumanAgent", "text", False, "you, at the terminal"),
    "api": Entry(f"{_HERE}.api:ApiAgent", "text", False, "a served model: any OpenAI-compatible endpoint"),
    "q_learning": Entry(f"{_TABULAR}.q_learning:QLearningAgent", "choices", True, "Q-learning, a table"),
    "sarsa": Entry(f"{_TABULAR}.sarsa:SarsaAgent", "choices", True, "SARSA, a table"),
    "expected_sarsa": Entry(
        f"{_TABULAR}.expected_sarsa:ExpectedSarsaAgent", "choices", True, "expected SARSA, a table"
    ),
    "double_q_learning": Entry(
        f"{_TABULAR}.double_q_learning:DoubleQLearningAgent", "choices", True, "double Q-learning, two tables"
    ),
    "sb3_ppo": Entry(f"{_HERE}.sb3:SB3PPOAgent", "choices", True, "stable-baselines3's PPO"),
    "sb3_a2c": Entry(f"{_HERE}.sb3:SB3A2CAgent", "choices", True, "stable-baselines3's A2C"),
    "sb3_dqn": Entry(f"{_HERE}.sb3:SB3DQNAgent", "choices", True, "stable-baselines3's DQN"),
    "sb3_maskable_ppo": Entry(f"{_HERE}.sb3:SB3MaskablePPOAgent", "choices", True, "sb3-contrib's PPO with masks"),
    "sft": Entry(f"{_LM}.sft:SFTAgent", "text", True, "language model, supervised fine-tuning"),
    "reinforce": Entry(f"{_LM}.reinforce:ReinforceAgent", "text", True, "language model, REINFORCE with a baseline"),
    "a2c": Entry(f"{_LM}.a2c:A2CAgent", "text", True, "language model, advantage actor-critic"),
    "ppo": Entry(f"{_LM}.ppo:PPOAgent", "text", True, "language model, PPO over turns"),
    "grpo": Entry(
        f"{_LM}.grpo:GRPOAgent", "text", True, "language model, GRPO: groups of replies to one goal compared"
    ),
    "rloo": Entry(f"{_LM}.rloo:RLOOAgent", "text", True, "language model, REINFORCE leave-one-out within groups"),
    "bert": Entry(f"{_HERE}.bert:BertAgent", "text", True, "BERT-like classifier, for tasks with labelled texts"),
}
AGENTS: dict[str, str] = {name: entry.target for name, entry in ENTRIES.items()}
"""Name and "module:class" of each agent; put your own here to make it by name."""

_EXTRAS = {
    "torch": "lm",
    "transformers": "lm",
    "tokenizers": "lm",
    "safetensors": "lm",
    "stable_baselines3": "sb3",
    "sb3_contrib": "sb3",
}


def agent_names() -> list[str]:
    """Every name that :func:`make_agent` takes: floors first, then the rule, then those that learn."""
    return list(AGENTS)


def describe_agents() -> list[tuple[str, str, str, str]]:
    """Name, interface, whether it learns ("yes" or ""), and one line about each agent."""
    return [(name, entry.plays, "yes" if entry.learns else "", entry.about) for name, entry in ENTRIES.items()]


def agent_module(name: str) -> str:
    """The module that an agent is in; it is not imported."""
    return AGENTS[name].partition(":")[0]


def agent_class(name: str) -> type[Agent]:
    """The class of an agent.

    Raises:
        ValueError: for an unknown name, with the right ones.
        ImportError: for a missing optional package, with the extra that brings it.
    """
    if name not in AGENTS:
        hint = did_you_mean(str(name), list(AGENTS))
        raise ValueError(f"agent must be one of {', '.join(AGENTS)}, got {name!r}{hint}")
    module, _, attribute = AGENTS[name].partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as e:
        root = (e.name or "").partition(".")[0]
        if root not in _EXTRAS:
            raise
        raise ImportError(f'agent {name!r} needs {root}: pip install "dialogym[{_EXTRAS[root]}]"', name=e.name) from e


def make_agent(name: str, env: Any, seed: int = 0, **config: Any) -> Agent:
    """An agent, untrained, for an environment.

    Args:
        name: one of :func:`agent_names`.
        env: an environment in any interface, or its id or spec.
        seed: of everything random in the agent.
        **config: fields of the agent's ``Config`` that shall differ from their defaults.

    Raises:
        ValueError, ImportError: as :func:`agent_class`.
        TypeError: for a field that the agent's ``Config`` does not have, with the right ones.
    """
    kind = agent_class(name)
    return kind(env, seed=seed, config=kind.Config(**checked_options(f"agent {name!r}", kind.Config, config)))


def checked_options(what: str, config: type[Any], options: dict[str, Any]) -> dict[str, Any]:
    """``options`` when each is a field of a configuration, and of its type.

    Raises:
        TypeError: for one that is not, with the nearest right one, or what was expected and what came.
    """
    types = typing.get_type_hints(config)
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    fields = list(defaults)
    for option in options:
        if option not in fields:
            hint = did_you_mean(option, fields) or f"; it takes {', '.join(fields) or 'none'}"
            raise TypeError(f"{what} got an unexpected option {option!r}{hint}")
        if options[option] is None and defaults[option] is None:
            continue  # which says: as it is by default
        if not _is_of(types[option], options[option]):
            expected = getattr(types[option], "__name__", str(types[option]))
            raise TypeError(f"{what}: expected {expected} for {option}, got {options[option]!r:.80}")
    return options


def _is_of(kind: Any, value: Any) -> bool:
    """Whether a value is of a plain type or a union of such; types that are more than that are not looked at."""
    kinds = typing.get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if not set(kinds) <= {bool, int, float, str, type(None)}:
        return True
    return type(value) in kinds or (isinstance(value, int) and not isinstance(value, bool) and float in kinds)


def load_agent(folder: str | Path, env: Any = None, trust: bool = False, **settings: Any) -> Agent:
    """The agent that was saved in ``folder``, whichever it is; see :meth:`Agent.load`."""
    name = read_description(folder)["agent"]
    kind = agent_class(name)
    return kind.load(folder, env, trust, **checked_options(name, kind.Config, settings))


def agent_maker(who: str, interface: str = "text") -> Callable[[Any], Agent]:
    """What makes an agent for an environment: the one of a name, or else the one that was saved in a folder.

    Nothing is imported or loaded before it is called.

    Raises:
        ValueError: for neither a name nor such a folder, an agent that is known to play another interface, or a folder
            that names a server to talk to.
    """
    name = who
    if who not in AGENTS:
        description = read_description(who)
        if servers := servers_in(description.get("config", {})):
            raise ValueError(
                f"the agent in {who} names {' and '.join(servers)}: if you know who wrote that folder, load it with "
                "trust=True and give the agent itself"
            )
        name = description["agent"]
    if name in ENTRIES and ENTRIES[name].plays not in (interface, "any"):
        raise ValueError(f"expected an agent that plays the interface {interface!r}, and {name} does not")
    return functools.partial(make_agent, who) if who in AGENTS else functools.partial(load_agent, who)
