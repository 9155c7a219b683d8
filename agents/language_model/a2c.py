"""Advantage actor-critic with a value per turn.

Mnih et al. (2016), section 4, https://arxiv.org/abs/1602.01783, synchronous as in the usual A2C. The critic is a linear
head on the hidden state in which a reply begins, and does not train the language model below it; advantages are GAE
over turns. Ours takes one gradient step per batch of whole conversations.
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
from .batch import Batch, gradient_step, warm_up
from .critic import ValueHead, estimate_advantages, fit_critic
from .memory import TokenBudget
from .rollout import collect, count_tokens, count_turns, outcomes, playing, state_of
from .settings import RLConfig, above_zero, at_least, shares


@dataclasses.dataclass(frozen=True)
class A2CConfig(RLConfig):
    """The whole configuration; see :class:`RLConfig`.

    Attributes:
        lam: lambda of GAE, in [0, 1].
        value_steps: full-batch steps of the critic on each batch of conversations, after the policy's.
        value_learning_rate: of the critic.
    """

    lam: float = 0.95
    value_steps: int = 50
    value_learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, value_steps=0)
        above_zero(self, "value_learning_rate")
        shares(self, "lam")


def actor_loss(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """The actor's policy-gradient loss, a scalar to minimise.

    Args:
        logprobs: (N,) log pi(token | prefix) of the policy being trained, in nats, of the sampled tokens.
        advantages: (N,) of the turn that each token belongs to; constants.
    """
    return -(logprobs * advantages.detach()).mean()


class A2CAgent(LanguageModelAgent):
    """One gradient step of the actor per batch of conversations, then the critic's."""

    name = "a2c"
    Config = A2CConfig
    config: A2CConfig

    @property
    def critic_knows_returns(self) -> bool:
        """In groups it learns by how much a conversation returns more than the others about its goal."""
        return self.config.group_size == 1

    def train(self, env: Any, training: Training) -> None:
        """One log row per update."""
        config, lm = self.config, self.lm
        optimizer = torch.optim.AdamW(lm.trainable_parameters(), config.learning_rate, weight_decay=0.0)
        critic = self.critic = ValueHead(lm.hidden_size).to(lm.device)
        parts = {"optimizer": optimizer, "critic": critic}

        def loss_of(batch: Batch) -> tuple[Tensor, LogRow]:
            found = lm.token_logprobs(batch.ids, batch.action_mask, config.sampling_temperature)
            loss, entropy = actor_loss(found.logprobs, batch.token_advantages), found.entropies.mean()
            return loss - config.entropy_weight * entropy, {"loss": loss.item(), "entropy": entropy.item()}

        step = functools.partial(gradient_step, lm, optimizer, loss_of, config.max_grad_norm, TokenBudget())
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

                row = step(batch, range(len(batch)))
                row.update(fit_critic(critic, batch, found, config.value_steps, config.value_learning_rate))
                self.forget()  # what was read with the old weights
                row = {**outcomes(episodes), **row}
                run.finish_update(count_turns(episodes), count_tokens(episodes), row)
