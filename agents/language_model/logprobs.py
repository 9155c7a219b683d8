"""Log-probabilities of sampled tokens, entropies and KL divergences, from logits. All in nats."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TokenLogprobs(NamedTuple):
    """What a policy thinks of N sampled tokens.

    Attributes:
        logprobs: (N,) log-probabilities of the tokens, row by row.
        entropies: (N,) of the distributions they were drawn from.
        kl: (N,) exact KL(policy || reference) of these distributions; None without a reference.
    """

    logprobs: Tensor
    entropies: Tensor
    kl: Tensor | None = None


def token_logprobs(log_policy: Tensor, tokens: Tensor, log_reference: Tensor | None = None) -> TokenLogprobs:
    """Those of tokens (N,), of log-probabilities (N, V) of the policy and of the reference."""
    kl = None if log_reference is None else kl_divergences(log_policy, log_reference)
    return TokenLogprobs(log_policy.gather(1, tokens[:, None])[:, 0], entropies(log_policy), kl)


def entropies(log_distribution: Tensor) -> Tensor:
    """(N,) entropies, in nats, of (N, V) log-probabilities."""
    return -(log_distribution.exp() * log_distribution).sum(-1)


def kl_divergences(log_policy: Tensor, log_reference: Tensor) -> Tensor:
    """(N,) KL(policy || reference), in nats, of next-token log-probabilities (N, V)."""
    return (log_policy.exp() * (log_policy - log_reference)).sum(-1)
