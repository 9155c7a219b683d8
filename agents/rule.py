"""Policies that come with the task: the rule agent, which declares what can be reached, and some of the floors."""

from __future__ import annotations

from typing import Any

from .base import Agent, Info


class PolicyAgent(Agent):
    """Plays the policy of its own name that the environment's task brings along, in that policy's interface.

    Raises:
        ValueError: if the task has no policy of that name.
    """

    def __init__(self, env: Any, seed: int = 0, config: Any = None):
        super().__init__(env, seed, config)
        policies = getattr(self.task, "policies", {})
        if self.name not in policies:
            task = getattr(self.task, "name", "an environment without a task")
            raise ValueError(f"{task} has no policy {self.name!r}; it has {', '.join(policies) or 'none'}")
        self.interface, self._policy = policies[self.name]

    def act(self, observation: Any, info: Info) -> Any:
        return self._policy(observation, info)


class RuleAgent(PolicyAgent):
    """What somebody who knows the task would do; reaches the task's declared ceiling."""

    name = "rule"
