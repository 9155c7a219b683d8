"""Log-probabilities of sampled tokens, entropies and KL divergences, from logits. All in nats.

At a vocabulary of 152,000 the log-probabilities of 1,024 tokens are 0.6 GB in float32, and the plain formulas hold
several such tensors until the gradients are known. Here it is done a few rows at a time, forwards and again backwards:
what lives on beside the logits is N numbers of each kind.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

IMPOSSIBLE = -1e9
"""Logit of a token that cannot be said; finite, so that gradients of entropies are."""
CHUNK_ELEMENTS = 2**21
"""Logits that are worked on at a time: 8 MB in float32."""


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


def token_logprobs(
    logits: Tensor,
    tokens: Tensor,
    forbidden: Tensor,
    temperature: float = 1.0,
    reference_logits: Tensor | None = None,
) -> TokenLogprobs:
    """What a policy thinks of tokens, from its logits; differentiable in these, once.

    Args:
        logits: (N, V) of the policy, of any floating type; computed with in float32, or in float64 if they are.
        tokens: (N,) int64 that were sampled.
        forbidden: (F,) int64 tokens that cannot be sampled.
        temperature: of sampling; the reference is taken at it too.
        reference_logits: (N, V), constants; None has no KL.
    """
    logprobs, entropies, kl = _TokenLogprobs.apply(logits, tokens, forbidden, temperature, reference_logits)
    return TokenLogprobs(logprobs, entropies, None if reference_logits is None else kl)


def log_distribution(logits: Tensor, forbidden: Tensor, temperature: float = 1.0) -> Tensor:
    """(N, V) log-probabilities of logits (N, V), of which the forbidden tokens (F,) are out."""
    return torch.log_softmax(possible(logits, forbidden) / temperature, dim=-1)


def possible(logits: Tensor, forbidden: Tensor) -> Tensor:
    """(..., V) logits in float32, or in float64 if they were; forbidden tokens (F,) are out."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return wide.index_fill(-1, forbidden, IMPOSSIBLE)


def entropies(log_policy: Tensor) -> Tensor:
    """(N,) entropies of (N, V) log-probabilities."""
    return -(log_policy.exp() * log_policy).sum(-1)


def kl_divergences(log_policy: Tensor, log_reference: Tensor) -> Tensor:
    """(N,) KL(policy || reference) of next-token log-probabilities (N, V)."""
    return (log_policy.exp() * (log_policy - log_reference)).sum(-1)


class _TokenLogprobs(torch.autograd.Function):
    """The three of :class:`TokenLogprobs` and their gradients, chunk by chunk.

    With p the distribution of a row, z its logits, t the temperature, q the reference and a the token that was sampled:
    t d log p_a / dz_j = [j = a] - p_j, t dH / dz_j = -p_j (log p_j + H), and
    t dKL / dz_j = p_j (log p_j - log q_j - KL).
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, logits: Tensor, tokens: Tensor, forbidden: Tensor, temperature: float, reference: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
        found = logits.new_zeros(3, len(tokens), dtype=wide)
        for rows in _chunks(logits):
            log_policy = log_distribution(logits[rows], forbidden, temperature)
            found[0, rows] = log_policy.gather(1, tokens[rows, None])[:, 0]
            found[1, rows] = entropies(log_policy)
            if reference is not None:
                log_reference = log_distribution(reference[rows], forbidden, temperature)
                found[2, rows] = kl_divergences(log_policy, log_reference)
        logprobs, entropy, kl = found
        ctx.save_for_backward(logits, tokens, forbidden, reference, entropy, kl)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return logprobs, entropy, kl

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, logprobs_gradient: Tensor | None, entropy_gradient: Tensor | None, kl_gradient: Tensor | None
    ) -> tuple[Tensor, None, None, None, None]:
        logits, tokens, forbidden, reference, entropy, kl = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        for rows in _chunks(logits):
            log_policy = log_distribution(logits[rows], forbidden, ctx.temperature)
            factor = torch.zeros_like(entropy[rows, None])
            if logprobs_gradient is not None:
                factor = factor - logprobs_gradient[rows, None]
            if entropy_gradient is not None:
                factor = factor - entropy_gradient[rows, None] * (log_policy + entropy[rows, None])
            if kl_gradient is not None:
                log_reference = log_distribution(reference[rows], forbidden, ctx.temperature)
                factor = factor + kl_gradient[rows, None] * (log_policy - log_reference - kl[rows, None])
            part = log_policy.exp_().mul_(factor)
            if logprobs_gradient is not None:
                part.scatter_add_(1, tokens[rows, None], logprobs_gradient[rows, None])
            gradient[rows] = part.index_fill_(1, forbidden, 0.0).div_(ctx.temperature)
        return gradient, None, None, None, None


def _chunks(logits: Tensor) -> list[slice]:
    """Some rows at a time of logits (N, V)."""
    size = max(1, CHUNK_ELEMENTS // logits.shape[1])
    return [slice(start, start + size) for start in range(0, len(logits), size)]
