"""The settings that all agents share which learn from rewards with a language model."""

from __future__ import annotations

import dataclasses

from .defaults import BY_MODEL
from .model import ModelConfig


@dataclasses.dataclass(frozen=True)
class RLConfig(ModelConfig):
    """What all of them have.

    Attributes:
        init: folder of a trained language-model agent, such as one of ``sft``, or of a transformers model, to start
            from, with its own tokenizer, so ``model`` and ``tokenizer`` are not for it; None starts from random weights
            (or from ``model``).
        env_turns: agent turns to learn from; the last batch is finished.
        batch_conversations: conversations per update, at least 2: each is compared with the rest.
        conversations_at_once: so many are had side by side, and where one is over the next begins; None has all of a
            batch side by side, which is fastest where the memory allows it.
        group_size: conversations about the same goal and user in a batch, compared with one another; 1 has no groups,
            and is too few for ``grpo`` and ``rloo``.
        learning_rate: of the policy, with AdamW without decay; after a linear warm-up over ``warmup_updates``.
        sampling_temperature: of the policy that is trained: it is sampled, and its log-probabilities are taken, at this
            temperature. Below 1 it keeps a model that saw few demonstrations from stumbling over its own rare tokens.
        gamma: discount per agent turn.
        reward_scale: rewards are multiplied by it before they are learned from, never in the log. Where advantages are
            normalised it is the critic's alone: it makes returns about as large as 1, as those of the default
            reward are; under ``pydial`` take 0.1.
        entropy_weight: of the entropy bonus, per token.
        max_grad_norm: longer gradients are shortened to it.
        num_reports: validations and checkpoints, evenly spaced.
    """

    init: str | None = None
    env_turns: int = 30_000
    batch_conversations: int = BY_MODEL
    conversations_at_once: int | None = None
    group_size: int = 1
    learning_rate: float = BY_MODEL
    warmup_updates: int = BY_MODEL
    sampling_temperature: float = BY_MODEL
    gamma: float = 1.0
    reward_scale: float = 1.0
    entropy_weight: float = 0.0
    max_grad_norm: float = 1.0
    num_reports: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, env_turns=1, batch_conversations=2, conversations_at_once=1, warmup_updates=0, num_reports=1)
        size = self.batch_conversations
        if self.group_size < 1 or (size is not None and size % self.group_size):
            raise ValueError(
                f"group_size must be at least 1 and divide batch_conversations ({size}), got {self.group_size}"
            )
        at_least(self, entropy_weight=0)
        above_zero(self, "learning_rate", "sampling_temperature", "max_grad_norm", "reward_scale")
        shares(self, "gamma")


def at_least(config: object, **limits: float) -> None:
    """Refuses settings below their limits; those that are still open (None) pass.

    Raises:
        ValueError: for the first of them.
    """
    for name, least in limits.items():
        value = getattr(config, name)
        if value is not None and not value >= least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def above_zero(config: object, *names: str) -> None:
    """Refuses settings of 0 and less; those that are still open (None) pass.

    Raises:
        ValueError: for the first of them.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def shares(config: object, *names: str) -> None:
    """Refuses settings outside of [0, 1].

    Raises:
        ValueError: for the first of them.
    """
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {getattr(config, name)}")


def one_of(config: object, **choices: tuple[str, ...]) -> None:
    """Refuses settings that are none of their choices.

    Raises:
        ValueError: for the first of them.
    """
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(config, name)!r}")
