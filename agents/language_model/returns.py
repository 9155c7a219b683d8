"""Returns and advantages, per agent turn."""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_returns(rewards: Tensor, gamma: float) -> Tensor:
    """G_k = r_k + gamma * G_{k+1}, per conversation.

    Args:
        rewards: (B, K) reward of each turn, 0 after the conversation's last.
        gamma: discount per turn, in [0, 1].

    Returns:
        (B, K) returns; 0 after the last turn.

    Reference: Sutton & Barto (2018), equation 3.9.
    """
    returns = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    for turn in reversed(range(rewards.shape[1])):
        following = returns[:, turn] = rewards[:, turn] + gamma * following
    return returns


def standard_deviation(values: Tensor) -> Tensor:
    """That of (N,) values, a scalar, with Bessel's correction; 0 for one value, where that would be NaN."""
    return values.std(correction=min(1, len(values) - 1))


def generalised_advantages(
    rewards: Tensor, values: Tensor, num_turns: Tensor, bootstrap: Tensor, gamma: float, lam: float
) -> Tensor:
    """GAE over turns: A_k = sum_i (gamma * lam)^i delta_{k+i}, delta_k = r_k + gamma * V_{k+1} - V_k.

    Args:
        rewards: (B, K) reward of each turn.
        values: (B, K) estimated return from the start of each turn.
        num_turns: (B,) int64, turns of each conversation; what stands in later columns does not matter.
        bootstrap: (B,) value of the state after the last turn: that of a conversation which the turn limit cut, and 0
            for one that is over.
        gamma: discount per turn, in [0, 1].
        lam: lambda, in [0, 1]; 0 is one-step, 1 is the return less the value.

    Returns:
        (B, K) advantages; 0 after the last turn.

    Reference: Schulman et al. (2016), equation 16, https://arxiv.org/abs/1506.02438.
    """
    advantages = torch.zeros_like(rewards)
    last = num_turns - 1
    following = torch.zeros_like(bootstrap)
    for turn in reversed(range(rewards.shape[1])):
        next_values = values[:, turn + 1] if turn + 1 < rewards.shape[1] else bootstrap
        next_values = torch.where(last == turn, bootstrap, next_values)
        delta = rewards[:, turn] + gamma * next_values - values[:, turn]
        following = torch.where(last == turn, delta, delta + gamma * lam * following)
        following = torch.where(turn <= last, following, torch.zeros_like(following))
        advantages[:, turn] = following
    return advantages
