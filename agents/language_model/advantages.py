"""Returns, baselines and advantages: what each agent turn, and so each of its tokens, is credited with.

Rewards are raw up to here; whatever is taken off or divided by happens in these functions and nowhere else. B
conversations, K agent turns at most; ``group`` says which conversations are about the same goal.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-6
"""Added to standard deviations that are divided by."""
GROUP_EPSILON = 1e-4
"""The same for those of a group: TRL's, so that both give the same numbers."""


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


def turn_baseline(returns: Tensor, turn_mask: Tensor) -> Tensor:
    """(K,) mean return of the conversations that reached each turn.

    Args:
        returns: (B, K) returns from each turn on.
        turn_mask: (B, K) bool, True on turns that took place.
    """
    return (returns * turn_mask).sum(0) / turn_mask.sum(0).clamp(min=1)


def others_mean(returns: Tensor, group: Tensor) -> Tensor:
    """(B,) mean return of the others of each conversation's group; 0 for one that is alone.

    What others returned does not depend on what was said here, so it may be taken off without a bias.

    Args:
        returns: (B,) return of each conversation.
        group: (B,) int64 number of its group.
    """
    total, count = _group_sums(returns, torch.ones_like(returns), group)
    return (total - returns) / (count - 1).clamp(min=1)


def leave_one_out(returns: Tensor, group: Tensor, mask: Tensor | None = None) -> Tensor:
    """Returns less the mean of the others of the group; 0 where there are no others to compare with.

    Args:
        returns: (B,) of each conversation, or (B, K) from each turn on, compared at the same turn.
        group: (B,) int64 number of the group of each conversation.
        mask: (B, K) bool, True on turns that took place; None is everywhere.

    Returns:
        Advantages of the shape of ``returns``; 0 outside of ``mask``.

    Reference: Kool et al. (2019), https://openreview.net/forum?id=r1lgTGL5DE; Ahmadian et al. (2024), equation 5,
        https://arxiv.org/abs/2402.14740.
    """
    taken = torch.ones_like(returns) if mask is None else mask.to(returns.dtype)
    total, count = _group_sums(returns, taken, group)
    baseline = (total - returns) / (count - 1).clamp(min=1)
    return (returns - baseline) * taken * (count > 1)


def group_normalised(returns: Tensor, group: Tensor, mask: Tensor | None = None, by_std: bool = True) -> Tensor:
    """Returns less the mean of the group, over its standard deviation.

    The mean has the conversation's own return in it: among n it makes the advantage (n - 1) / n of the one left out.

    Args:
        returns, group, mask: as for :func:`leave_one_out`.
        by_std: divide; without, goals on which returns hardly differ do not weigh as much as others (Liu et al., 2025,
            section 3.1, https://arxiv.org/abs/2503.20783).

    Returns:
        Advantages of the shape of ``returns``; 0 outside of ``mask`` and where there are no others to compare with.

    Reference: Shao et al. (2024), section 4.1.2, https://arxiv.org/abs/2402.03300.
    """
    taken = torch.ones_like(returns) if mask is None else mask.to(returns.dtype)
    total, count = _group_sums(returns, taken, group)
    advantages = (returns - total / count.clamp(min=1)) * taken * (count > 1)
    if by_std:
        squares, _ = _group_sums(advantages**2, taken, group)
        advantages = advantages / ((squares / (count - 1).clamp(min=1)).sqrt() + GROUP_EPSILON)
    return advantages


def _group_sums(values: Tensor, taken: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """The sum over each conversation's group of values (B, ...) where ``taken`` (B, ...) is 1, and of ``taken``."""
    zeros = values.new_zeros(int(group.max()) + 1, *values.shape[1:])
    return zeros.index_add(0, group, values * taken)[group], zeros.index_add(0, group, taken)[group]


def gae(rewards: Tensor, values: Tensor, num_turns: Tensor, bootstrap: Tensor, gamma: float, lam: float) -> Tensor:
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


def standard_deviation(values: Tensor) -> Tensor:
    """That of (N,) values, a scalar, with Bessel's correction; 0 for one value, where that would be NaN."""
    return values.std(correction=min(1, len(values) - 1))


def normalised(advantages: Tensor, mask: Tensor) -> Tensor:
    """(B, K) advantages less their mean over the turns of ``mask``, over their standard deviation; 0 for one turn."""
    taken = advantages[mask]
    return (advantages - taken.mean()) / (standard_deviation(taken) + EPSILON)


def scaled(advantages: Tensor, mask: Tensor) -> Tensor:
    """(B, K) advantages over their standard deviation over the turns of ``mask``."""
    return advantages / (standard_deviation(advantages[mask]) + EPSILON)
