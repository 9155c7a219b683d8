"""SARSA: on-policy temporal-difference control.

Rummery & Niranjan (1994); Sutton & Barto (2018), section 6.4, equation 6.7. What differs is said in ``agent.py``.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from .agent import EpisodeSummary, TabularAgent, state_of


class SarsaAgent(TabularAgent):
    """Learns the values of the very policy it explores with, from the action that it takes next."""

    name = "sarsa"

    def play_episode(self, env: gym.Env[Any, Any], seed: int | None) -> EpisodeSummary:
        q, gamma = self.tables[0], self.config.gamma
        observation, info = env.reset(seed=seed)
        state = state_of(observation)
        action = self.exploration.choose(q[state], self.allowed(info), self.random)
        turns, total, over = 0, 0.0, False
        while not over:
            observation, reward, terminated, truncated, info = env.step(action)
            next_state, next_action = state_of(observation), 0

            target = float(reward)
            if not terminated:  # a truncated conversation would have gone on
                values = q[next_state]
                next_action = self.exploration.choose(values, self.allowed(info), self.random)
                target += gamma * values[next_action]
            q.update(state, action, target)

            state, action, over = next_state, next_action, terminated or truncated
            turns, total = turns + 1, total + float(reward)
        return EpisodeSummary(turns, total, bool(info.get("success", False)))
