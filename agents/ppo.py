"""Proximal policy optimisation of a language model in conversation.

Schulman et al. (2017), equation 7, https://arxiv.org/abs/1707.06347: the clipped surrogate, per token. Advantages are
GAE over turns, shared by the tokens of a turn; the critic is a linear head on the hidden state in which a reply begins.
A KL penalty holds the policy to the model it started from, its weight adapted to a target as in Ziegler et al. (2019),
section 2.2, https://arxiv.org/abs/1909.08593; ours is in the loss, with the estimator exp(d) - 1 - d of
d = log p_ref - log p (non-negative, its gradient is zero at p_ref), rather than in the reward.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .a2c import A2CConfig, estimate
from .base import LogRow
from .language_model import LanguageModel
from .policy_gradient import PolicyGradientAgent, hidden_at
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

    learning_rate: float = 1e-4
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


def kl_estimates(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """(N,) estimates of KL(policy || reference) from tokens that the policy sampled; each is at least 0.

    Reference: Schulman (2020), "Approximating KL divergence", estimator k3, http://joschu.net/blog/kl-approx.html.
    """
    difference = ref_logprobs - logprobs
    return difference.exp() - 1 - difference


def adapted_kl_weight(weight: float, kl: float, target: float) -> float:
    """The weight for the next batch: up to a fifth more or less, as the KL was above or below its target."""
    return weight * (1 + 0.2 * max(-1.0, min(1.0, kl / target - 1)))


class Part(NamedTuple):
    """A minibatch with what stays fixed while it is learned from."""

    batch: Batch
    advantages: Tensor
    targets: Tensor
    ref_logprobs: Tensor | None


class PPOAgent(PolicyGradientAgent):
    """A few epochs of minibatches per batch of conversations."""

    name = "ppo"
    Config = PPOConfig
    config: PPOConfig

    reference: LanguageModel | None = None

    def make_optimizer(self) -> torch.optim.Optimizer:
        groups = [
            {"params": list(self.lm.model.parameters()), "lr": self.config.learning_rate},
            {"params": list(self.value_head.parameters()), "lr": self.config.value_learning_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=0.0)

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
        flat = torch.cat([part.advantages[part.batch.turn_mask] for part in parts])
        mean, scale = flat.mean(), flat.std() + 1e-6
        rows: list[LogRow] = []
        for _ in range(config.num_epochs):
            for number in torch.randperm(len(parts)).tolist():
                part = parts[number]
                credit = ((part.advantages - mean) / scale)[part.batch.rows, part.batch.turns]  # (N,)
                rows.append(self._learn_from(part, credit))
        averaged = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        if self.reference is not None and config.kl_target is not None:
            self.kl_weight = adapted_kl_weight(self.kl_weight, averaged["kl"], config.kl_target)
            averaged["kl_weight"] = self.kl_weight
        targets = torch.cat([part.targets[part.batch.turn_mask] for part in parts])
        averaged["explained_variance"] = float(1 - flat.var() / (targets.var() + 1e-9))
        return averaged

    def _prepare(self, conversations: list[Conversation]) -> Part:
        batch = Batch.of(conversations, self.lm.tokenizer.pad_id)
        advantages, targets = estimate(self, batch, self.config.lam)
        ref_logprobs = None
        if self.reference is not None:
            with torch.no_grad():
                hidden = self.reference.hidden(batch.ids)
                ref_logprobs, _ = self.reference.logprobs(
                    hidden, batch.ids, batch.action_mask, self.config.sampling_temperature
                )
        return Part(batch, advantages, targets, ref_logprobs)

    def _learn_from(self, part: Part, credit: Tensor) -> LogRow:
        """One gradient step."""
        config, batch = self.config, part.batch
        hidden = self.lm.hidden(batch.ids)
        logprobs, entropies = self.lm.logprobs(hidden, batch.ids, batch.action_mask, config.sampling_temperature)
        policy_loss = ppo_loss(logprobs, batch.old_logprobs, credit, config.clip)
        values = self.value_head(hidden_at(hidden, batch.starts))
        value_loss = ((values - part.targets)[batch.turn_mask] ** 2).mean()
        loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropies.mean()
        kl = torch.zeros(())
        if part.ref_logprobs is not None:
            kl = kl_estimates(logprobs, part.ref_logprobs).mean()
            loss = loss + self.kl_weight * kl
        norm = self.step(loss)
        ratio = (logprobs - batch.old_logprobs).detach().exp()
        return {
            "loss": policy_loss.item(),
            "value_loss": value_loss.item(),
            "entropy": entropies.mean().item(),
            "kl": kl.item(),
            "clipped": ((ratio - 1).abs() > config.clip).float().mean().item(),
            "grad_norm": norm,
        }
