"""What the policy-gradient agents share: where they start, how they collect, when they validate. The algorithms are in
their own files: each has its loss and its update.
"""

from __future__ import annotations

import dataclasses
import random
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..envs import TextVectorEnv, remake_vec
from .base import Budget, Log, LogRow, Validate, discard
from .checkpoint import leave_checkpoint, read_checkpoint
from .language_model import MODEL_FOLDER, LanguageModel, LanguageModelAgent, ModelConfig
from .rollout import Conversation, compare_within_groups, converse
from .selection import Selection, workplace


@dataclasses.dataclass(frozen=True)
class PolicyGradientConfig(ModelConfig):
    """What all of them have.

    Attributes:
        init: folder of a trained language-model agent, such as one of ``sft``, or of a transformers model, to start
            from; None starts from random weights (or from ``model``).
        env_turns: agent turns to learn from; the last batch is finished.
        batch_conversations: conversations per update.
        group_size: conversations about the same goal and user in a batch, compared with one another; 1 has no groups.
        minibatch_size: conversations per gradient step.
        learning_rate: of the policy, with AdamW without decay.
        sampling_temperature: of the policy that is trained: it is sampled, and its log-probabilities are taken, at this
            temperature. Below 1 it keeps a model that saw few demonstrations from stumbling over its own rare tokens.
        gamma: discount per agent turn.
        reward_scale: rewards are multiplied by it before they are learned from, never in the log.
        entropy_weight: of the entropy bonus, per token.
        max_grad_norm: longer gradients are shortened to it.
        num_reports: validations and checkpoints, evenly spaced.
    """

    init: str | None = None
    env_turns: int = 30_000
    batch_conversations: int = 128
    group_size: int = 1
    minibatch_size: int = 32
    learning_rate: float = 1e-4
    sampling_temperature: float = 0.7
    gamma: float = 1.0
    reward_scale: float = 0.1
    entropy_weight: float = 0.0
    max_grad_norm: float = 1.0
    num_reports: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("env_turns", "batch_conversations", "minibatch_size", "num_reports"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.group_size < 1 or self.batch_conversations % self.group_size:
            raise ValueError(
                f"group_size must be at least 1 and divide batch_conversations ({self.batch_conversations}), "
                f"got {self.group_size}"
            )
        if not self.sampling_temperature > 0:
            raise ValueError(f"sampling_temperature must be above 0, got {self.sampling_temperature}")
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must be in [0, 1], got {self.gamma}")


class ValueHead(nn.Module):
    """Estimates the return from the hidden state in which a reply begins; starts at 0 everywhere.

    It reads the language model and does not teach it: no gradient flows back, so a poor critic cannot spoil the words.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.linear = nn.Linear(hidden_size, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., D) hidden states to (...) values."""
        return self.linear(hidden.detach()).squeeze(-1)

    def fit(self, hidden: Tensor, targets: Tensor, num_steps: int, learning_rate: float) -> float:
        """Moves towards the targets (N,) of hidden states (N, D); the mean squared error before.

        Each batch gets the same few full-batch steps of a fresh optimizer: the head is so small that they are free.
        """
        optimizer = torch.optim.Adam(self.parameters(), learning_rate)
        first = 0.0
        for step in range(num_steps):
            error = ((self(hidden) - targets) ** 2).mean()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            first = error.item() if step == 0 else first
        return first


def hidden_at(hidden: Tensor, positions: Tensor) -> Tensor:
    """(B, K, D): the hidden states (B, T, D) at positions (B, K)."""
    return hidden.gather(1, positions[:, :, None].expand(-1, -1, hidden.shape[-1]))


class PolicyGradientAgent(LanguageModelAgent):
    """A language model that learns from rewards; a subclass is one algorithm, its ``update``."""

    Config = PolicyGradientConfig
    config: PolicyGradientConfig

    def __init__(self, env: Any, seed: int = 0, config: Any = None):
        super().__init__(env, seed, config)
        self.value_head = ValueHead(self.lm.model.config.hidden_size)
        self.optimizer = self.make_optimizer()

    def _make_model(self) -> LanguageModel:
        if self.config.init is None:
            return super()._make_model()
        folder = Path(self.config.init)
        inner = folder / MODEL_FOLDER
        return LanguageModel.load(inner if inner.is_dir() else folder)

    @abstractmethod
    def make_optimizer(self) -> torch.optim.Optimizer:
        """Of whatever the algorithm trains."""

    @abstractmethod
    def update(self, conversations: list[Conversation]) -> LogRow:
        """Learns from fresh conversations: the algorithm. Returns what there is to log of it."""

    def begin(self) -> None:
        """Called once before learning, with the weights it starts from."""

    def training_state(self) -> dict[str, Any]:
        """What a checkpoint needs beyond the model."""
        return {"optimizer": self.optimizer.state_dict(), "value_head": self.value_head.state_dict()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Takes over what ``training_state`` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.value_head.load_state_dict(state["value_head"])

    def learn(
        self,
        env: Any,
        *,
        log: Log = discard,
        validate: Validate | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> None:
        """As :meth:`Agent.learn`; one log row per update."""
        super().learn(env)
        envs = remake_vec(env, self.config.batch_conversations, interface="text", autoreset_mode="Disabled")
        with workplace(checkpoint, resume) as folder:
            selection = Selection(self, validate, folder)
            self.begin()
            turns = self._start(folder, selection, resume)
            generator = torch.Generator(device=self.lm.model.device).manual_seed(self.seed + turns)
            try:
                while turns < self.config.env_turns:
                    row, played = self._train(envs, generator)
                    due = turns * self.config.num_reports // self.config.env_turns
                    turns += played
                    row["progress"] = min(1.0, turns / self.config.env_turns)
                    if turns * self.config.num_reports // self.config.env_turns > due or turns >= self.config.env_turns:
                        row.update(selection.consider())
                        self._leave(folder, selection, turns)
                    log(row)
            except KeyboardInterrupt:
                self._leave(folder, selection, turns)
                raise
            finally:
                envs.close()
            selection.restore()

    def _start(self, folder: Path, selection: Selection, resume: bool) -> int:
        """Takes up the checkpoint, or scores and keeps where it starts from; the turns learned from so far."""
        state = read_checkpoint(self, folder) if resume else None
        if state is None:
            selection.consider()
            return 0
        self.load_training_state(state)
        selection.score = state["best"]
        return int(state["turns"])

    def _leave(self, folder: Path, selection: Selection, turns: int) -> None:
        leave_checkpoint(self, folder, {**self.training_state(), "turns": turns, "best": selection.score})

    def _train(self, envs: TextVectorEnv, generator: torch.Generator) -> tuple[LogRow, int]:
        """One batch: collect, update, count."""
        began = time.perf_counter()
        self.lm.model.eval()
        conversations = converse(
            self.lm,
            envs,
            self.config.max_reply_tokens,
            temperature=self.config.sampling_temperature,
            seeds=self._seeds(),
            generator=generator,
        )
        compare_within_groups(conversations, self.config.group_size)
        collected = time.perf_counter()
        row = self.update(conversations)
        self.forget()
        played = sum(len(conversation.rewards) for conversation in conversations)
        self._count(conversations, played, time.perf_counter() - began)
        returns = [sum(conversation.rewards) for conversation in conversations]
        return {
            "env_turns": self.budget.env_turns,
            "success": sum(conversation.success for conversation in conversations) / len(conversations),
            "return": sum(returns) / len(returns),
            "turns": played / len(conversations),
            "seconds": self.budget.seconds,
            "rollout_seconds": collected - began,
            **row,
        }, played

    def _seeds(self) -> list[int]:
        """Of the batch's conversations: the same within a group, and never again."""
        config = self.config
        rng = random.Random(f"{self.seed}/{self.budget.env_turns}")
        groups = [rng.getrandbits(31) for _ in range(config.batch_conversations // config.group_size)]
        return [seed for seed in groups for _ in range(config.group_size)]

    def _count(self, conversations: list[Conversation], played: int, seconds: float) -> None:
        budget: Budget = self.budget
        budget.env_turns += played
        budget.tokens += sum(conversation.num_sampled for conversation in conversations)
        budget.seconds += seconds

    def step(self, loss: Tensor) -> float:
        """One gradient step; the length of the gradient before it was shortened."""
        self.optimizer.zero_grad()
        loss.backward()
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)
        self.optimizer.step()
        return float(norm)
