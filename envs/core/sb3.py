"""stable-baselines3's ``VecEnv`` over the native vector environment: thin, because the two agree on nearly everything.

What differs: stable-baselines3 resets a row in the very step that ends it, hands the last observation over as
``infos[i]["terminal_observation"]``, and tells truncation by ``infos[i]["TimeLimit.truncated"]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from .text_env import goal_option
from .vector import TextVectorEnv

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as e:
    raise ImportError('the stable-baselines3 adapter needs the sb3 extra: pip install "dialogym[sb3]"') from e


class SB3VecEnv(VecEnv):
    """``PPO("MlpPolicy", SB3VecEnv(envs))``: trains on N conversations at once.

    Args:
        envs: a :class:`TextVectorEnv` in the choices interface with ``autoreset_mode="Disabled"``.

    Raises:
        TypeError: for anything else, such as a single environment or a vector of gymnasium's own.
        ValueError: for another interface or autoreset mode.
    """

    def __init__(self, envs: TextVectorEnv):
        if not isinstance(envs, TextVectorEnv):
            raise TypeError(
                "expected this package's own vector environment, as gym.make_vec(ID, num_envs=8, "
                'interface="choices", autoreset_mode="Disabled") makes it without a vectorization_mode, '
                f"got {type(envs).__name__}"
            )
        if envs.interface != "choices" or envs.metadata["autoreset_mode"] != AutoresetMode.DISABLED:
            mode = envs.metadata["autoreset_mode"].value
            raise ValueError(
                f"expected interface='choices' and autoreset_mode='Disabled', got {envs.interface!r} and {mode!r}"
            )
        self.envs = envs
        self._actions: np.ndarray = np.zeros(envs.num_envs, dtype=np.int64)
        self._returns = np.zeros(envs.num_envs)
        self._turns = np.zeros(envs.num_envs, dtype=np.int64)
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> np.ndarray:
        seeds = self._seeds if any(seed is not None for seed in self._seeds) else None
        goals = [goal_option(options) for options in self._options]
        observations, _ = self.envs.reset(seed=seeds, options={"goal_id": goals})
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0
        self._turns[:] = 0
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, _ = self.envs.step(self._actions)
        ended = terminated | truncated
        self._returns += rewards
        self._turns += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended.any():
            successes = self.envs.successes
            for row in np.flatnonzero(ended).tolist():
                infos[row] = {
                    "terminal_observation": observations[row].copy(),
                    "TimeLimit.truncated": bool(truncated[row]),
                    "is_success": bool(successes[row]),
                    "episode": {"r": float(self._returns[row]), "l": int(self._turns[row]), "t": 0.0},
                }
            observations, _ = self.envs.reset(options={"reset_mask": ended})
            self._returns[ended] = 0
            self._turns[ended] = 0
        return observations, rewards.astype(np.float32), ended, infos

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.envs, attr_name) for _ in self._rows(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the rows share one vector environment: make it anew with other options")

    def has_attr(self, attr_name: str) -> bool:
        return hasattr(self.envs, attr_name)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        if method_name != "action_masks":
            raise NotImplementedError(f"rows offer the method 'action_masks', got {method_name!r}")
        masks = self.envs.action_masks()
        return [masks[row] for row in self._rows(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        return [False for _ in self._rows(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        shown = self.envs.render() if self.envs.render_mode == "rgb_array" else None
        return [None] * self.num_envs if shown is None else list(shown)

    def _rows(self, indices: Any) -> Iterable[int]:
        return range(self.num_envs) if indices is None else np.atleast_1d(indices).tolist()
