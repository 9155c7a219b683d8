"""REINFORCE leave-one-out: replies to the same goal are compared with the others', and there is no critic.

Ahmadian et al. (2024), section 3, https://arxiv.org/abs/2402.14740: the advantage is the return less the mean return of
the others of the group, and what is chosen is a whole reply, not a token, so that the probability ratio is that of the
whole reply. A conversation has several replies here: with credit per conversation they are one action, with
credit per turn an action each. Ours has a KL penalty in the loss rather than in the reward, and clips the ratio, which
matters from the second step on a batch on, as in TRL.
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
from .advantages import discounted_returns, leave_one_out
from .agent import LanguageModelAgent
from .batch import Batch, drawn_minibatches, gradient_step, logprobs_under, mean_row, reference_state, warm_up
from .memory import TokenBudget
from .rollout import collect_with_spread, count_tokens, count_turns, outcomes, places_with_spread, playing, state_of
from .served import SampledConfig, sampling
from .settings import at_least, one_of
from .surrogate import clipped_surrogate, drawn_at, kl_k3, mean_of_conversations, sums, truncated_weights


@dataclasses.dataclass(frozen=True)
class RLOOConfig(SampledConfig):
    """The whole configuration; see :class:`SampledConfig`.

    Attributes:
        credit: "conversation": every reply is credited with the return of the whole conversation; "turn": with the
            return from its turn on, compared with those of the group at the same turn.
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
    credit: str = "conversation"
    clip_low: float = 0.2
    clip_high: float = 0.2
    num_epochs: int = 1
    num_minibatches: int = 1
    refills: int = 0
    kl_weight: float = 0.0
    kl_estimate: str = "k3"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, group_size=2, num_epochs=1, num_minibatches=1, refills=0, kl_weight=0, clip_low=0, clip_high=0)
        one_of(self, credit=("conversation", "turn"), kl_estimate=("k3", "k3_unbiased", "exact"))


def rloo_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    rows: Tensor,
    actions: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    weights: Tensor | float = 1.0,
    kl: Tensor | float = 0.0,
    kl_weight: float = 0.0,
) -> Tensor:
    """The clipped surrogate of each action and the KL penalty, summed over a conversation: a scalar to minimise.

    Args:
        logprobs: (N,) of the sampled tokens under the policy being trained, in nats.
        old_logprobs: (N,) under the policy before the update.
        advantages: (N,) of each token, equal within an action; constants.
        rows: (N,) int64, the conversation of each token, from 0 on without gaps; the loss is their mean.
        actions: (N,) int64, the action of each token, from 0 on without gaps.
        clip_low, clip_high, kl_weight: as in :class:`RLOOConfig`.
        weights: (N,) what its action counts, equal within an action; see :func:`~.surrogate.truncated_weights`.
        kl: (N,) from the reference.
    """
    log_ratio = sums(logprobs - old_logprobs, actions)[actions]  # of the whole action
    num_tokens = torch.bincount(actions)[actions]
    losses = kl_weight * kl - weights * clipped_surrogate(log_ratio.exp(), advantages, clip_low, clip_high) / num_tokens
    return losses.sum() / (rows.max() + 1)


class RLOOAgent(LanguageModelAgent):
    """A gradient step, or a few, per batch of groups."""

    name = "rloo"
    Config = RLOOConfig
    config: RLOOConfig

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
            actions = batch.actions(per_turn)
            loss = rloo_loss(
                found.logprobs, old_logprobs, batch.token_advantages, batch.rows, actions, config.clip_low,
                config.clip_high, batch.tokens(batch.weights), 0.0 if kl is None else kl, config.kl_weight,
            )  # fmt: skip
            entropy, ratio = (
                found.entropies.mean(),
                sums(found.logprobs - old_logprobs, actions)[actions].detach().exp(),
            )
            clipped = ((ratio < 1 - config.clip_low) | (ratio > 1 + config.clip_high)).float().mean()
            row = {"loss": loss, "entropy": entropy, "clipped": clipped}
            if kl is not None:
                row["kl"] = kl.mean()
            logged = {name: value.item() for name, value in row.items()}
            if not config.entropy_weight:
                return loss, logged
            return loss - config.entropy_weight * mean_of_conversations(found.entropies, batch.rows), logged

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
                    advantages = leave_one_out(returns, batch.group, batch.turn_mask if per_turn else None)
                    batch = dataclasses.replace(batch, advantages=advantages)
                    if config.importance_cap is not None:  # the sampler is not quite the policy
                        old = logprobs_under(lm, batch, temperature, budget)
                        actions = batch.actions(per_turn)
                        log_ratio = sums(batch.tokens(old - batch.sampled_logprobs), actions)[actions]
                        weights = torch.zeros_like(old)
                        weights[batch.action_mask] = truncated_weights(log_ratio, config.importance_cap)
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
                                rows.append(step(batch, minibatch, True, teaching))
                    row.update(mean_row(rows))
                    self.forget()  # what was read with the old weights
                num_tokens = config.num_epochs * count_tokens([episodes[place] for place in teaching])
                run.finish_update(count_turns(played), num_tokens, row)
