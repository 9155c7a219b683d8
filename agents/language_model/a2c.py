"""Advantage actor-critic with a value per turn.

Mnih et al. (2016), section 4, https://arxiv.org/abs/1602.01783, synchronous as in the usual A2C. The critic is a linear
head on the hidden state in which a reply begins, and does not train the language model below it; advantages are GAE
over turns. Ours takes one gradient step per batch of whole conversations.
"""

from __future__ import annotations

import dataclasses
import random

from ..base import LogRow
from .critic import estimate, normalised, teach
from .policy_gradient import PolicyGradientAgent, PolicyGradientConfig
from .reinforce import entropic_loss
from .rollout import Conversation


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


class A2CAgent(PolicyGradientAgent):
    """One gradient step of the actor per batch of conversations, then the critic's."""

    name = "a2c"
    Config = A2CConfig
    config: A2CConfig

    def update(self, conversations: list[Conversation], rng: random.Random) -> LogRow:
        config, batch = self.config, self.batch(conversations)
        found = estimate(self.critic, batch, config.reward_scale, config.gamma, config.lam)
        parts = self.parts(conversations, normalised(found.advantages, batch.turn_mask))
        row = self.step(parts, lambda part: entropic_loss(self, part))
        return {**row, **teach(self.critic, batch, found, config.value_steps, config.value_learning_rate)}
