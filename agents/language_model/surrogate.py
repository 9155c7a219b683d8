"""What PPO, GRPO and RLOO share in their losses: clipped ratios, truncated importance weights, estimates of the KL."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def clipped_surrogate(ratio: Tensor, advantages: Tensor, clip_low: float, clip_high: float) -> Tensor:
    """min(ratio * A, clip(ratio, 1 - clip_low, 1 + clip_high) * A), of the shape of both: to be maximised.

    Reference: Schulman et al. (2017), equation 7, https://arxiv.org/abs/1707.06347; the higher upper limit, which
        leaves rare tokens room to grow, is of Yu et al. (2025), section 3.1, https://arxiv.org/abs/2503.14476.
    """
    return torch.min(ratio * advantages, ratio.clamp(1 - clip_low, 1 + clip_high) * advantages)


def truncated_weights(log_ratio: Tensor, cap: float) -> Tensor:
    """min(pi_old / pi_sampler, cap): what a sample counts that was drawn from another distribution. Constants.

    Without the cap the weights are unbiased, and the variance of a product of many is ruinous.

    Args:
        log_ratio: log pi_old - log pi_sampler of each sample, where pi_old is the policy before it learns from it.
        cap: the most that a sample counts.

    Reference: Espeholt et al. (2018), section 4.1, https://arxiv.org/abs/1802.01561; for language models whose sampler
        is another program than their trainer, Yao et al. (2025), "Your efficient RL framework secretly brings you
        off-policy RL training".
    """
    return log_ratio.detach().exp().clamp(max=cap)


def kl_k3(logprobs: Tensor, reference_logprobs: Tensor, drawn_at: Tensor | None = None) -> Tensor:
    """(N,) estimates of KL(policy || reference) from the sampled tokens alone: r - 1 - log r, r = reference / policy.

    Never negative and unbiased; its variance is large where a token has become rare.

    The gradient of its mean is not that of the KL, as the tokens are drawn from the policy; that of r' times it is,
    where r' is the ratio of the policy to what they were drawn from: with ``drawn_at`` (N,), the log-probabilities
    under that, estimates are multiplied by it.

    Reference: Schulman (2020), "Approximating KL divergence", http://joschu.net/blog/kl-approx.html; for r',
        DeepSeek-AI (2025), https://arxiv.org/abs/2512.02556.
    """
    log_ratio = reference_logprobs - logprobs
    estimates = log_ratio.exp() - 1 - log_ratio
    return estimates if drawn_at is None else estimates * (logprobs - drawn_at).exp()


def drawn_at(old_logprobs: Tensor, sampled_logprobs: Tensor, cap: float | None) -> Tensor:
    """(N,) log-probabilities under which tokens count as drawn, for :func:`kl_k3`.

    Those of their sampler, where that is not quite the policy; but no token counts more than ``cap`` times to the
    policy before its update, as with :func:`truncated_weights`. None takes the policy for the sampler.
    """
    return old_logprobs if cap is None else torch.maximum(sampled_logprobs, old_logprobs - math.log(cap))


def sums(values: Tensor, index: Tensor) -> Tensor:
    """(M,) sums of values (N,) by their index (N,), which runs from 0 to M - 1."""
    return values.new_zeros(int(index.max()) + 1).index_add(0, index, values)


def mean_of_conversations(values: Tensor, rows: Tensor) -> Tensor:
    """The mean over conversations of the mean over their tokens, a scalar, of values (N,); ``rows`` (N,) is whose."""
    return (sums(values, rows) / torch.bincount(rows)).mean()
