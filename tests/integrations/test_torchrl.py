"""torchrl plays the native vector environment without a bridge."""

import gymnasium as gym
import pytest
from gymnasium.vector import AutoresetMode

torch = pytest.importorskip("torch")
envs = pytest.importorskip("torchrl.envs")


def test_a_rollout_of_torchrl_goes_on_with_the_next_conversation_of_each_row():
    made = gym.make_vec("dialogym:TextDialog-v0", num_envs=2, max_turns=3, autoreset_mode=AutoresetMode.DISABLED)
    rollout = envs.GymWrapper(made).rollout(7, break_when_any_done=False)
    assert rollout["observation"].shape == (2, 7, 11)
    assert rollout["next", "truncated"][:, :, 0].tolist() == [[False, False, True] * 2 + [False]] * 2
    ended = rollout["next", "observation"][:, 2]
    assert (rollout["observation"][:, 3] != ended).any()  # the fourth turn sees a new conversation, not the end
