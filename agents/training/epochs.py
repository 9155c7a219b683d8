"""Supervised learning in epochs: batches alike in length, a learning rate that warms up and falls, early stopping."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from ..base import LogRow
from .checkpoint import read_checkpoint, write_checkpoint
from .learner import Training
from .log import late_fall
from .selection import Selection

Example = TypeVar("Example")
_log = logging.getLogger(__name__)


class Epochs:
    """The chores of a training in epochs, until the validation loss falls no more; called by the agent's loop.

    A loop looks like this::

        with Epochs.begin(training, optimizer, config.epochs, config.patience) as run:
            while run.goes_on:
                rng = run.next_epoch()
                with Updates(model, optimizer, batches, rates, config.max_grad_norm, rng.getrandbits(31)) as updates:
                    for batch in updates:
                        loss = ...
                        loss.backward()
                        updates.step(loss.item())
                run.finish_epoch({"loss": sum(updates.losses) / len(batches), "validation_loss": ...})

    A training that was interrupted and resumed ends with the very weights of one that was not: it goes back to the last
    epoch, and every epoch has its own random stream.

    Attributes:
        losses: of validation, one for every epoch so far.
    """

    def __init__(self, training: Training, optimizer: torch.optim.Optimizer, max_epochs: int, patience: int):
        self.training, self.agent = training, training.agent
        self.optimizer, self.max_epochs, self.patience = optimizer, max_epochs, patience
        self.losses: list[float] = []
        self._folder, self._selection, self._began = Path(), Selection(self.agent, None, Path()), 0.0

    @classmethod
    @contextlib.contextmanager
    def begin(
        cls, training: Training, optimizer: torch.optim.Optimizer, max_epochs: int, patience: int
    ) -> Iterator[Epochs]:
        """A run that takes up its checkpoint.

        When the block ends without an error, the agent is the one that validated best; without ``validate`` the one
        with the lowest validation loss.

        Args:
            training: of an agent with a model in torch.
            optimizer: of its weights.
            max_epochs: at most.
            patience: epochs without a lower validation loss before it stops.

        Raises:
            FloatingPointError: for a loss or gradient that is not finite: which epoch and batch, and what was kept.
        """
        run = cls(training, optimizer, max_epochs, patience)
        with training.begin(otherwise=lambda agent: -run.losses[-1]) as (run._folder, run._selection):
            state = read_checkpoint(run.agent, run._folder) if training.resume else None
            if state is not None:
                optimizer.load_state_dict(state["optimizer"])
                run.losses, run._selection.score = list(state["losses"]), state["best"]
            try:
                yield run
                run._tell_if_cut_short()
            except FloatingPointError as e:
                kept = f"; the checkpoint in {training.checkpoint} is of epoch {run.epoch}" if run.losses else ""
                kept = "" if training.checkpoint is None else kept
                raise FloatingPointError(
                    f"epoch {run.epoch + 1}, {e}; stopped before the weights were changed by it{kept}. "
                    f"A smaller learning_rate or max_grad_norm may help"
                ) from e

    @property
    def epoch(self) -> int:
        """How many there were."""
        return len(self.losses)

    @property
    def goes_on(self) -> bool:
        """Whether there is to be another epoch."""
        return self.epoch < self.max_epochs and not stalled(self.losses, self.patience)

    def next_epoch(self) -> random.Random:
        """Begins an epoch; its random stream."""
        self._began = time.perf_counter()
        return random.Random(f"{self.agent.seed}/{self.epoch}")

    def finish_epoch(self, row: LogRow) -> None:
        """Counts, validates and logs an epoch, and leaves a checkpoint.

        Args:
            row: what there is to log of it, with "validation_loss".
        """
        self.losses.append(row["validation_loss"])
        self.agent.budget.seconds += time.perf_counter() - self._began
        best = self._selection.keep_best()
        state = {"optimizer": self.optimizer.state_dict(), "losses": self.losses, "best": self._selection.score}
        write_checkpoint(self.agent, self._folder, state)
        row = {"epoch": self.epoch, **row, "seconds": self.agent.budget.seconds}
        row["progress"] = self.epoch / self.max_epochs
        self.training.log({**row, **(best if self.training.validate is not None else {})})

    def _tell_if_cut_short(self) -> None:
        fall = late_fall(self.losses)
        if fall is not None:
            _log.warning(
                "%s was still learning when it ended: its last epoch took the validation loss from %.3g to %.3g. More "
                "epochs, smaller batches or a larger learning_rate would bring it further",
                self.agent.name, *fall,
            )  # fmt: skip


class Updates(Generic[Example]):
    """One pass over batches of examples, an update for each.

    A context, in which dropout draws from a random stream of its own, and an iterable of the batches; the gradients are
    zero when a batch comes.

    Args:
        model: of torch.
        optimizer: of its weights.
        batches: of examples.
        learning_rates: of each update.
        max_grad_norm: longer gradients are shortened to it.
        seed: of dropout, where the model has any.

    Attributes:
        losses: of the batches so far.
    """

    def __init__(
        self,
        model: Any,
        optimizer: torch.optim.Optimizer,
        batches: Sequence[Sequence[Example]],
        learning_rates: Sequence[float],
        max_grad_norm: float,
        seed: int,
    ):
        self.model, self.optimizer, self.batches, self.learning_rates = model, optimizer, batches, learning_rates
        self.max_grad_norm, self.seed = max_grad_norm, seed
        self.losses: list[float] = []
        self._randomness = torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else [])

    def __enter__(self) -> Updates[Example]:
        self.model.train()
        self._randomness.__enter__()
        torch.manual_seed(self.seed)
        return self

    def __exit__(self, *error: Any) -> None:
        self._randomness.__exit__(*error)

    def __iter__(self) -> Iterator[Sequence[Example]]:
        for batch, learning_rate in zip(self.batches, self.learning_rates, strict=True):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            self.optimizer.zero_grad()
            yield batch

    def step(self, loss: float) -> None:
        """Changes the weights by the gradients of a batch, whose loss this is.

        Raises:
            FloatingPointError: for a loss or gradient that is not finite: which batch. It changed no weight.
        """
        self.losses.append(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        if not math.isfinite(norm) or not math.isfinite(loss):
            which = f"batch {len(self.losses)} of {len(self.batches)}"
            raise FloatingPointError(f"{which}: the loss is {loss}, the length of the gradient {float(norm)}")
        self.optimizer.step()


def learning_rate_factor(update: int, num_updates: int, warmup_updates: int) -> float:
    """Share of the peak learning rate at an update: linear warm-up, then half a cosine down to 0.05."""
    warmup = min(1.0, (update + 1) / max(1, warmup_updates))
    return warmup * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, update / max(1, num_updates)))))


def learning_rates(peak: float, epoch: int, num_batches: int, num_epochs: int, warmup_updates: int) -> list[float]:
    """The learning rate of each update of an epoch, counted from 0, among ``num_epochs``."""
    first, num_updates = epoch * num_batches, num_epochs * num_batches
    updates = range(first, first + num_batches)
    return [peak * learning_rate_factor(update, num_updates, warmup_updates) for update in updates]


def shuffled_batches(
    examples: Sequence[Example], size: int, rng: random.Random, length: Callable[[Example], int]
) -> list[list[Example]]:
    """The examples in batches of ``size``, roughly alike in length so that little is padded, in random order."""
    keys = [length(example) * (1 + 0.2 * rng.random()) for example in examples]
    order = sorted(range(len(examples)), key=keys.__getitem__)
    batches = [[examples[number] for number in order[start : start + size]] for start in range(0, len(order), size)]
    rng.shuffle(batches)
    return batches


def stalled(losses: Sequence[float], patience: int) -> bool:
    """No loss of the last ``patience`` is lower than the best before them."""
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])
