"""Supervised fine-tuning: cross-entropy on what the agent says in demonstration conversations.

The usual objective of imitation, -log p(token | everything before it), averaged over the agent's tokens, its
end-of-turn tokens included; what others say is read and not learned. The model of the epoch with the lowest loss on
held-out demonstrations is kept.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..training.epochs import Epochs, Updates, learning_rates, shuffled_batches
from ..training.learner import Training
from .agent import LanguageModelAgent
from .defaults import BY_MODEL
from .demonstrations import Demonstrations, demonstrate, hold_out, load_messages
from .memory import TokenBudget
from .model import LanguageModel, ModelConfig
from .sampler import pad
from .settings import above_zero, at_least, shares

LABELS_LEARNING_RATE = 5e-4
"""Of random weights, where every reply is one of a few labels."""
Example = tuple[list[int], list[bool]]
"""Token ids of a conversation, and which of them the agent is to say."""


@dataclasses.dataclass(frozen=True)
class SFTConfig(ModelConfig):
    """The whole configuration.

    Attributes:
        demonstrations: how many conversations of the rule policy to imitate; not used with ``data``.
        flaw_rate: share of the rule's turns that a random sensible reply replaces, so that the model sees how to make
            up for one; None is 0.15, and 0 where a conversation is a single turn, or a task has neither a menu nor an
            ``another_reply`` of its own.
        data: conversations to imitate instead: a path, a name on the hub, a ``Dataset``, a DataFrame or a list of
            dicts, in any of the forms of docs/data.md.
        fields: columns of ``data`` by field, where they go by names that are not recognised.
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.
        validation_share: of the demonstrations, held out to measure the loss; none of them is equal to one of the rest,
            or about the same goal.
        epochs: passes over the rest, at most.
        patience: epochs without a lower validation loss before it stops; the best is kept.
        batch_size: conversations per update.
        learning_rate: peak, after a linear warm-up over ``warmup_updates``; then it falls as a cosine to a twentieth.
            Where texts have labels, random weights take 5e-4 by default: at 2e-3 they come to say one label always.
        weight_decay: of AdamW.
        max_grad_norm: longer gradients are shortened to it.
    """

    demonstrations: int = 400
    flaw_rate: float | None = None
    data: Any = None
    fields: Mapping[str, str] | None = None
    on_error: str = "raise"
    validation_share: float = 0.1
    epochs: int = BY_MODEL
    patience: int = 4
    batch_size: int = BY_MODEL
    learning_rate: float = BY_MODEL
    warmup_updates: int = BY_MODEL
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.demonstrations < 2 and self.data is None:
            raise ValueError(f"demonstrations must be at least 2, got {self.demonstrations}")
        if self.data is None and self.fields is not None:
            raise ValueError(f"fields name the columns of data, which is not given: got fields={self.fields!r}")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share must be in (0, 1), got {self.validation_share}")
        at_least(self, epochs=1, batch_size=1, patience=1, warmup_updates=0, weight_decay=0)
        above_zero(self, "learning_rate", "max_grad_norm")
        if self.flaw_rate is not None:
            shares(self, "flaw_rate")


def sft_loss(lm: LanguageModel, examples: Sequence[Example]) -> tuple[Tensor, int]:
    """Mean cross-entropy of the agent's tokens, a scalar in nats, and how many they are.

    Args:
        lm: the model being trained.
        examples: token ids and what the agent said; at least one token of the agent's.
    """
    ids, _ = pad([ids for ids, _ in examples], lm.tokenizer.pad_id)  # (B, T)
    said, _ = pad([said for _, said in examples], False, torch.bool)  # (B, T)
    said[:, 0] = False  # nothing stands before the first token that could predict it
    ids, said = ids.to(lm.device), said.to(lm.device)
    logprobs = lm.token_logprobs(ids, said).logprobs
    return -logprobs.mean(), len(logprobs)


class SFTAgent(LanguageModelAgent):
    """Imitates demonstrations.

    Attributes:
        room: how many tokens pass at once.
    """

    name = "sft"
    Config = SFTConfig
    config: SFTConfig

    def __init__(self, env: Any, seed: int = 0, config: Any = None):
        super().__init__(env, seed, config)
        self.room = TokenBudget()

    def _suited(self) -> dict[str, Any]:
        suited = super()._suited()
        if self.config.model is None and hasattr(self.task, "labelled"):
            suited["learning_rate"] = LABELS_LEARNING_RATE
        return suited

    def train(self, env: Any, training: Training) -> None:
        """One log row per epoch. Without ``validate`` the model with the lowest validation loss is kept."""
        config, lm, budget = self.config, self.lm, self.budget
        shown = self._demonstrations(env)
        examples, held_out = self._split(shown)
        optimizer = torch.optim.AdamW(
            lm.trainable_parameters(), config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )

        with Epochs.begin(training, optimizer, config.epochs, config.patience) as run:
            while run.goes_on:
                rng = run.next_epoch()
                batches = shuffled_batches(examples, config.batch_size, rng, lambda example: len(example[0]))
                rates = learning_rates(
                    config.learning_rate, run.epoch, len(batches), config.epochs, config.warmup_updates
                )
                with Updates(lm.model, optimizer, batches, rates, config.max_grad_norm, rng.getrandbits(31)) as updates:
                    for batch in updates:
                        updates.step(self._backward(batch, optimizer))

                self.forget()  # what was read with the old weights
                held_out_loss = self._loss(held_out)
                budget.tokens += sum(len(ids) for ids, _ in examples)
                budget.env_turns, budget.demonstrations = shown.env_turns, len(shown.conversations)
                run.finish_epoch(
                    {
                        "loss": sum(updates.losses) / len(batches),
                        "env_turns": shown.env_turns,
                        "success": shown.success_rate,  # of the demonstrations
                        "return": None,
                        "validation_loss": held_out_loss,
                        "validation_perplexity": math.exp(held_out_loss),
                    }
                )

    def _demonstrations(self, env: Any) -> Demonstrations:
        if self.config.data is not None:
            return load_messages(self.config.data, self.config.fields, self.config.on_error)
        return demonstrate(env, self.config.demonstrations, self.config.flaw_rate, self.seed)

    def _split(self, shown: Demonstrations) -> tuple[list[Example], list[Example]]:
        """The examples to learn from, and those held out; what does not fit the model's context is cut off.

        No conversation that is held out is equal to one to learn from, or about the same goal.
        """
        limit = self.lm.max_context
        examples, keys = [], []
        for number, messages in enumerate(shown.conversations):
            ids, said = self.lm.tokenizer.encode_demonstration(messages)
            if any(said[:limit]):
                examples.append((ids[:limit], said[:limit]))
                goal = () if shown.goals is None else (shown.goals[number],)
                keys.append((tuple(ids[:limit]), *goal))
        train, held_out = hold_out(keys, self.config.validation_share, random.Random(self.seed))
        return [examples[number] for number in train], [examples[number] for number in held_out]

    def _backward(self, batch: Sequence[Example], optimizer: torch.optim.Optimizer) -> float:
        """Adds the gradient of the mean loss over all tokens of a batch, of which as many pass at once as the memory
        holds; the loss, in nats."""
        num_tokens = sum(sum(said[1:]) for _, said in batch)

        def pass_some(numbers: list[int]) -> float:
            loss, count = sft_loss(self.lm, [batch[number] for number in numbers])
            (loss * (count / num_tokens)).backward()
            return loss.item() * count / num_tokens

        return sum(self.room.run([len(ids) for ids, _ in batch], pass_some, start=optimizer.zero_grad))

    @torch.no_grad()
    def _loss(self, examples: Sequence[Example]) -> float:
        """Mean cross-entropy per token over the examples, in nats."""
        self.lm.model.eval()
        sizes = [len(ids) for ids, _ in examples]
        losses = self.room.run(sizes, lambda numbers: sft_loss(self.lm, [examples[number] for number in numbers]))
        return sum(loss.item() * count for loss, count in losses) / sum(count for _, count in losses)
