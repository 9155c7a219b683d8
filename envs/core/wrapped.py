"""Wrapped environments side by side, for learners: as the native vector environment, wrappers and all."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from .spaces import Utterance
from .text_env import TextEnv
from .vector import TextVectorEnv


class WrappedVectorEnv(TextVectorEnv):
    """N wrapped environments of one task, which step one after the other.

    The native vector environment has no place for wrappers of single environments; this one lets their rewards, limits
    and observations count. ``infos`` stay those of the conversations.

    Args:
        envs: N environments alike, each a wrapped :class:`TextEnv`.
        autoreset_mode: as for :class:`TextVectorEnv`.
    """

    def __init__(
        self, envs: Sequence[gym.Env[Any, Any]], autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP
    ) -> None:
        cores = [env.unwrapped for env in envs]
        first = cores[0]
        assert isinstance(first, TextEnv)
        super().__init__(
            first.task, len(envs), first.interface, first.reward, first.split, first.max_turns, first.render_mode,
            autoreset_mode=autoreset_mode,
        )  # fmt: skip
        self.envs = list(envs)
        own = [core for core in cores if isinstance(core, TextEnv)]
        for core in own:
            core.task = core.conversation.task = first.task  # of all rows: a curriculum is learned by all of them
        self.conversations = [core.conversation for core in own]
        self.single_observation_space, self.single_action_space = envs[0].observation_space, envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._shown: list[Any] = [None] * self.num_envs
        self._next_seeds: list[int | None] = [None] * self.num_envs

    def _seed(self, seed: int | Sequence[int | None] | None, mask: np.ndarray) -> None:
        first = not self._generators
        super()._seed(seed, mask)
        if seed is None:
            return
        seeds = self._row_seeds(seed)
        for row in range(self.num_envs):
            if first or (mask[row] and seeds[row] is not None):
                self._next_seeds[row] = seeds[row]

    def check_action(self, action: Any) -> Any:
        """As for :class:`TextVectorEnv`; what the wrappers take instead is handed to them."""
        return action if self.single_action_space.contains(action) else super().check_action(action)

    def _begin(self, row: int, goal_id: str | None) -> None:
        options = None if goal_id is None else {"goal_id": goal_id}
        self._shown[row], _ = self.envs[row].reset(seed=self._next_seeds[row], options=options)
        self._next_seeds[row] = None

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self._check_actions(actions)
        restarts = self.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        terminated, truncated = np.zeros(self.num_envs, dtype=bool), np.zeros(self.num_envs, dtype=bool)
        spoke, terms = [], []
        for row, action in enumerate(actions):
            if self._over[row]:
                self._stay_over(row, action, restarts)
                continue
            rewards[row], terminated[row], truncated[row], info = self._step_row(row, action)
            if "reward_terms" in info:
                spoke.append(row)
                terms.append(info["reward_terms"])
        self._over = terminated | truncated if restarts else self._over | terminated | truncated
        infos = self._infos()
        if spoke:
            infos["reward_terms"], infos["_reward_terms"] = self._columns(spoke, terms)
        return self._observations(), rewards, terminated, truncated, infos

    def play(self, actions: Mapping[int, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        for row in actions:
            if self._over[row]:
                raise gym.error.ResetNeeded(f"row {row} has ended: begin it anew")
        played = [self._step_row(row, action)[:3] for row, action in actions.items()]
        rewards, terminated, truncated = (np.array(column) for column in zip(*played, strict=True))
        self._over[list(actions)] = terminated | truncated
        return rewards, terminated, truncated

    def _step_row(self, row: int, action: Any) -> tuple[float, bool, bool, dict[str, Any]]:
        """Reward, terminated, truncated and info of one row."""
        self._shown[row], reward, over, cut, info = self.envs[row].step(action)
        return float(reward), bool(over), bool(cut and not over), info

    def _observations(self) -> Any:
        space = self.single_observation_space
        if isinstance(space, Utterance):
            return tuple(self._shown)
        return copy.deepcopy(concatenate(space, self._shown, create_empty_array(space, self.num_envs)))

    def render(self) -> tuple[Any, ...] | None:
        """What the ``render`` of each row returns."""
        return None if self.render_mode is None else tuple([env.render() for env in self.envs])

    def close_extras(self, **kwargs: Any) -> None:
        for env in self.envs:
            env.close()
