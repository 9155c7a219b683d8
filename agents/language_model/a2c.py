"""Advantage actor-critic with a value per turn.

Mnih et al. (2016), section 4, https://arxiv.org/abs/1602.01783, synchronous as in the usual A2C. The critic is a linear
head on the hidden state in which a reply begins, and does not train the language model below it; advantages are GAE
over turns. Ours takes one gradient step per batch of whole conversations.
"""

from __future__ import annotations

import dataclasses
import functools
import random

from ..base import LogRow
from .actor_critic import ActorCriticConfig
from .advantages import normalised
from .critic import estimate_advantages, fit_critic
from .losses import policy_gradient_loss
from .policy_gradient import PolicyGradientAgent
from .rollout import Episode


@dataclasses.dataclass(frozen=True)
class A2CConfig(ActorCriticConfig):
    """The whole configuration; see :class:`ActorCriticConfig`."""

    learning_rate: float = 1e-4


class A2CAgent(PolicyGradientAgent):
    """One gradient step of the actor per batch of conversations, then the critic's."""

    name = "a2c"
    Config = A2CConfig
    config: A2CConfig

    def update(self, episodes: list[Episode], rng: random.Random) -> LogRow:
        config, batch = self.config, self.batch(episodes)
        found = estimate_advantages(self.critic, batch, config.reward_scale, config.gamma, config.lam)
        microbatches = self.microbatches(episodes, normalised(found.advantages, batch.turn_mask))
        row = self.step(microbatches, functools.partial(policy_gradient_loss, self))
        return {**row, **fit_critic(self.critic, batch, found, config.value_steps, config.value_learning_rate)}
