"""Supervised fine-tuning: cross-entropy on what the agent says in demonstration conversations.

The usual objective of imitation, -log p(token | everything before it), averaged over the agent's tokens, its
end-of-turn tokens included; what others say is read and not learned. The model of the epoch with the lowest loss on
held-out demonstrations is kept.
"""

from __future__ import annotations

import dataclasses
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..base import Log, LogRow, Validate, discard
from ..training.checkpoint import leave_checkpoint, read_checkpoint
from ..training.selection import Selection, workplace
from .demonstrations import Demonstrations, demonstrate, load_messages
from .model import LanguageModel, LanguageModelAgent, ModelConfig
from .rollout import MAX_TOKENS_AT_ONCE, alike_in_length
from .sampler import pad

Example = tuple[list[int], list[bool]]
"""Token ids of a conversation, and which of them the agent said."""
AnyExample = TypeVar("AnyExample")


@dataclasses.dataclass(frozen=True)
class SFTConfig(ModelConfig):
    """The whole configuration.

    Attributes:
        demonstrations: how many conversations of the rule policy to imitate; not used with ``data``.
        flaw_rate: share of the rule's turns that a random sensible reply replaces.
        data: conversations to imitate instead: a path, a name on the hub, a ``Dataset``, a DataFrame or a list of
            dicts, in any of the forms of docs/data.md.
        fields: columns of ``data`` by field, where they go by names that are not recognised.
        on_error: "raise" for wrong rows of ``data``, or "skip" to leave them out.
        validation_share: of the demonstrations, held out to measure the loss.
        epochs: passes over the rest, at most.
        patience: epochs without a lower validation loss before it stops; the best is kept.
        batch_size: conversations per update.
        learning_rate: peak, after a linear warm-up over ``warmup_updates``; then it falls as a cosine to a twentieth.
        weight_decay: of AdamW.
        max_grad_norm: longer gradients are shortened to it.
    """

    demonstrations: int = 400
    flaw_rate: float = 0.15
    data: Any = None
    fields: Mapping[str, str] | None = None
    on_error: str = "raise"
    validation_share: float = 0.1
    epochs: int = 10
    patience: int = 4
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup_updates: int = 50
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.demonstrations < 2 and self.data is None:
            raise ValueError(f"demonstrations must be at least 2, got {self.demonstrations}")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share must be in (0, 1), got {self.validation_share}")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs and batch_size must be at least 1, got {self.epochs} and {self.batch_size}")


def sft_loss(lm: LanguageModel, examples: Sequence[Example]) -> tuple[Tensor, int]:
    """Mean cross-entropy of the agent's tokens, a scalar in nats, and how many they are.

    Args:
        lm: the model being trained.
        examples: token ids and what the agent said; at least one token of the agent's.
    """
    ids, _ = pad([ids for ids, _ in examples], lm.tokenizer.pad_id)  # (B, T)
    said, _ = pad([said for _, said in examples], False, torch.bool)  # (B, T)
    ids, said = ids.to(lm.model.device), said.to(lm.model.device)
    targets = said[:, 1:]
    logits = lm.logits(lm.hidden(ids)[:, :-1][targets])  # (N, V)
    return cross_entropy(logits, ids[:, 1:][targets]), int(targets.sum())


def learning_rate_factor(update: int, num_updates: int, warmup_updates: int) -> float:
    """Share of the peak learning rate at an update: linear warm-up, then half a cosine down to 0.05."""
    warmup = min(1.0, (update + 1) / max(1, warmup_updates))
    return warmup * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, update / max(1, num_updates)))))


class SFTAgent(LanguageModelAgent):
    """Imitates demonstrations."""

    name = "sft"
    Config = SFTConfig
    config: SFTConfig

    def learn(
        self,
        env: Any,
        *,
        log: Log = discard,
        validate: Validate | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> None:
        """As :meth:`Agent.learn`; without ``validate`` the model with the lowest validation loss is kept.

        A training that was interrupted and resumed ends with the very weights of one that was not: it goes back to the
        last epoch, and every epoch has its own random stream.
        """
        super().learn(env, checkpoint=checkpoint, resume=resume)
        config = self.config
        shown = self._demonstrations(env)
        train, held_out = self._split(shown)
        optimizer = torch.optim.AdamW(
            self.lm.model.parameters(), config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
        with workplace(checkpoint, resume) as folder:
            losses: list[float] = []
            selection = Selection(self, validate or (lambda agent: -losses[-1]), folder)
            state = read_checkpoint(self, folder) if resume else None
            if state is not None:
                optimizer.load_state_dict(state["optimizer"])
                losses, selection.score = state["losses"], state["best"]
            while len(losses) < config.epochs and not stalled(losses, config.patience):
                began = time.perf_counter()
                row = {"epoch": len(losses) + 1, "loss": self._epoch(train, optimizer, len(losses))}
                losses.append(self._loss(held_out))
                self.budget.seconds += time.perf_counter() - began
                self.budget.env_turns, self.budget.demonstrations = shown.env_turns, len(shown.conversations)
                chosen = selection.consider()
                state = {"optimizer": optimizer.state_dict(), "losses": losses, "best": selection.score}
                leave_checkpoint(self, folder, state)
                log({**row, **self._report(shown, losses), **(chosen if validate is not None else {})})
            selection.restore()

    def _report(self, shown: Demonstrations, losses: Sequence[float]) -> LogRow:
        """What the log says after an epoch; "success" is that of the demonstrations."""
        return {
            "env_turns": shown.env_turns,
            "success": shown.success_rate,
            "return": None,
            "validation_loss": losses[-1],
            "validation_perplexity": math.exp(losses[-1]),
            "seconds": self.budget.seconds,
            "progress": len(losses) / self.config.epochs,
        }

    def _demonstrations(self, env: Any) -> Demonstrations:
        if self.config.data is not None:
            return load_messages(self.config.data, self.config.fields, self.config.on_error)
        return demonstrate(env, self.config.demonstrations, self.config.flaw_rate, self.seed)

    def _split(self, shown: Demonstrations) -> tuple[list[Example], list[Example]]:
        """The examples to learn from, and those held out; what does not fit the model's context is cut off."""
        limit = self.lm.max_context
        examples = [self.lm.tokenizer.encode_demonstration(messages) for messages in shown.conversations]
        examples = [(ids[:limit], said[:limit]) for ids, said in examples if any(said[:limit])]
        if len(examples) < 2:
            raise ValueError(f"expected at least 2 conversations, one of them held out, got {len(examples)}")
        random.Random(self.seed).shuffle(examples)
        num_held_out = min(max(1, round(len(examples) * self.config.validation_share)), len(examples) - 1)
        return examples[num_held_out:], examples[:num_held_out]

    def _epoch(self, examples: Sequence[Example], optimizer: torch.optim.Optimizer, epoch: int) -> float:
        """One pass over the examples; the mean training loss."""
        config, lm, rng = self.config, self.lm, random.Random(f"{self.seed}/{epoch}")
        batches = shuffled_batches(examples, config.batch_size, rng)
        first_update, num_updates = epoch * len(batches), config.epochs * len(batches)
        lm.model.train()
        total = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.getrandbits(31))  # of dropout, where the model has any
            for update, batch in enumerate(batches, start=first_update):
                for group in optimizer.param_groups:
                    factor = learning_rate_factor(update, num_updates, config.warmup_updates)
                    group["lr"] = config.learning_rate * factor
                loss, _ = sft_loss(lm, batch)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(lm.model.parameters(), config.max_grad_norm)
                optimizer.step()
                total += loss.item()
                self.budget.tokens += sum(len(ids) for ids, _ in batch)
        self.forget()
        return total / len(batches)

    @torch.no_grad()
    def _loss(self, examples: Sequence[Example]) -> float:
        """Mean cross-entropy per token over the examples, in nats."""
        self.lm.model.eval()
        groups = alike_in_length([len(ids) for ids, _ in examples], MAX_TOKENS_AT_ONCE)
        losses = [sft_loss(self.lm, [examples[number] for number in group]) for group in groups]
        return sum(loss.item() * count for loss, count in losses) / sum(count for _, count in losses)


def _num_ids(example: Any) -> int:
    return len(example[0])


def shuffled_batches(
    examples: Sequence[AnyExample], size: int, rng: random.Random, length: Callable[[AnyExample], int] = _num_ids
) -> list[list[AnyExample]]:
    """The examples in batches of ``size``, roughly alike in length so that little is padded, in random order."""
    keys = [length(example) * (1 + 0.2 * rng.random()) for example in examples]
    order = sorted(range(len(examples)), key=keys.__getitem__)
    batches = [[examples[number] for number in order[start : start + size]] for start in range(0, len(order), size)]
    rng.shuffle(batches)
    return batches


def stalled(losses: Sequence[float], patience: int) -> bool:
    """No loss of the last ``patience`` is lower than the best before them."""
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])
