"""REINFORCE with a running baseline, on whole conversations.

Williams (1992), sections 4-5, https://doi.org/10.1007/BF00992696. Each token is credited with the return from its turn
on (Sutton & Barto, 2018, section 13.4), less a baseline: the batch's mean return at the same turn. Ours averages over
tokens, not over conversations, and divides by the standard deviation of the advantages.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from .base import LogRow
from .policy_gradient import PolicyGradientAgent, PolicyGradientConfig
from .returns import discounted_returns
from .rollout import Batch, Conversation, minibatches


@dataclasses.dataclass(frozen=True)
class ReinforceConfig(PolicyGradientConfig):
    """The whole configuration; see :class:`PolicyGradientConfig`."""

    learning_rate: float = 5e-5


def reinforce_loss(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """Policy-gradient loss, a scalar to minimise.

    Args:
        logprobs: (N,) log pi(token | prefix) of the policy being trained, in nats, of the sampled tokens.
        advantages: (N,) of the turn that each token belongs to; constants.
    """
    return -(logprobs * advantages.detach()).mean()


def turn_baseline(returns: Tensor, turn_mask: Tensor) -> Tensor:
    """(K,) mean return of the conversations that reached each turn.

    Args:
        returns: (B, K) returns from each turn on.
        turn_mask: (B, K) bool, True on turns that took place.
    """
    return (returns * turn_mask).sum(0) / turn_mask.sum(0).clamp(min=1)


class ReinforceAgent(PolicyGradientAgent):
    """One gradient step per batch of conversations."""

    name = "reinforce"
    Config = ReinforceConfig
    config: ReinforceConfig

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.lm.model.parameters(), self.config.learning_rate, weight_decay=0.0)

    def update(self, conversations: list[Conversation]) -> LogRow:
        config, lm = self.config, self.lm
        batch = Batch.of(conversations, lm.tokenizer.pad_id)
        returns = discounted_returns(batch.rewards * config.reward_scale, config.gamma)  # (B, K)
        advantages = returns - turn_baseline(returns, batch.turn_mask)
        scale = advantages[batch.turn_mask].std() + 1e-6
        by_id = {id(c): row for c, row in zip(conversations, advantages / scale, strict=True)}
        num_tokens = int(batch.action_mask.sum())
        self.optimizer.zero_grad()
        total_loss = total_entropy = 0.0
        for part in minibatches(conversations, config.minibatch_size):  # gradients add up to one step
            small = Batch.of(part, lm.tokenizer.pad_id)
            logprobs, entropies = lm.logprobs(
                lm.hidden(small.ids), small.ids, small.action_mask, config.sampling_temperature
            )
            credit = torch.stack([by_id[id(c)] for c in part])[small.rows, small.turns]  # (N,)
            share = len(logprobs) / num_tokens
            loss = share * (reinforce_loss(logprobs, credit) - config.entropy_weight * entropies.mean())
            loss.backward()
            total_loss += loss.item()
            total_entropy += share * entropies.mean().item()
        norm = torch.nn.utils.clip_grad_norm_(lm.model.parameters(), config.max_grad_norm)
        self.optimizer.step()
        return {"loss": total_loss, "entropy": total_entropy, "grad_norm": float(norm)}
