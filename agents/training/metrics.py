"""What is measured while an agent learns: every number of a training log, its name in trackers, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

OTHER = "other"
"""The group of what is not in the table."""


class Metric(NamedTuple):
    """A number of the log.

    Attributes:
        name: in trackers, "group/name".
        about: what it is, and its unit.
    """

    name: str
    about: str


METRICS: dict[str, Metric] = {
    "env_turns": Metric(
        "time/env_turns", "agent turns learned from so far; of `sft` and `bert`, those of the demonstrations"
    ),
    "epoch": Metric("time/epoch", "passes over the demonstrations or labelled texts so far"),
    "progress": Metric("time/progress", "share of the training that is over, in [0, 1]; it may stop before 1"),
    "seconds": Metric("time/seconds", "wall-clock time of learning so far, validation not counted"),
    "rollout_seconds": Metric("time/rollout_seconds", "of this row's wall-clock time, what playing the rollout took"),
    "tokens": Metric(
        "time/tokens", "tokens a language model learned from so far, read and said, once for every pass; no padding"
    ),
    "gpu_joules": Metric(
        "time/gpu_joules",
        "joules that the GPUs have used so far, validation included, by NVML's counters; needs the extra `energy`",
    ),
    "tokens_per_second": Metric("time/tokens_per_second", "`tokens` since the row before, by `seconds` since then"),
    "turns_per_second": Metric(
        "time/turns_per_second", "`env_turns` since the row before, by `seconds` since then; of agents without tokens"
    ),
    "success": Metric(
        "rollout/success",
        "share of the conversations learned from that succeeded, as they were played: with exploration or sampling; of "
        "`sft` the demonstrations', of `bert` the accuracy on the training texts",
    ),
    "return": Metric("rollout/return", "their mean sum of rewards, neither scaled nor discounted"),
    "turns": Metric("rollout/turns", "their mean number of agent turns"),
    "episodes": Metric("rollout/episodes", "how many conversations this row is about"),
    "conversations_played": Metric("rollout/conversations_played", "how many conversations this update played"),
    "conversations_learned": Metric(
        "rollout/conversations_learned",
        "how many of them it learned from: those of groups in which not all returned the same, unless there is a KL "
        "penalty or an entropy bonus as well",
    ),
    "states": Metric("table/states", "states that the table has values for"),
    "loss": Metric(
        "loss/policy",
        "what is minimised, before penalties and bonuses: the surrogate of the policy gradient, which is near 0 by "
        "construction and need not fall; of `sft`, `bert` and `preference` the mean cross-entropy, in nats",
    ),
    "value_loss": Metric("loss/value", "mean squared error of the critic on this batch, before it learned from it"),
    "explained_variance": Metric(
        "loss/explained_variance",
        "share of the variance of returns that the critic foresaw: 1 is all, 0 none, below 0 worse than their mean",
    ),
    "entropy": Metric(
        "loss/entropy",
        "mean entropy of the next token where one was sampled, in nats, of the conversations learned from",
    ),
    "kl": Metric(
        "loss/kl", "mean KL divergence from the reference model per sampled token, in nats; 0 where none is kept"
    ),
    "kl_weight": Metric("loss/kl_weight", "weight of the KL penalty from the next batch on"),
    "clipped": Metric("loss/clipped", "share of the sampled tokens whose probability ratio is outside the clip range"),
    "importance_weight": Metric(
        "loss/importance_weight",
        "mean truncated weight of the sampled tokens, by which a sampler that is not quite the policy is put right; 1 "
        "where they agree",
    ),
    "sampler_kl": Metric(
        "loss/sampler_kl",
        "KL divergence KL(sampler || policy), estimated from the sampled tokens, in nats per token; near 0 where they "
        "agree",
    ),
    "sampler_lag": Metric(
        "rollout/sampler_lag", "by how many updates the weights of a server that samples are older than the policy's"
    ),
    "grad_norm": Metric("loss/grad_norm", "norm of the gradient before it is clipped, mean over the updates"),
    "validation": Metric(
        "validation/score",
        "what the best model is chosen by: success on the frozen validation goals, acting as in evaluation; of `bert` "
        "without such goals, the accuracy on validation texts",
    ),
    "validation_loss": Metric("validation/loss", "mean cross-entropy on what is held out, in nats"),
    "validation_perplexity": Metric("validation/perplexity", "e to the power of the validation loss"),
}
"""By name in the row of a log."""


def name_of(key: str) -> str:
    """What a key of a row is called in trackers; one that has a group already keeps it."""
    if key in METRICS:
        return METRICS[key].name
    return key if "/" in key else f"{OTHER}/{key}"


def named(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row by their names in trackers; what is None or a text is left out."""
    return {
        name_of(key): float(value)
        for key, value in row.items()
        if value is not None and not isinstance(value, (str, bool))
    }


def step_of(row: Mapping[str, Any]) -> int:
    """Where a row stands in its training: epochs where it has them, since demonstrations do not grow, else turns."""
    return int(row["epoch"] if "epoch" in row else row["env_turns"])
