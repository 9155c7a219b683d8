"""The policy-gradient loss that REINFORCE and the actor-critic share."""

from __future__ import annotations

from torch import Tensor

from ..base import LogRow
from .policy_gradient import Microbatch, PolicyGradientAgent


def reinforce_loss(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """Policy-gradient loss, a scalar to minimise.

    Args:
        logprobs: (N,) log pi(token | prefix) of the policy being trained, in nats, of the sampled tokens.
        advantages: (N,) of the turn that each token belongs to; constants.
    """
    return -(logprobs * advantages.detach()).mean()


def policy_gradient_loss(agent: PolicyGradientAgent, microbatch: Microbatch) -> tuple[Tensor, LogRow]:
    """That of a microbatch, less the entropy bonus; and what to log of it."""
    config, batch = agent.config, microbatch.batch
    found = agent.lm.token_logprobs(batch.ids, batch.action_mask, config.sampling_temperature)
    loss, entropy = reinforce_loss(found.logprobs, microbatch.advantages), found.entropies.mean()
    return loss - config.entropy_weight * entropy, {"loss": loss.item(), "entropy": entropy.item()}
