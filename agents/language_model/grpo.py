"""Group relative policy optimisation: replies to the same goal are compared with one another, and there is no critic.

Shao et al. (2024), section 4.1, https://arxiv.org/abs/2402.03300. What was found since is a setting: no division by the
group's standard deviation and a constant in place of the length (Liu et al., 2025, https://arxiv.org/abs/2503.20783); a
mean over all tokens, a higher upper clip, groups without spread replaced (Yu et al., 2025,
https://arxiv.org/abs/2503.14476); truncated importance weights where the sampler is not the policy (``surrogate.py``).
A conversation has several replies here: each is credited with the whole conversation's return, or with the return from
its turn on. What others say is read and not learned from.
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
from .advantages import discounted_returns, group_normalised
from .agent import LanguageModelAgent
from .batch import Batch, drawn_minibatches, gradient_step, logprobs_under, mean_row, reference_state, warm_up
from .memory import TokenBudget
from .rollout import collect_with_spread, count_tokens, count_turns, outcomes, places_with_spread, playing, state_of
from .served import SampledConfig, sampling
from .settings import at_least, one_of
from .surrogate import clipped_surrogate, drawn_at, kl_k3, mean_of_conversations, sums, truncated_weights


@dataclasses.dataclass(frozen=True)
class GRPOConfig(SampledConfig):
    """The whole configuration; see :class:`SampledConfig`.

    Attributes:
        by_std: advantages are divided by the standard deviation of the group's returns.
        credit: "conversation": every reply is credited with the return of the whole conversation; "turn": with the
            return from its turn on, compared with those of the group at the same turn.
        average: of the loss: "token", over all tokens of the batch; "sequence", over those of each conversation, then
            over conversations; "constant", their sum over ``max_reply_tokens``, then over conversations.
        clip_low, clip_high: how far below and above 1 the ratio of new to old probability counts.
        num_epochs: passes over each batch.
        num_minibatches: gradient steps per pass.
        refills: batches more that are played, at most, to replace groups in which all returned the same, from
            every turn on if ``credit`` is "turn"; 0 leaves these in the batch, whose mean loss they count in as 0.
        kl_weight: of the KL from the model that the training started from, in the loss; 0 needs no such reference.
            With an adapter that is the model below it, where a saved agent learns on as well.
        kl_estimate: "k3", an estimate from the sampled tokens; "k3_unbiased", that times the ratio of their probability
            to that under which they were sampled, of which ``importance_cap`` limits the part before the update, so
            that its gradient is unbiased too; or "exact", of the whole distributions.
    """

    group_size: int = 8
    by_std: bool = True
    credit: str = "conversation"
    average: str = "token"
    clip_low: float = 0.2
    clip_high: float = 0.28
    num_epochs: int = 1
    num_minibatches: int = 1
    refills: int = 0
    kl_weight: float = 0.0
    kl_estimate: str = "k3"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, group_size=2, num_epochs=1, num_minibatches=1, refills=0, kl_weight=0, clip_low=0, clip_high=0)
        one_of(self, credit=("conversation", "turn"), average=("token", "sequence", "constant"))
        one_of(self, kl_estimate=("k3", "k3_unbiased", "exact"))


def grpo_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    rows: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    average: str = "token",
    max_tokens: int = 1,
    weights: Tensor | float = 1.0,
    kl: Tensor | float = 0.0,
    kl_weight: float = 0.0,
) -> Tensor:
    """The clipped surrogate of each token and the KL penalty, averaged: a scalar to minimise.

    Args:
        logprobs: (N,) of the sampled tokens under the policy being trained, in nats.
        old_logprobs: (N,) under the policy before the update.
        advantages: (N,) of each token; constants.
        rows: (N,) int64, the conversation of each token, from 0 on without gaps.
        clip_low, clip_high, average, kl_weight: as in :class:`GRPOConfig`.
        max_tokens: the constant of ``average="constant"``.
        weights: (N,) what each token counts; see :func:`~.surrogate.truncated_weights`.
        kl: (N,) from the reference.
    """
    ratio = (logprobs - old_logprobs).exp()
    losses = kl_weight * kl - weights * clipped_surrogate(ratio, advantages, clip_low, clip_high)  # (N,)
    if average == "token":
        return losses.mean()
    return (sums(losses, rows) / (torch.bincount(rows) if average == "sequence" else max_tokens)).mean()


class GRPOAgent(LanguageModelAgent):
    """A gradient step, or a few, per batch of groups."""

    name = "grpo"
    Config = GRPOConfig
    config: GRPOConfig

    def train(self, env: Any, training: Training) -> None:
        """One log row per update."""
        config, lm, budget, temperature = self.config, self.lm, TokenBudget(), self.config.sampling_temperature
        optimizer = torch.optim.AdamW(lm.trainable_parameters(), config.learning_rate, weight_decay=0.0)
        reference = lm.frozen_copy() if config.kl_weight > 0 else None
        exact, per_turn = reference if config.kl_estimate == "exact" else None, config.credit == "turn"
        by_advantage = reference is None and not config.entropy_weight  # nothing else has a gradient

        def loss_of(batch: Batch) -> tuple[Tensor, LogRow]:
            found = lm.token_logprobs(batch.ids, batch.action_mask, temperature, exact)
            old_logprobs, kl = batch.tokens(batch.old_logprobs), found.kl
            if reference is not None and kl is None:
                drawn = None
                if config.kl_estimate == "k3_unbiased":
                    drawn = drawn_at(old_logprobs, batch.tokens(batch.sampled_logprobs), config.importance_cap)
                kl = kl_k3(found.logprobs, batch.tokens(batch.reference_logprobs), drawn)
            loss = grpo_loss(
                found.logprobs, old_logprobs, batch.token_advantages, batch.rows, config.clip_low, config.clip_high,
                config.average, config.max_reply_tokens, batch.tokens(batch.weights), 0.0 if kl is None else kl,
                config.kl_weight,
            )  # fmt: skip
            entropy, ratio = found.entropies.mean(), (found.logprobs - old_logprobs).detach().exp()
            clipped = ((ratio < 1 - config.clip_low) | (ratio > 1 + config.clip_high)).float().mean()
            row = {"loss": loss, "entropy": entropy, "clipped": clipped}
            if kl is not None:
                row["kl"] = kl.mean()
            logged = {name: value.item() for name, value in row.items()}
            if not config.entropy_weight:
                return loss, logged
            bonus = entropy if config.average == "token" else mean_of_conversations(found.entropies, batch.rows)
            return loss - config.entropy_weight * bonus, logged

        parts = {"optimizer": optimizer, **reference_state(lm, reference)}
        step = functools.partial(gradient_step, lm, optimizer, loss_of, config.max_grad_norm, budget)
        with (
            playing(env, config) as envs,
            sampling(config) as sampler,
            Run.begin(training, config.env_turns, config.num_reports, **parts, **state_of(envs)) as run,
        ):
            while run.goes_on:
                rng = run.next_update()
                warm_up(optimizer, config.learning_rate, run.num_updates, config.warmup_updates)
                with run.timing("rollout_seconds"):
                    behind = sampler.catch_up(lm, run.num_updates)
                    slots_of = sampler.open_slots
                    episodes, played = collect_with_spread(lm, envs, config, config.refills, rng, slots_of, per_turn)
                row = {**outcomes(played), **behind}
                places = places_with_spread(episodes, config.gamma, per_turn) if by_advantage else range(len(episodes))
                teaching = set(places)
                row |= {"conversations_played": len(played), "conversations_learned": len(teaching)}
                if teaching:
                    batch = Batch.of(episodes, lm.tokenizer.pad_id, lm.device)

                    returns = discounted_returns(batch.rewards * config.reward_scale, config.gamma)  # (B, K)
                    returns = returns if per_turn else returns[:, :1].expand_as(returns)
                    reached = batch.turn_mask if per_turn else None
                    advantages = group_normalised(returns, batch.group, reached, config.by_std)
                    batch = dataclasses.replace(batch, advantages=advantages)
                    if config.importance_cap is not None:  # the sampler is not quite the policy
                        old = logprobs_under(lm, batch, temperature, budget)
                        weights = truncated_weights(old - batch.sampled_logprobs, config.importance_cap)
                        batch = dataclasses.replace(batch, old_logprobs=old, weights=weights)
                        row["importance_weight"] = batch.tokens(weights).mean().item()
                        row["sampler_kl"] = batch.tokens(batch.sampled_logprobs - old).mean().item()
                    if reference is not None and exact is None:
                        known = logprobs_under(reference, batch, temperature, budget)
                        batch = dataclasses.replace(batch, reference_logprobs=known)

                    rows = []
                    for _ in range(config.num_epochs):
                        for minibatch in drawn_minibatches(len(batch), -(-len(batch) // config.num_minibatches), rng):
                            if not teaching.isdisjoint(minibatch):
                                rows.append(step(batch, minibatch, config.average != "token", teaching))
                    row.update(mean_row(rows))
                    self.forget()  # what was read with the old weights
                num_tokens = config.num_epochs * count_tokens([episodes[place] for place in teaching])
                run.finish_update(count_turns(played), num_tokens, row)
