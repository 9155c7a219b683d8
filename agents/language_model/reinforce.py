"""REINFORCE with the batch's mean return as baseline, on whole conversations.

Williams (1992), sections 4-5, https://doi.org/10.1007/BF00992696. Each token is credited with the return from its turn
on (Sutton & Barto, 2018, section 13.4), less a baseline: the batch's mean return at the same turn, its own included.
With its own left out, the advantage among n conversations would be n / (n - 1) of ours. Ours averages over tokens, not
over conversations, and divides by the standard deviation of the advantages.

Returns are those of whole conversations. One that outgrows the model's context is played on to its end, with its latest
messages in a context that is half empty again, as when the agent acts; what is said from there on is not learned from,
and its rewards belong to the last turn before. So it does not pay to fill the context. The turn limit is part of the
task: a conversation that it ends returns what it was paid until then.
"""

from __future__ import annotations

import dataclasses
import functools
import random

from ..base import LogRow
from .advantages import discounted_returns, scaled, turn_baseline
from .losses import policy_gradient_loss
from .policy_gradient import PolicyGradientAgent, PolicyGradientConfig
from .rollout import Episode


@dataclasses.dataclass(frozen=True)
class ReinforceConfig(PolicyGradientConfig):
    """The whole configuration; see :class:`PolicyGradientConfig`."""

    learning_rate: float = 5e-5


class ReinforceAgent(PolicyGradientAgent):
    """One gradient step per batch of conversations."""

    name = "reinforce"
    Config = ReinforceConfig
    config: ReinforceConfig

    def update(self, episodes: list[Episode], rng: random.Random) -> LogRow:
        config, batch = self.config, self.batch(episodes)
        returns = discounted_returns(batch.rewards * config.reward_scale, config.gamma)  # (B, K)
        advantages = returns - turn_baseline(returns, batch.turn_mask)
        microbatches = self.microbatches(episodes, scaled(advantages, batch.turn_mask))
        return self.step(microbatches, functools.partial(policy_gradient_loss, self))
