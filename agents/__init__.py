"""How does it learn? Agents that play every environment under the same reward; one algorithm, one file."""

from __future__ import annotations

from .base import Agent, Budget, LogRow, in_interface
from .registry import agent_names, load_agent, make_agent

__all__ = ["Agent", "Budget", "LogRow", "agent_names", "in_interface", "load_agent", "make_agent"]
