"""Supervised learning in epochs: batches alike in length, a learning rate that warms up and falls, early stopping."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..base import LogRow
from .checkpoint import read_checkpoint, write_checkpoint
from .learner import Training

Example = TypeVar("Example")


def learn_in_epochs(
    training: Training,
    optimizer: torch.optim.Optimizer,
    max_epochs: int,
    patience: int,
    run_epoch: Callable[[int], LogRow],
) -> None:
    """Epochs until the validation loss falls no more; without ``validate`` the epoch with the lowest is kept.

    A training that was interrupted and resumed ends with the very weights of one that was not, where every epoch has
    its own random stream: it goes back to the last one.

    Args:
        training: of an agent with a model in torch.
        optimizer: of its weights.
        max_epochs: at most.
        patience: epochs without a lower validation loss before it stops.
        run_epoch: learns from all examples, given the number of epochs before, and returns the row of the log, with
            "validation_loss".

    Raises:
        FloatingPointError: for a loss or gradient that is not finite: which epoch and batch, and what was kept.
    """
    agent, losses = training.agent, list[float]()
    with training.begin(otherwise=lambda agent: -losses[-1]) as (folder, selection):
        state = read_checkpoint(agent, folder) if training.resume else None
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
            losses[:], selection.score = state["losses"], state["best"]
        while len(losses) < max_epochs and not stalled(losses, patience):
            began = time.perf_counter()
            try:
                row = {"epoch": len(losses) + 1, **run_epoch(len(losses))}
            except FloatingPointError as e:
                kept = f"; the checkpoint in {training.checkpoint} is of epoch {len(losses)}" if losses else ""
                kept = "" if training.checkpoint is None else kept
                raise FloatingPointError(
                    f"epoch {len(losses) + 1}, {e}; stopped before the weights were changed by it{kept}. "
                    f"A smaller learning_rate or max_grad_norm may help"
                ) from e
            losses.append(row["validation_loss"])
            agent.budget.seconds += time.perf_counter() - began
            best = selection.keep_best()
            state = {"optimizer": optimizer.state_dict(), "losses": losses, "best": selection.score}
            write_checkpoint(agent, folder, state)
            row.update(seconds=agent.budget.seconds, progress=len(losses) / max_epochs)
            training.log({**row, **(best if training.validate is not None else {})})


def train_epoch(
    model: Any,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Sequence[Example]],
    backward: Callable[[Sequence[Example]], float],
    learning_rates: Sequence[float],
    max_grad_norm: float,
    seed: int,
) -> list[float]:
    """One update for each batch; the losses.

    Args:
        model: of torch.
        optimizer: of its weights.
        batches: of examples.
        backward: adds the gradient of a batch's loss to those of the weights; returns the loss.
        learning_rates: of each update.
        max_grad_norm: longer gradients are shortened to it.
        seed: of dropout, where the model has any.

    Raises:
        FloatingPointError: for a loss or gradient that is not finite: which batch. It changed no weight.
    """
    losses = []
    model.train()
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        for batch, learning_rate in zip(batches, learning_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.zero_grad()
            losses.append(backward(batch))
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
            if not math.isfinite(norm) or not math.isfinite(losses[-1]):
                which = f"batch {len(losses)} of {len(batches)}"
                raise FloatingPointError(f"{which}: the loss is {losses[-1]}, the length of the gradient {float(norm)}")
            optimizer.step()
    return losses


def in_one_pass(loss_of: Callable[[Sequence[Example]], Tensor]) -> Callable[[Sequence[Example]], float]:
    """The ``backward`` of :func:`train_epoch` for a loss, a scalar, of a batch that passes at once."""

    def backward(batch: Sequence[Example]) -> float:
        loss = loss_of(batch)
        loss.backward()
        return loss.item()

    return backward


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
