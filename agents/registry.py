"""Agents by name. A module is imported when one of its agents is made, so that a name costs no torch."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from pathlib import Path
from typing import Any

from .base import Agent, read_description

AGENTS: dict[str, str] = {
    "do_nothing": "dialogym.agents.floors:DoNothingAgent",
    "random": "dialogym.agents.floors:RandomAgent",
    "repeat_last": "dialogym.agents.floors:RepeatLastAgent",
    "inform_everything": "dialogym.agents.floors:InformEverythingAgent",
    "claim_success": "dialogym.agents.floors:ClaimSuccessAgent",
    "rule": "dialogym.agents.rule:RuleAgent",
    "human": "dialogym.agents.human:HumanAgent",
    "q_learning": "dialogym.agents.q_learning:QLearningAgent",
    "sarsa": "dialogym.agents.sarsa:SarsaAgent",
    "expected_sarsa": "dialogym.agents.expected_sarsa:ExpectedSarsaAgent",
    "double_q_learning": "dialogym.agents.double_q_learning:DoubleQLearningAgent",
    "sb3_ppo": "dialogym.agents.sb3:SB3PPOAgent",
    "sb3_a2c": "dialogym.agents.sb3:SB3A2CAgent",
    "sb3_dqn": "dialogym.agents.sb3:SB3DQNAgent",
    "sb3_maskable_ppo": "dialogym.agents.sb3:SB3MaskablePPOAgent",
    "sft": "dialogym.agents.sft:SFTAgent",
    "reinforce": "dialogym.agents.reinforce:ReinforceAgent",
    "a2c": "dialogym.agents.a2c:A2CAgent",
    "ppo": "dialogym.agents.ppo:PPOAgent",
}
"""Name and "module:class" of each agent; add your own here to make it by name."""

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


def agent_class(name: str) -> type[Agent]:
    """The class of an agent.

    Raises:
        ValueError: for an unknown name, with the right ones.
        ImportError: for a missing optional package, with the extra that brings it.
    """
    if name not in AGENTS:
        near = difflib.get_close_matches(str(name), AGENTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
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
    fields = [field.name for field in dataclasses.fields(kind.Config)]
    for option in config:
        if option not in fields:
            near = difflib.get_close_matches(option, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(fields) or 'none'}"
            raise TypeError(f"agent {name!r} got an unexpected option {option!r}; {hint}")
    return kind(env, seed=seed, config=kind.Config(**config))


def load_agent(folder: str | Path, env: Any = None) -> Agent:
    """The agent that was saved in ``folder``, whichever it is; see :meth:`Agent.load`."""
    return agent_class(read_description(folder)["agent"]).load(folder, env)
