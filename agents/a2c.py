"""Advantage actor-critic with a value per turn.

Mnih et al. (2016), section 4, https://arxiv.org/abs/1602.01783, synchronous as in the usual A2C. The critic is a linear
head on the hidden state in which a reply begins; advantages are GAE over turns. Ours takes one gradient step per batch
of whole conversations.
"""

from __future__ import annotations

import dataclasses

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
        value_weight: of the squared error of the critic.
        value_learning_rate: of the critic's head.
    """

    learning_rate: float = 1e-4
    lam: float = 0.95
    value_weight: float = 0.5
    value_learning_rate: float = 1e-3


@torch.no_grad()
def estimate(agent: PolicyGradientAgent, batch: Batch, lam: float) -> tuple[Tensor, Tensor]:
    """Advantages and value targets of a batch, both (B, K), under the policy and critic as they are.

    The state after a conversation that the turn limit cut is worth what its last turn was estimated at: there is no
    later reply whose beginning could be looked at. A conversation that is over is worth nothing more.
    """
    values = agent.value_head(hidden_at(agent.lm.hidden(batch.ids), batch.starts))  # (B, K)
    last = values.gather(1, (batch.num_turns - 1)[:, None])[:, 0]  # (B,)
    bootstrap = torch.where(batch.truncated, last, torch.zeros_like(last))
    rewards = batch.rewards * agent.config.reward_scale
    advantages = generalised_advantages(rewards, values, batch.num_turns, bootstrap, agent.config.gamma, lam)
    return advantages, advantages + values


class A2CAgent(PolicyGradientAgent):
    """One gradient step of actor and critic per batch of conversations."""

    name = "a2c"
    Config = A2CConfig
    config: A2CConfig

    def make_optimizer(self) -> torch.optim.Optimizer:
        groups = [
            {"params": list(self.lm.model.parameters()), "lr": self.config.learning_rate},
            {"params": list(self.value_head.parameters()), "lr": self.config.value_learning_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=0.0)

    def update(self, conversations: list[Conversation]) -> LogRow:
        config, lm = self.config, self.lm
        parts = [Batch.of(part, lm.tokenizer.pad_id) for part in minibatches(conversations, config.minibatch_size)]
        estimates = [estimate(self, part, config.lam) for part in parts]
        flat = torch.cat([advantages[part.turn_mask] for part, (advantages, _) in zip(parts, estimates, strict=True)])
        num_tokens = sum(len(part.old_logprobs) for part in parts)
        self.optimizer.zero_grad()
        totals = {"loss": 0.0, "value_loss": 0.0, "entropy": 0.0}
        for part, (advantages, targets) in zip(parts, estimates, strict=True):
            hidden = lm.hidden(part.ids)
            logprobs, entropies = lm.logprobs(hidden, part.ids, part.action_mask, config.sampling_temperature)
            credit = ((advantages - flat.mean()) / (flat.std() + 1e-6))[part.rows, part.turns]  # (N,)
            errors = (self.value_head(hidden_at(hidden, part.starts)) - targets)[part.turn_mask] ** 2
            share = len(logprobs) / num_tokens
            policy_loss = reinforce_loss(logprobs, credit) - config.entropy_weight * entropies.mean()
            loss = share * (policy_loss + config.value_weight * errors.mean())
            loss.backward()
            totals["loss"] += loss.item()
            totals["value_loss"] += share * errors.mean().item()
            totals["entropy"] += share * entropies.mean().item()
        trained = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(trained, config.max_grad_norm)
        self.optimizer.step()
        return {**totals, "grad_norm": float(norm)}
