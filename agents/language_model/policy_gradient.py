"""What the policy-gradient agents share: where they start, how they collect, when they validate. The algorithms are in
their own files: each has its loss and its update.
"""

from __future__ import annotations

import dataclasses
import random
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...envs import TextVectorEnv, remake_vec
from ..base import LogRow
from ..training.checkpoint import read_checkpoint, write_checkpoint
from ..training.learner import Training
from ..training.selection import Selection
from .agent import LanguageModelAgent
from .critic import ValueHead
from .memory import MAX_TOKENS_AT_ONCE, length_batches
from .model import LanguageModel, ModelConfig
from .rollout import Batch, Episode, compare_within_groups, sample_episodes


@dataclasses.dataclass(frozen=True)
class PolicyGradientConfig(ModelConfig):
    """What all of them have.

    Attributes:
        init: folder of a trained language-model agent, such as one of ``sft``, or of a transformers model, to start
            from; None starts from random weights (or from ``model``).
        env_turns: agent turns to learn from; the last batch is finished.
        batch_conversations: conversations per update, at least 2: each is compared with the rest.
        group_size: conversations about the same goal and user in a batch, compared with one another; 1 has no groups,
            and more need ``gamma`` 1.
        learning_rate: of the policy, with AdamW without decay.
        sampling_temperature: of the policy that is trained: it is sampled, and its log-probabilities are taken, at this
            temperature. Below 1 it keeps a model that saw few demonstrations from stumbling over its own rare tokens.
        gamma: discount per agent turn.
        reward_scale: rewards are multiplied by it before they are learned from, never in the log. Advantages are
            normalised, so it is the critic's alone: it makes returns about as large as 1, as those of the default
            reward are; under ``pydial`` take 0.1.
        entropy_weight: of the entropy bonus, per token.
        max_grad_norm: longer gradients are shortened to it.
        num_reports: validations and checkpoints, evenly spaced.
    """

    init: str | None = None
    env_turns: int = 30_000
    batch_conversations: int = 128
    group_size: int = 1
    learning_rate: float = 1e-4
    sampling_temperature: float = 0.7
    gamma: float = 1.0
    reward_scale: float = 1.0
    entropy_weight: float = 0.0
    max_grad_norm: float = 1.0
    num_reports: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("env_turns", 1), ("batch_conversations", 2), ("num_reports", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.group_size < 1 or self.batch_conversations % self.group_size:
            raise ValueError(
                f"group_size must be at least 1 and divide batch_conversations ({self.batch_conversations}), "
                f"got {self.group_size}"
            )
        if not self.sampling_temperature > 0:
            raise ValueError(f"sampling_temperature must be above 0, got {self.sampling_temperature}")
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must be in [0, 1], got {self.gamma}")
        if self.group_size > 1 and self.gamma < 1:
            raise ValueError(f"gamma must be 1 where group_size is above 1, got {self.gamma}")


class Microbatch(NamedTuple):
    """Some episodes that pass through the model together; their gradients add up to the batch's.

    Attributes:
        batch: of B episodes, N tokens sampled in them.
        advantages: (N,) of each sampled token: that of its turn.
    """

    batch: Batch
    advantages: Tensor


class PolicyGradientAgent(LanguageModelAgent):
    """A language model that learns from rewards; a subclass is one algorithm, its ``update``.

    Attributes:
        optimizer, critic: of the training under way.
    """

    Config = PolicyGradientConfig
    optimizer: torch.optim.Optimizer
    critic: ValueHead

    def _make_model(self) -> LanguageModel:
        return super()._make_model() if self.config.init is None else LanguageModel.load(self.config.init)

    @abstractmethod
    def update(self, episodes: list[Episode], rng: random.Random) -> LogRow:
        """Learns from fresh conversations: the algorithm. Returns what there is to log of it."""

    @property
    def num_passes(self) -> int:
        """How often ``update`` learns from each conversation."""
        return 1

    def begin(self) -> None:
        """Called before learning, with the weights it starts from."""
        self.optimizer = torch.optim.AdamW(self.lm.trainable_parameters(), self.config.learning_rate, weight_decay=0.0)
        self.critic = ValueHead(self.lm.hidden_size).to(self.lm.device)

    def training_state(self) -> dict[str, Any]:
        """What a checkpoint needs beyond the model."""
        return {"optimizer": self.optimizer.state_dict(), "critic": self.critic.state_dict()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Takes over what ``training_state`` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.critic.load_state_dict(state["critic"])

    def train(self, env: Any, training: Training) -> None:
        """One log row per update.

        A training that was interrupted and resumed ends with the very weights of one that was not: it goes back to the
        last report, and every update has its own random streams.
        """
        config = self.config
        vector_env = remake_vec(env, config.batch_conversations, interface="text", autoreset_mode="Disabled")
        with training.begin() as (folder, selection), closing(vector_env) as envs:
            self.begin()
            turns = self._start(folder, selection, training.resume)
            while turns < config.env_turns:
                rng, began = random.Random(f"{self.seed}/{turns}"), time.perf_counter()
                episodes = self._sample_episodes(envs, rng)
                collected = time.perf_counter()
                row = {"rollout_seconds": collected - began, **self.update(episodes, rng)}
                self.forget()
                row = {**self._count(episodes, time.perf_counter() - began), **row}
                reports, turns = turns * config.num_reports // config.env_turns, turns + _num_turns(episodes)
                row["progress"] = min(1.0, turns / config.env_turns)
                if turns * config.num_reports // config.env_turns > reports:
                    row.update(selection.keep_best())
                    self._leave(folder, selection, turns)
                training.log(row)

    def _start(self, folder: Path, selection: Selection, resume: bool) -> int:
        """Takes up the checkpoint, or scores and keeps where it starts from; the turns learned from so far."""
        state = read_checkpoint(self, folder) if resume else None
        if state is None:
            selection.keep_best()
            self._leave(folder, selection, 0)
            return 0
        self.load_training_state(state)
        selection.score = state["best"]
        return int(state["turns"])

    def _leave(self, folder: Path, selection: Selection, turns: int) -> None:
        write_checkpoint(self, folder, {**self.training_state(), "turns": turns, "best": selection.score})

    def _sample_episodes(self, envs: TextVectorEnv, rng: random.Random) -> list[Episode]:
        """Fresh conversations, sampled from the policy as it is."""
        self.lm.model.eval()
        config, groups = self.config, range(envs.num_envs // self.config.group_size)
        seeds = [seed for seed in [rng.getrandbits(31) for _ in groups] for _ in range(config.group_size)]
        episodes = sample_episodes(
            self.lm,
            envs,
            config.max_reply_tokens,
            seeds=seeds,
            temperature=config.sampling_temperature,
            generator=torch.Generator(device=self.lm.device).manual_seed(rng.getrandbits(31)),
        )
        compare_within_groups(episodes, config.group_size)
        return episodes

    def _count(self, episodes: list[Episode], seconds: float) -> LogRow:
        """Adds to the budget what was used; how the conversations went."""
        played = _num_turns(episodes)
        self.budget.env_turns += played
        self.budget.tokens += self.num_passes * sum(len(episode.ids) for episode in episodes)
        self.budget.seconds += seconds
        return {
            "env_turns": self.budget.env_turns,
            "success": sum(episode.success for episode in episodes) / len(episodes),
            "return": sum(episode.total_reward for episode in episodes) / len(episodes),
            "turns": played / len(episodes),
            "seconds": self.budget.seconds,
        }

    # What the algorithms call

    def batch(self, episodes: Sequence[Episode]) -> Batch:
        """The episodes as tensors beside the model."""
        return Batch.of(episodes, self.lm.tokenizer.pad_id, self.lm.device, self.config.gamma)

    def microbatches(self, episodes: Sequence[Episode], advantages: Tensor) -> list[Microbatch]:
        """The episodes in microbatches alike in length, small enough to pass through the model at once.

        Args:
            episodes: B of them.
            advantages: (B, K) of each turn.
        """
        microbatches = []
        for group in length_batches([len(episode.ids) for episode in episodes], MAX_TOKENS_AT_ONCE):
            batch = self.batch([episodes[number] for number in group])
            microbatches.append(Microbatch(batch, advantages[group][batch.rows, batch.turns]))
        return microbatches

    def step(
        self, microbatches: Sequence[Microbatch], loss_of: Callable[[Microbatch], tuple[Tensor, LogRow]]
    ) -> LogRow:
        """One gradient step on the mean loss over the sampled tokens of all microbatches.

        Args:
            microbatches: whose gradients add up.
            loss_of: the loss of one, a mean over its sampled tokens, and what to log, means as well.

        Returns:
            The means over all tokens of what ``loss_of`` logs, and "grad_norm" before clipping.
        """
        num_tokens = sum(len(microbatch.advantages) for microbatch in microbatches)
        totals: LogRow = {}
        self.optimizer.zero_grad()
        for microbatch in microbatches:
            share = len(microbatch.advantages) / num_tokens
            loss, row = loss_of(microbatch)
            (share * loss).backward()
            for name, value in row.items():
                totals[name] = totals.get(name, 0.0) + share * float(value)
        norm = torch.nn.utils.clip_grad_norm_(self.lm.trainable_parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        return {**totals, "grad_norm": float(norm)}


def _num_turns(episodes: Sequence[Episode]) -> int:
    return sum(episode.num_turns for episode in episodes)
