"""A batch of conversations as tensors, built once and then indexed; the gradient step that learns from some of them."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from ..base import LogRow
from .memory import TokenBudget
from .model import LanguageModel
from .rollout import Episode
from .sampler import pad

OF_TOKENS = ("ids", "action_mask", "turns", "sampled_logprobs", "old_logprobs", "reference_logprobs", "weights")
"""Fields of a batch that have an entry per token."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """B episodes, padded on the right. T tokens, K agent turns at most.

    Attributes:
        ids: (B, T) int64.
        action_mask: (B, T) bool, True on what the policy sampled.
        lengths: (B,) int64, tokens of each episode.
        turns: (B, T) int64, the agent turn that each token belongs to.
        sampled_logprobs: (B, T) of the sampled tokens, in nats, under the distribution they were drawn from.
        old_logprobs: (B, T) under the policy before the update; the same, unless they are taken anew.
        reference_logprobs: (B, T) under the reference, once they are known.
        weights: (B, T) what each sampled token counts; 1 unless they are importance weights.
        rewards: (B, K) of each agent turn, as the environment gave them; 0 after the last.
        group: (B,) int64, equal for conversations about the same goal and user.
        states: (B, K, D) hidden state in which each reply began, under the policy that sampled it; constants.
        next_states: (B, D) that after the last turn of a conversation which was cut; 0 for one that is over.
        num_turns: (B,) int64, those that tokens belong to.
        num_later_turns: (B,) int64, those that came after them, when the model's context was full.
        truncated: (B,) bool, cut by the turn limit.
        advantages: (B, K) of each turn, once they are known.
    """

    ids: Tensor
    action_mask: Tensor
    lengths: Tensor
    turns: Tensor
    sampled_logprobs: Tensor
    old_logprobs: Tensor
    reference_logprobs: Tensor
    weights: Tensor
    rewards: Tensor
    group: Tensor
    states: Tensor
    next_states: Tensor
    num_turns: Tensor
    num_later_turns: Tensor
    truncated: Tensor
    advantages: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, episodes: Sequence[Episode], pad_id: int, device: torch.device | str = "cpu") -> Batch:
        """The episodes as tensors."""
        ids, lengths = pad([one.ids for one in episodes], pad_id)
        rewards, _ = pad([[*one.rewards, *one.later_rewards] for one in episodes], 0.0, torch.float32)
        states = torch.nn.utils.rnn.pad_sequence([torch.stack(one.states) for one in episodes], batch_first=True)
        states = torch.nn.functional.pad(states.float(), (0, 0, 0, rewards.shape[1] - states.shape[1]))
        over = torch.zeros_like(states[0, 0])
        next_states = [over if one.next_state is None else one.next_state.float() for one in episodes]
        logprobs, _ = pad([one.logprobs for one in episodes], 0.0, torch.float32)
        tensors = {
            "ids": ids,
            "action_mask": pad([one.action_mask for one in episodes], False, torch.bool)[0],
            "lengths": lengths,
            "turns": pad([one.turns for one in episodes], 0)[0],
            "sampled_logprobs": logprobs,
            "old_logprobs": logprobs,
            "reference_logprobs": torch.zeros_like(logprobs),
            "weights": torch.ones_like(logprobs),
            "rewards": rewards,
            "group": torch.tensor([one.group for one in episodes]),
            "states": states,
            "next_states": torch.stack(next_states),
            "num_turns": torch.tensor([len(one.rewards) for one in episodes]),
            "num_later_turns": torch.tensor([len(one.later_rewards) for one in episodes]),
            "truncated": torch.tensor([one.truncated for one in episodes]),
            "advantages": torch.zeros_like(rewards),
        }
        return cls(**{name: tensor.to(device) for name, tensor in tensors.items()})

    def select(self, rows: Sequence[int]) -> Batch:
        """Some of the episodes, padded no further than the longest of them."""
        chosen = torch.tensor(rows, dtype=torch.long, device=self.ids.device)
        longest = int(self.lengths[chosen].max())
        fields = {field.name: getattr(self, field.name)[chosen] for field in dataclasses.fields(self)}
        for name in OF_TOKENS:
            fields[name] = fields[name][:, :longest]
        return Batch(**fields)

    @property
    def turn_mask(self) -> Tensor:
        """(B, K) bool, True on turns that tokens belong to."""
        return torch.arange(self.rewards.shape[1], device=self.num_turns.device) < self.num_turns[:, None]

    @property
    def num_sampled(self) -> Tensor:
        """(B,) int64, tokens that the policy sampled."""
        return self.action_mask.sum(1)

    def actions(self, per_turn: bool) -> Tensor:
        """(N,) int64, the action of each sampled token, numbered from 0: its turn, or else its whole conversation."""
        if not per_turn:
            return self.rows
        return torch.unique(self.rows * self.rewards.shape[1] + self.token_turns, return_inverse=True)[1]

    # Of the N sampled tokens, row by row

    @property
    def rows(self) -> Tensor:
        """(N,) int64, the episode of each sampled token."""
        return self.action_mask.nonzero()[:, 0]

    @property
    def token_turns(self) -> Tensor:
        """(N,) int64, the agent turn of each sampled token."""
        return self.tokens(self.turns)

    @property
    def token_advantages(self) -> Tensor:
        """(N,) the advantage of each sampled token: that of its turn."""
        return self.advantages[self.rows, self.token_turns]

    def tokens(self, values: Tensor) -> Tensor:
        """(N,) the entries of (B, T) values for the sampled tokens."""
        return values[self.action_mask]


Loss = Callable[[Batch], tuple[Tensor, LogRow]]
"""The loss of some conversations, a scalar, and what to log of them, means over their sampled tokens."""


def gradient_step(
    lm: LanguageModel,
    optimizer: torch.optim.Optimizer,
    loss_of: Loss,
    max_grad_norm: float,
    budget: TokenBudget,
    batch: Batch,
    rows: Sequence[int],
    per_conversation: bool = False,
    teaching: Collection[int] | None = None,
) -> LogRow:
    """One step on the mean loss over some conversations, of which as many pass at once as the memory holds.

    Args:
        lm: the model that learns.
        optimizer: of its weights.
        loss_of: the loss of some conversations, a mean over their sampled tokens.
        max_grad_norm: longer gradients are shortened to it.
        budget: how many tokens pass at once.
        batch: the conversations.
        rows: which of them to learn from.
        per_conversation: the loss is a mean over conversations instead.
        teaching: those whose loss has a gradient, at least one of ``rows``; None is all. The others count in the mean
            of the loss, as 0, and never pass.

    Returns:
        The means over all tokens that passed of what ``loss_of`` logs, its "loss" averaged as the loss is, and
        "grad_norm" before clipping.

    Raises:
        FloatingPointError: for a gradient that is not finite; the weights stay as they were.
    """
    passing = [row for row in rows if teaching is None or row in teaching]
    lengths, num_sampled = batch.lengths[passing].tolist(), batch.num_sampled[passing].tolist()
    num_of_loss = len(rows) if per_conversation else int(batch.num_sampled[list(rows)].sum())

    def backward(numbers: list[int]) -> tuple[float, float, LogRow]:
        num_tokens = sum(num_sampled[number] for number in numbers)
        share_of_loss = (len(numbers) if per_conversation else num_tokens) / num_of_loss
        loss, row = loss_of(batch.select([passing[number] for number in numbers]))
        (share_of_loss * loss).backward()
        return num_tokens / sum(num_sampled), share_of_loss, row

    parts = budget.run(lengths, backward, start=optimizer.zero_grad)
    norm = torch.nn.utils.clip_grad_norm_(lm.trainable_parameters(), max_grad_norm)
    if not math.isfinite(norm):
        optimizer.zero_grad()
        raise FloatingPointError(f"the length of the gradient is {float(norm)}, and the losses are {_losses(parts)}")
    optimizer.step()
    totals: LogRow = {}
    for share, share_of_loss, row in parts:
        for name, value in row.items():
            totals[name] = totals.get(name, 0.0) + (share_of_loss if name == "loss" else share) * float(value)
    return {**totals, "grad_norm": float(norm)}


def _losses(parts: Sequence[tuple[float, float, LogRow]]) -> str:
    return ", ".join(f"{row.get('loss', math.nan):.4g}" for _, _, row in parts[:8])


@torch.no_grad()
def logprobs_under(lm: LanguageModel, batch: Batch, temperature: float, budget: TokenBudget) -> Tensor:
    """(B, T) log-probabilities of the sampled tokens under a model, in nats; 0 elsewhere."""
    found = torch.zeros_like(batch.sampled_logprobs)

    def look_up(numbers: list[int]) -> None:
        part = batch.select(numbers)
        table = torch.zeros_like(part.sampled_logprobs)
        table[part.action_mask] = lm.token_logprobs(part.ids, part.action_mask, temperature).logprobs
        found[numbers, : table.shape[1]] = table

    budget.run(batch.lengths.tolist(), look_up)
    return found


def reference_state(lm: LanguageModel, reference: LanguageModel | None) -> dict[str, torch.nn.Module]:
    """What a checkpoint needs of a reference: nothing where there is none, or it is the model without its adapter."""
    return {} if reference is None or reference.model is lm.model else {"reference": reference.model}


def warm_up(optimizer: torch.optim.Optimizer, peak: float, update: int, warmup_updates: int) -> None:
    """Sets the learning rate of an update, counted from 0: a line up to the peak, then the peak."""
    for group in optimizer.param_groups:
        group["lr"] = peak * min(1.0, (update + 1) / max(1, warmup_updates))


def drawn_minibatches(num_rows: int, size: int, rng: random.Random) -> list[list[int]]:
    """The numbers of a batch's conversations, each once, in minibatches of ``size`` drawn at random."""
    order = rng.sample(range(num_rows), num_rows)
    return [order[start : start + size] for start in range(0, num_rows, size)]


def mean_row(rows: Sequence[LogRow]) -> LogRow:
    """The means of rows of the same columns."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
