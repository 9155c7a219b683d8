"""Advantage actor-critic with a value per turn.

Mnih et al. (2016), section 4, https://arxiv.org/abs/1602.01783, synchronous as in the usual A2C. The critic is a linear
head on the hidden state in which a reply begins, and does not train the language model below it; advantages are GAE
over turns. Ours takes one gradient step per batch of whole conversations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .base import LogRow
from .policy_gradient import PolicyGradientAgent, PolicyGradientConfig, hidden_at
from .reinforce import reinforce_loss
from .returns import generalised_advantages
from .rollout import Batch, Conversation, minibatches


@dataclasses.dataclass(frozen=True)
class A2CConfig(PolicyGradientConfig):
    """The whole configuration; see :class:`PolicyGradientConfig`.

    Attributes:
        lam: lambda of GAE, in [0, 1].
        value_steps: full-batch steps of the critic on each batch of conversations, after the policy's.
        value_learning_rate: of the critic.
    """

    learning_rate: float = 1e-4
    lam: float = 0.95
    value_steps: int = 50
    value_learning_rate: float = 3e-3


class Estimate(NamedTuple):
    """What the critic says of a batch, before it learns from it.

    Attributes:
        advantages: (B, K) of each turn.
        targets: (B, K) returns that the critic shall learn.
        hidden: (B, K, D) what it reads.
    """

    advantages: Tensor
    targets: Tensor
    hidden: Tensor


@torch.no_grad()
def estimate(agent: PolicyGradientAgent, batch: Batch, lam: float) -> Estimate:
    """Advantages under the policy and critic as they are.

    The state after a conversation that the turn limit cut is worth what its last turn was estimated at: there is no
    later reply whose beginning could be looked at. A conversation that is over is worth nothing more.
    """
    hidden = hidden_at(agent.lm.hidden(batch.ids), batch.starts)  # (B, K, D)
    values = agent.value_head(hidden)  # (B, K)
    last = values.gather(1, (batch.num_turns - 1)[:, None])[:, 0]  # (B,)
    bootstrap = torch.where(batch.truncated, last, torch.zeros_like(last))
    rewards = batch.rewards * agent.config.reward_scale
    advantages = generalised_advantages(rewards, values, batch.num_turns, bootstrap, agent.config.gamma, lam)
    return Estimate(advantages, advantages + values, hidden)


def teach_critic(agent: PolicyGradientAgent, batches: Sequence[Batch], estimates: Sequence[Estimate]) -> LogRow:
    """Fits the critic to the returns of a batch; its error and explained variance before."""
    config: Any = agent.config
    masks = [batch.turn_mask for batch in batches]
    hidden = torch.cat([found.hidden[mask] for found, mask in zip(estimates, masks, strict=True)])  # (N, D)
    targets = torch.cat([found.targets[mask] for found, mask in zip(estimates, masks, strict=True)])  # (N,)
    errors = torch.cat([found.advantages[mask] for found, mask in zip(estimates, masks, strict=True)])
    value_loss = agent.value_head.fit(hidden, targets, config.value_steps, config.value_learning_rate)
    return {"value_loss": value_loss, "explained_variance": float(1 - errors.var() / (targets.var() + 1e-9))}


def normalised(batches: Sequence[Batch], estimates: Sequence[Estimate]) -> list[Tensor]:
    """The advantages (B, K) of each batch, less their mean over all turns, over their standard deviation."""
    pairs = list(zip(batches, estimates, strict=True))
    flat = torch.cat([found.advantages[batch.turn_mask] for batch, found in pairs])
    return [(found.advantages - flat.mean()) / (flat.std() + 1e-6) for _, found in pairs]


class A2CAgent(PolicyGradientAgent):
    """One gradient step of the actor per batch of conversations, then the critic's."""

    name = "a2c"
    Config = A2CConfig
    config: A2CConfig

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.lm.model.parameters(), self.config.learning_rate, weight_decay=0.0)

    def update(self, conversations: list[Conversation]) -> LogRow:
        config, lm = self.config, self.lm
        parts = [Batch.of(part, lm.tokenizer.pad_id) for part in minibatches(conversations, config.minibatch_size)]
        estimates = [estimate(self, part, config.lam) for part in parts]
        num_tokens = sum(len(part.old_logprobs) for part in parts)
        self.optimizer.zero_grad()
        total_loss = total_entropy = 0.0
        for part, advantages in zip(parts, normalised(parts, estimates), strict=True):  # gradients add up to one step
            hidden = lm.hidden(part.ids)
            logprobs, entropies = lm.logprobs(hidden, part.ids, part.action_mask, config.sampling_temperature)
            credit = advantages[part.rows, part.turns]  # (N,)
            share = len(logprobs) / num_tokens
            loss = share * (reinforce_loss(logprobs, credit) - config.entropy_weight * entropies.mean())
            loss.backward()
            total_loss += loss.item()
            total_entropy += share * entropies.mean().item()
        norm = torch.nn.utils.clip_grad_norm_(lm.model.parameters(), config.max_grad_norm)
        self.optimizer.step()
        critic = teach_critic(self, parts, estimates)
        return {"loss": total_loss, "entropy": total_entropy, "grad_norm": float(norm), **critic}
