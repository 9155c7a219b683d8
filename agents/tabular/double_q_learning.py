"""Double Q-learning: two tables, each of which scores the action that the other would choose.

van Hasselt (2010), algorithm 1; Sutton & Barto (2018), section 6.7, equation 6.10. The agent acts on the mean
of the two, so that a temperature means what it does for one table. What else differs is said in ``agent.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from .agent import EpisodeSummary, State, TabularAgent, state_of
from .exploration import greedy


class DoubleQLearningAgent(TabularAgent):
    """Q-learning without the bias of a maximum over noisy values."""

    name = "double_q_learning"
    num_tables = 2

    def values(self, state: State) -> Sequence[float]:
        first, second = self.tables
        return [(a + b) / 2 for a, b in zip(first.peek(state), second.peek(state), strict=True)]

    def play_episode(self, env: gym.Env[Any, Any], seed: int | None) -> EpisodeSummary:
        gamma = self.config.gamma
        observation, info = env.reset(seed=seed)
        state, allowed = state_of(observation), self.allowed(info)
        turns, total, over = 0, 0.0, False
        while not over:
            action = self.exploration.choose(self.values(state), allowed, self.random)
            observation, reward, terminated, truncated, info = env.step(action)
            next_state, next_allowed = state_of(observation), self.allowed(info)

            learner, scorer = self.tables if self.random.random() < 0.5 else self.tables[::-1]
            target = float(reward)
            if not terminated:  # a truncated conversation would have gone on
                target += gamma * scorer.peek(next_state)[greedy(learner.peek(next_state), next_allowed)]
            learner.update(state, action, target)

            state, allowed, over = next_state, next_allowed, terminated or truncated
            turns, total = turns + 1, total + float(reward)
        return EpisodeSummary(turns, total, bool(info.get("success", False)))
