"""What the algorithms with a critic share: the settings of A2C and PPO."""

from __future__ import annotations

import dataclasses

from .policy_gradient import PolicyGradientConfig


@dataclasses.dataclass(frozen=True)
class ActorCriticConfig(PolicyGradientConfig):
    """What all of them have; see :class:`PolicyGradientConfig`.

    Attributes:
        lam: lambda of GAE, in [0, 1].
        value_steps: full-batch steps of the critic on each batch of conversations, after the policy's.
        value_learning_rate: of the critic.
    """

    lam: float = 0.95
    value_steps: int = 50
    value_learning_rate: float = 3e-3
