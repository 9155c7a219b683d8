"""Expected SARSA: as SARSA, with the expectation over the next action in place of a sample of it.

van Seijen et al. (2009); Sutton & Barto (2018), section 6.6, equation 6.9. What differs is said in ``agent.py``.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from .agent import EpisodeSummary, TabularAgent, state_of


class ExpectedSarsaAgent(TabularAgent):
    """Learns the values of the policy it explores with, without the noise of its next choice."""

    name = "expected_sarsa"

    def play_episode(self, env: gym.Env[Any, Any], seed: int | None) -> EpisodeSummary:
        q, gamma = self.tables[0], self.config.gamma
        observation, info = env.reset(seed=seed)
        state, allowed = state_of(observation), self.allowed(info)
        turns, total, over = 0, 0.0, False
        while not over:
            action = self.exploration.choose(q[state], allowed, self.random)
            observation, reward, terminated, truncated, info = env.step(action)
            next_state, next_allowed = state_of(observation), self.allowed(info)

            target = float(reward)
            if not terminated:  # a truncated conversation would have gone on
                values = q[next_state]
                chances = self.exploration.probabilities(values, next_allowed)
                target += gamma * sum(
                    chance * values[other] for chance, other in zip(chances, next_allowed, strict=True)
                )
            q.update(state, action, target)

            state, allowed, over = next_state, next_allowed, terminated or truncated
            turns, total = turns + 1, total + float(reward)
        return EpisodeSummary(turns, total, bool(info.get("success", False)))
