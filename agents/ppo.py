"""Proximal policy optimisation of a language model in conversation.

Schulman et al. (2017), equation 7, https://arxiv.org/abs/1707.06347: the clipped surrogate, per token. Advantages are
GAE over turns, shared by the tokens of a turn; the critic is that of ``a2c.py``.
A KL penalty holds the policy to the model it started from, its weight adapted to a target as in Ziegler et al. (2019),
section 2.2, https://arxiv.org/abs/1909.08593; ours is in the loss rather than in the reward, and is the exact KL
of the next-token distributions, not an estimate from the sampled token, whose variance is ruinous when a token
has become rare.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .a2c import A2CConfig, Estimate, estimate, normalised, teach_critic
from .base import LogRow
from .language_model import LanguageModel, before, chosen, entropies
from .policy_gradient import PolicyGradientAgent
from .rollout import Batch, Conversation, minibatches


@dataclasses.dataclass(frozen=True)
class PPOConfig(A2CConfig):
    """The whole configuration; see :class:`PolicyGradientConfig` and :class:`A2CConfig`.

    Attributes:
        clip: epsilon, how far the ratio of new to old probability counts.
        num_epochs: passes over each batch.
        kl_target: mean KL from the reference, in nats per token, that the penalty aims at; None has no penalty, and
            there is none without ``init`` or ``model``: random weights are nothing to hold on to.
        kl_weight: of the penalty at the start.
    """

    learning_rate: float = 3e-4
    clip: float = 0.2
    num_epochs: int = 2
    kl_target: float | None = 0.05
    kl_weight: float = 0.05


def ppo_loss(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The clipped surrogate, a scalar to minimise.

    Args:
        logprobs: (N,) of the sampled tokens under the policy being trained, in nats.
        old_logprobs: (N,) under the policy that sampled them.
        advantages: (N,) of each token; constants.
        clip: epsilon.
    """
    ratio = (logprobs - old_logprobs).exp()
    return -torch.min(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


def kl_divergences(log_policy: Tensor, log_reference: Tensor) -> Tensor:
    """(N,) KL(policy || reference), in nats, of next-token log-probabilities (N, V)."""
    return (log_policy.exp() * (log_policy - log_reference)).sum(-1)


def adapted_kl_weight(weight: float, kl: float, target: float) -> float:
    """The weight for the next batch: up to a fifth more or less, as the KL was above or below its target."""
    return weight * (1 + 0.2 * max(-1.0, min(1.0, kl / target - 1)))


class Part(NamedTuple):
    """A minibatch with what stays fixed while it is learned from."""

    batch: Batch
    estimate: Estimate
    reference_hidden: Tensor | None
    """(N, D): of the reference, where the sampled tokens were predicted."""


class PPOAgent(PolicyGradientAgent):
    """A few epochs of minibatches per batch of conversations."""

    name = "ppo"
    Config = PPOConfig
    config: PPOConfig

    reference: LanguageModel | None = None

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.lm.model.parameters(), self.config.learning_rate, weight_decay=0.0)

    def begin(self) -> None:
        config = self.config
        self.kl_weight = config.kl_weight
        starts_trained = config.init is not None or config.model is not None
        if config.kl_target is not None and starts_trained:
            self.reference = LanguageModel(copy.deepcopy(self.lm.model).eval(), self.lm.tokenizer)

    def training_state(self) -> dict[str, Any]:
        return {**super().training_state(), "kl_weight": self.kl_weight}

    def load_training_state(self, state: dict[str, Any]) -> None:
        super().load_training_state(state)
        self.kl_weight = state["kl_weight"]

    def update(self, conversations: list[Conversation]) -> LogRow:
        config = self.config
        parts = [self._prepare(part) for part in minibatches(conversations, config.minibatch_size)]
        batches, estimates = [part.batch for part in parts], [part.estimate for part in parts]
        advantages = normalised(batches, estimates)
        rows: list[LogRow] = []
        for _ in range(config.num_epochs):
            for number in torch.randperm(len(parts)).tolist():
                batch = batches[number]
                rows.append(self._learn_from(parts[number], advantages[number][batch.rows, batch.turns]))
        averaged = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        if self.reference is not None and config.kl_target is not None:
            self.kl_weight = adapted_kl_weight(self.kl_weight, averaged["kl"], config.kl_target)
            averaged["kl_weight"] = self.kl_weight
        return {**averaged, **teach_critic(self, batches, estimates)}

    def _prepare(self, conversations: list[Conversation]) -> Part:
        batch = Batch.of(conversations, self.lm.tokenizer.pad_id)
        reference_hidden = None
        if self.reference is not None:
            with torch.no_grad():
                reference_hidden = before(self.reference.hidden(batch.ids), batch.action_mask)
        return Part(batch, estimate(self, batch, self.config.lam), reference_hidden)

    def _learn_from(self, part: Part, credit: Tensor) -> LogRow:
        """One gradient step; ``credit`` (N,) is the advantage of each sampled token."""
        config, batch = self.config, part.batch
        hidden = self.lm.hidden(batch.ids)
        log_policy = self.lm.log_distribution(hidden, batch.action_mask, config.sampling_temperature)  # (N, V)
        logprobs, entropy = chosen(log_policy, batch.ids, batch.action_mask), entropies(log_policy).mean()
        policy_loss = ppo_loss(logprobs, batch.old_logprobs, credit, config.clip)
        loss = policy_loss - config.entropy_weight * entropy
        kl = torch.zeros(())
        if part.reference_hidden is not None:
            assert self.reference is not None
            with torch.no_grad():
                logits = self.reference.logits(part.reference_hidden)
                log_reference = torch.log_softmax(logits / config.sampling_temperature, dim=-1)
            kl = kl_divergences(log_policy, log_reference).mean()
            loss = loss + self.kl_weight * kl
        norm = self.step(loss)
        ratio = (logprobs - batch.old_logprobs).detach().exp()
        return {
            "loss": policy_loss.item(),
            "entropy": entropy.item(),
            "kl": kl.item(),
            "clipped": ((ratio - 1).abs() > config.clip).float().mean().item(),
            "grad_norm": norm,
        }
