"""Proximal policy optimisation of a language model in conversation.

Schulman et al. (2017), equation 7, https://arxiv.org/abs/1707.06347: the clipped surrogate, per token. Advantages are
GAE over turns, shared by the tokens of a turn; the critic is ``critic.py``'s.
A KL penalty holds the policy to the model it started from, its weight adapted to a target as in Ziegler et al. (2019),
section 2.2, https://arxiv.org/abs/1909.08593; ours is in the loss rather than in the reward, and is the exact KL
of the next-token distributions, not an estimate from the sampled token, whose variance is ruinous when a token
has become rare.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import torch
from torch import Tensor

from ..base import LogRow
from .actor_critic import ActorCriticConfig
from .advantages import normalised
from .critic import estimate_advantages, fit_critic
from .model import LanguageModel
from .policy_gradient import Microbatch, PolicyGradientAgent
from .rollout import Episode


@dataclasses.dataclass(frozen=True)
class PPOConfig(ActorCriticConfig):
    """The whole configuration; see :class:`ActorCriticConfig`.

    Attributes:
        clip: epsilon, how far the ratio of new to old probability counts.
        minibatch_size: conversations per gradient step.
        num_epochs: passes over each batch.
        kl_target: mean KL from the reference, in nats per token, that the penalty aims at; None has no penalty, and
            there is none without ``init`` or ``model``: random weights are nothing to hold on to.
        kl_weight: of the penalty at the start.
    """

    learning_rate: float = 3e-4
    clip: float = 0.2
    minibatch_size: int = 32
    num_epochs: int = 2
    kl_target: float | None = 0.05
    kl_weight: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("minibatch_size", "num_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.kl_target is not None and not self.kl_target > 0:
            raise ValueError(f"kl_target must be above 0 or None, got {self.kl_target}")


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


def adapted_kl_weight(weight: float, kl: float, target: float) -> float:
    """The weight for the next batch: up to a fifth more or less, as the KL was above or below its target."""
    return weight * (1 + 0.2 * max(-1.0, min(1.0, kl / target - 1)))


class PPOAgent(PolicyGradientAgent):
    """A few epochs of minibatches per batch of conversations."""

    name = "ppo"
    Config = PPOConfig
    config: PPOConfig
    reference: LanguageModel | None = None
    kl_weight: float

    @property
    def num_passes(self) -> int:
        return self.config.num_epochs

    def begin(self) -> None:
        super().begin()
        config = self.config
        self.kl_weight = config.kl_weight
        starts_trained = config.init is not None or config.model is not None
        if config.kl_target is not None and starts_trained:
            self.reference = self.lm.frozen_copy()

    def training_state(self) -> dict[str, Any]:
        reference = None if self.reference is None else self.reference.model.state_dict()
        return {**super().training_state(), "kl_weight": self.kl_weight, "reference": reference}

    def load_training_state(self, state: dict[str, Any]) -> None:
        super().load_training_state(state)
        self.kl_weight = state["kl_weight"]
        if self.reference is not None:
            self.reference.model.load_state_dict(state["reference"])

    def update(self, episodes: list[Episode], rng: random.Random) -> LogRow:
        config, batch = self.config, self.batch(episodes)
        found = estimate_advantages(self.critic, batch, config.reward_scale, config.gamma, config.lam)
        minibatches = self._minibatches(episodes, normalised(found.advantages, batch.turn_mask), rng)
        rows = []
        for _ in range(config.num_epochs):
            rng.shuffle(minibatches)
            rows += [self.step(microbatches, self._loss) for microbatches in minibatches]
        row = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        if self.reference is not None and config.kl_target is not None:
            self.kl_weight = adapted_kl_weight(self.kl_weight, row["kl"], config.kl_target)
            row["kl_weight"] = self.kl_weight
        return {**row, **fit_critic(self.critic, batch, found, config.value_steps, config.value_learning_rate)}

    def _minibatches(self, episodes: list[Episode], advantages: Tensor, rng: random.Random) -> list[list[Microbatch]]:
        """The episodes in minibatches drawn at random, each in microbatches that pass through the model together."""
        order = rng.sample(range(len(episodes)), len(episodes))
        size = self.config.minibatch_size
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        return [self.microbatches([episodes[number] for number in group], advantages[group]) for group in groups]

    def _loss(self, microbatch: Microbatch) -> tuple[Tensor, LogRow]:
        config, batch = self.config, microbatch.batch
        found = self.lm.token_logprobs(batch.ids, batch.action_mask, config.sampling_temperature, self.reference)
        policy_loss = ppo_loss(found.logprobs, batch.old_logprobs, microbatch.advantages, config.clip)
        entropy = found.entropies.mean()
        loss = policy_loss - config.entropy_weight * entropy
        row = {"loss": policy_loss.item(), "entropy": entropy.item()}
        if found.kl is not None:
            kl = found.kl.mean()
            loss, row["kl"] = loss + self.kl_weight * kl, kl.item()
        ratio = (found.logprobs - batch.old_logprobs).detach().exp()
        return loss, {**row, "clipped": ((ratio - 1).abs() > config.clip).float().mean().item()}
