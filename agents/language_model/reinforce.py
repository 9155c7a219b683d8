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
from typing import Any

import torch
from torch import Tensor

from ..base import LogRow
from ..training.learner import Training
from ..training.run import Run
from .advantages import discounted_returns, others_mean, scaled, turn_baseline
from .agent import LanguageModelAgent
from .batch import Batch, gradient_step, warm_up
from .memory import TokenBudget
from .rollout import collect, count_tokens, count_turns, outcomes, playing, state_of
from .settings import RLConfig


@dataclasses.dataclass(frozen=True)
class ReinforceConfig(RLConfig):
    """The whole configuration; see :class:`RLConfig`."""


def reinforce_loss(logprobs: Tensor, advantages: Tensor) -> Tensor:
    """Policy-gradient loss, a scalar to minimise.

    Args:
        logprobs: (N,) log pi(token | prefix) of the policy being trained, in nats, of the sampled tokens.
        advantages: (N,) of the turn that each token belongs to; constants.
    """
    return -(logprobs * advantages.detach()).mean()


class ReinforceAgent(LanguageModelAgent):
    """One gradient step per batch of conversations."""

    name = "reinforce"
    Config = ReinforceConfig
    config: ReinforceConfig

    def train(self, env: Any, training: Training) -> None:
        """One log row per update."""
        config, lm = self.config, self.lm
        optimizer = torch.optim.AdamW(lm.trainable_parameters(), config.learning_rate, weight_decay=0.0)

        def loss_of(batch: Batch) -> tuple[Tensor, LogRow]:
            found = lm.token_logprobs(batch.ids, batch.action_mask, config.sampling_temperature)
            loss, entropy = reinforce_loss(found.logprobs, batch.token_advantages), found.entropies.mean()
            return loss - config.entropy_weight * entropy, {"loss": loss.item(), "entropy": entropy.item()}

        step = functools.partial(gradient_step, lm, optimizer, loss_of, config.max_grad_norm, TokenBudget())
        with (
            playing(env, config) as envs,
            Run.begin(training, config.env_turns, config.num_reports, optimizer=optimizer, **state_of(envs)) as run,
        ):
            while run.goes_on:
                rng = run.next_update()
                warm_up(optimizer, config.learning_rate, run.num_updates, config.warmup_updates)
                with run.timing("rollout_seconds"):
                    episodes = collect(lm, envs, config, rng, next_states=False)
                batch = Batch.of(episodes, lm.tokenizer.pad_id, lm.device)

                returns = discounted_returns(batch.rewards * config.reward_scale, config.gamma)  # (B, K)
                returns = returns - others_mean(returns[:, 0], batch.group)[:, None]  # 0 without groups
                advantages = scaled(returns - turn_baseline(returns, batch.turn_mask), batch.turn_mask)
                batch = dataclasses.replace(batch, advantages=advantages)

                row = step(batch, range(len(batch)))
                self.forget()  # what was read with the old weights
                row = {**outcomes(episodes), **row}
                run.finish_update(count_turns(episodes), count_tokens(episodes), row)
