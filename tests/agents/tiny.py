"""Environments so small that every value can be worked out by hand."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np


class Bandit(gym.Env[np.ndarray, int]):
    """One turn; action ``a`` pays ``payoffs[a]``, and the last of them is never allowed although it pays most."""

    def __init__(self, payoffs: tuple[float, ...] = (0.0, 1.0, 0.2, 5.0)):
        self.payoffs = payoffs
        self.observation_space = gym.spaces.MultiDiscrete([2, 3])
        self.action_space = gym.spaces.Discrete(len(payoffs))
        self.tried: set[int] = set()

    def _info(self) -> dict[str, Any]:
        mask = np.ones(len(self.payoffs), dtype=np.int8)
        mask[-1] = 0
        return {"action_mask": mask}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.array([1, 2]), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.tried.add(action)
        return np.array([0, 0]), self.payoffs[action], True, False, {**self._info(), "success": action == 1}


class Chain(gym.Env[np.ndarray, int]):
    """Two states in a row: A -1-> B -1-> end; action 0 stays. A step costs 1, the last one pays 10.

    Args:
        limit: turns before it is truncated.
    """

    A, B, END = np.array([0]), np.array([1]), np.array([2])

    def __init__(self, limit: int = 5):
        self.limit = limit
        self.observation_space = gym.spaces.MultiDiscrete([3])
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = self.turn = 0
        return self.A.copy(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place += action
        self.turn += 1
        over = self.place == 2
        reward = 10.0 if over else -1.0
        return np.array([self.place]), reward, over, not over and self.turn >= self.limit, {"success": over}


class Noisy(gym.Env[np.ndarray, int]):
    """A choice between "right", which pays 0, and "left", which leads to eight noisy actions that pay -0.1 on average.

    Sutton & Barto (2018), example 6.7: the maximum over noisy values makes Q-learning prefer left.
    """

    def __init__(self) -> None:
        self.observation_space = gym.spaces.MultiDiscrete([3])
        self.action_space = gym.spaces.Discrete(8)

    def _info(self) -> dict[str, Any]:
        return {"action_mask": np.array([1, 1] + [int(self.place == 1)] * 6, dtype=np.int8)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = 0
        return np.array([0]), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.place == 0 and action == 0:
            self.place = 1
            return np.array([1]), 0.0, False, False, self._info()
        reward = float(self.np_random.normal(-0.1, 1.0)) if self.place == 1 else 0.0
        self.place = 2
        return np.array([2]), reward, True, False, self._info()
