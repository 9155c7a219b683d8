"""The critic of a language model in conversation: what the rest of it is worth when a reply begins."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .advantages import discounted_returns, gae, others_mean
from .batch import Batch


class ValueHead(nn.Module):
    """Estimates the return from the hidden state in which a reply begins; starts at 0 everywhere.

    It reads the language model and does not teach it: no gradient flows back, so a poor critic cannot spoil the words.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.linear = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, states: Tensor) -> Tensor:
        """(..., D) hidden states to (...) values."""
        return self.linear(states.detach()).squeeze(-1)

    def fit(self, states: Tensor, targets: Tensor, num_steps: int, learning_rate: float) -> float:
        """Moves towards the targets (N,) of hidden states (N, D); the mean squared error before.

        Each batch gets the same few full-batch steps of a fresh optimizer: the head is so small that they are free.
        """
        optimizer = torch.optim.Adam(self.parameters(), learning_rate)
        with torch.no_grad():
            before = ((self(states) - targets) ** 2).mean().item()
        for _ in range(num_steps):
            error = ((self(states) - targets) ** 2).mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
        return before


class Estimate(NamedTuple):
    """What the critic says of a batch, before it learns from it.

    Attributes:
        advantages: (B, K) of each turn; 0 after the last.
        targets: (B, K) what the critic shall learn.
    """

    advantages: Tensor
    targets: Tensor


@torch.no_grad()
def estimate_advantages(critic: ValueHead, batch: Batch, reward_scale: float, gamma: float, lam: float) -> Estimate:
    """Advantages under the critic as it is: GAE over turns, bootstrapped where the turn limit cut a conversation.

    The value of a turn is what the others of the group returned on average, 0 without groups, and what the critic says
    on top of it; the critic learns the difference alone.

    The turns after the model's context was full count as one with the last before it: their rewards are taken as they
    came, and what the critic says of the rest is discounted by as many turns more.
    """
    rewards = batch.rewards * reward_scale
    returns = discounted_returns(rewards, gamma)
    baseline = others_mean(returns[:, 0], batch.group)  # (B,)
    values = critic(batch.states) + baseline[:, None]  # (B, K)
    rest = (critic(batch.next_states) + baseline) * gamma**batch.num_later_turns
    bootstrap = torch.where(batch.truncated, rest, torch.zeros_like(rest))  # (B,)
    turns = torch.arange(rewards.shape[1], device=rewards.device)
    rewards = torch.where(turns == batch.num_turns[:, None] - 1, returns, rewards)  # with those of later turns
    advantages = gae(rewards, values, batch.num_turns, bootstrap, gamma, lam)
    return Estimate(advantages, advantages + values - baseline[:, None])


def fit_critic(
    critic: ValueHead, batch: Batch, found: Estimate, num_steps: int, learning_rate: float
) -> dict[str, float]:
    """Fits the critic to the targets of a batch.

    Returns:
        "value_loss", the squared error, and "explained_variance", the share of the targets' variance that the critic
        explained, both before it learned from them.
    """
    mask = batch.turn_mask
    targets, errors = found.targets[mask], found.advantages[mask]
    value_loss = critic.fit(batch.states[mask], targets, num_steps, learning_rate)
    return {"value_loss": value_loss, "explained_variance": float(1 - errors.var() / (targets.var() + 1e-9))}
