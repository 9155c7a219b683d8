"""How does it learn? Agents that play every environment under the same reward; one algorithm, one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Agent, Budget, LogRow, in_interface
from .registry import agent_names, load_agent, make_agent

if TYPE_CHECKING:
    from .language_model.sb3_policy import LMActorCriticPolicy

__all__ = [
    "Agent",
    "Budget",
    "LMActorCriticPolicy",
    "LogRow",
    "agent_names",
    "in_interface",
    "load_agent",
    "make_agent",
]


def __getattr__(name: str) -> Any:
    """The policy for stable-baselines3, which loads that library, torch and transformers."""
    if name != "LMActorCriticPolicy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .language_model.sb3_policy import LMActorCriticPolicy
    except ImportError as e:
        raise ImportError(f'{name} needs torch, transformers and sb3-contrib: pip install "dialogym[lm,sb3]"') from e
    return LMActorCriticPolicy
