"""Proximal policy optimisation of a language model in conversation.

Schulman et al. (2017), equation 7, https://arxiv.org/abs/1707.06347: the clipped surrogate, per token. Advantages are
GAE over turns, shared by the tokens of a turn; the critic is ``critic.py``'s.
A KL penalty holds the policy to the model it started from. It is in the loss rather than in the reward, and is the
exact KL of the next-token distributions, not an estimate from the sampled token, whose variance is ruinous when a
token has become rare. Its weight is fixed, or follows a target as in Ziegler et al. (2019), section 2.2,
https://arxiv.org/abs/1909.08593.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor

from ..base import LogRow
from ..training.learner import Training
from ..training.run import Run
from .advantages import normalised
from .agent import LanguageModelAgent
from .batch import Batch, drawn_minibatches, gradient_step, mean_row, reference_state, warm_up
from .critic import ValueHead, estimate_advantages, fit_critic
from .memory import TokenBudget
from .reference import RememberedReference
from .rollout import collect, count_tokens, count_turns, outcomes, playing, state_of
from .settings import RLConfig, above_zero, at_least, shares
from .surrogate import clipped_surrogate


@dataclasses.dataclass(frozen=True)
class PPOConfig(RLConfig):
    """The whole configuration; see :class:`RLConfig`.

    Attributes:
        lam: lambda of GAE, in [0, 1].
        value_steps: full-batch steps of the critic on each batch of conversations, after the policy's.
        value_learning_rate: of the critic.
        clip: epsilon, how far the ratio of new to old probability counts.
        minibatch_size: conversations per gradient step.
        num_epochs: passes over each batch.
        kl_weight: of the KL from the model that the training started from, in nats per token, in the loss; 0 needs no
            such reference, and there is none without ``init`` or ``model``: random weights are nothing to hold on to.
        kl_target: mean KL that the weight then follows, in nats per token: a few nats a reply, so it depends on the
            length of replies. None leaves the weight as it is.
    """

    lam: float = 0.95
    value_steps: int = 50
    value_learning_rate: float = 3e-3
    clip: float = 0.2
    minibatch_size: int = 32
    num_epochs: int = 2
    kl_weight: float = 0.05
    kl_target: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, minibatch_size=1, num_epochs=1, value_steps=0, kl_weight=0)
        above_zero(self, "value_learning_rate", "clip")
        shares(self, "lam")
        if self.kl_target is not None and not self.kl_target > 0:
            raise ValueError(f"kl_target must be above 0 or None, got {self.kl_target}")
        if self.kl_target is not None and self.kl_weight == 0:
            raise ValueError("kl_weight must be above 0 for kl_target to change it, got 0")


def ppo_loss(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The clipped surrogate, a scalar to minimise.

    Args:
        logprobs: (N,) of the sampled tokens under the policy being trained, in nats.
        old_logprobs: (N,) under the policy that sampled them.
        advantages: (N,) of each token; constants.
        clip: epsilon.
    """
    ratio = (logprobs - old_logprobs).exp()
    return -clipped_surrogate(ratio, advantages, clip, clip).mean()


class KLWeight:
    """The weight of the KL penalty, which may follow a target: up to a fifth more or less after each batch.

    Args:
        value: to begin with.
        target: in nats per token; None leaves the weight as it is.
    """

    def __init__(self, value: float, target: float | None = None):
        self.value, self.target = value, target

    def adapt(self, kl: float) -> None:
        """After a batch with this mean KL."""
        if self.target is not None:
            self.value *= 1 + 0.2 * max(-1.0, min(1.0, kl / self.target - 1))

    def state_dict(self) -> dict[str, float]:
        """For checkpoints."""
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """From a checkpoint."""
        self.value = state["value"]


class PPOAgent(LanguageModelAgent):
    """A few epochs of minibatches per batch of conversations."""

    name = "ppo"
    Config = PPOConfig
    config: PPOConfig

    @property
    def critic_knows_returns(self) -> bool:
        """In groups it learns by how much a conversation returns more than the others about its goal."""
        return self.config.group_size == 1

    def train(self, env: Any, training: Training) -> None:
        """One log row per update."""
        config, lm = self.config, self.lm
        optimizer = torch.optim.AdamW(lm.trainable_parameters(), config.learning_rate, weight_decay=0.0)
        critic = self.critic = ValueHead(lm.hidden_size).to(lm.device)
        starts_trained = config.init is not None or config.model is not None
        reference = lm.frozen_copy() if config.kl_weight > 0 and starts_trained else None
        remembered = None if reference is None else RememberedReference(reference)
        kl_weight = KLWeight(config.kl_weight, config.kl_target)

        def loss_of(batch: Batch) -> tuple[Tensor, LogRow]:
            found = lm.token_logprobs(batch.ids, batch.action_mask, config.sampling_temperature, remembered)
            old_logprobs = batch.tokens(batch.old_logprobs)
            policy_loss = ppo_loss(found.logprobs, old_logprobs, batch.token_advantages, config.clip)
            entropy, ratio = found.entropies.mean(), (found.logprobs - old_logprobs).detach().exp()
            loss, row = policy_loss - config.entropy_weight * entropy, {"loss": policy_loss, "entropy": entropy}
            if found.kl is not None:
                row["kl"] = found.kl.mean()
                loss = loss + kl_weight.value * row["kl"]
            row["clipped"] = ((ratio - 1).abs() > config.clip).float().mean()
            return loss, {name: value.item() for name, value in row.items()}

        step = functools.partial(gradient_step, lm, optimizer, loss_of, config.max_grad_norm, TokenBudget())
        parts = {"optimizer": optimizer, "critic": critic, "kl_weight": kl_weight, **reference_state(lm, reference)}
        with (
            playing(env, config) as envs,
            Run.begin(training, config.env_turns, config.num_reports, **parts, **state_of(envs)) as run,
        ):
            while run.goes_on:
                rng = run.next_update()
                warm_up(optimizer, config.learning_rate, run.num_updates, config.warmup_updates)
                with run.timing("rollout_seconds"):
                    episodes = collect(lm, envs, config, rng)
                batch = Batch.of(episodes, lm.tokenizer.pad_id, lm.device)

                found = estimate_advantages(critic, batch, config.reward_scale, config.gamma, config.lam)
                batch = dataclasses.replace(batch, advantages=normalised(found.advantages, batch.turn_mask))

                minibatches, rows = drawn_minibatches(len(batch), config.minibatch_size, rng), []
                for _ in range(config.num_epochs):
                    rng.shuffle(minibatches)
                    rows += [step(batch, minibatch) for minibatch in minibatches]
                row = mean_row(rows)
                if remembered is not None:
                    remembered.forget()
                    kl_weight.adapt(row["kl"])
                    row["kl_weight"] = kl_weight.value
                row.update(fit_critic(critic, batch, found, config.value_steps, config.value_learning_rate))
                self.forget()  # what was read with the old weights
                row = {**outcomes(episodes), **row}
                run.finish_update(count_turns(episodes), config.num_epochs * count_tokens(episodes), row)
