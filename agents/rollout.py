"""Conversations that a language model had, as tensors to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..envs import TextVectorEnv
from ..envs.tokenizer import Tokenizer
from .language_model import LanguageModel, closing_ids
from .sampler import Sampler, pad


@dataclass
class Conversation:
    """One conversation while it is being had; all lists have an entry per token.

    Attributes:
        ids: of everything said.
        action_mask: True on what the policy sampled, its end-of-turn token included.
        logprobs: of the sampled tokens, in nats, under the distribution they were drawn from; 0 elsewhere.
        turns: the agent turn that a token belongs to, counted from 0: the prompt of a reply and the reply itself.
        rewards: of each agent turn.
        baseline: what conversations about the same goal returned on average, to be compared with; 0 without any.
    """

    ids: list[int] = field(default_factory=list)
    action_mask: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    baseline: float = 0.0
    truncated: bool = False
    success: bool = False
    num_messages: int = 0

    def read(self, prompt: Sequence[int]) -> None:
        """Takes in what the policy read before its next reply."""
        self._add(prompt, False, [0.0] * len(prompt))

    def say(self, reply: Sequence[int], logprobs: Sequence[float]) -> None:
        """Takes in a reply."""
        self._add(reply, True, logprobs)

    def _add(self, ids: Sequence[int], sampled: bool, logprobs: Sequence[float]) -> None:
        self.ids += ids
        self.action_mask += [sampled] * len(ids)
        self.logprobs += logprobs
        self.turns += [len(self.rewards)] * len(ids)

    @property
    def num_sampled(self) -> int:
        """Tokens that the policy sampled."""
        return sum(self.action_mask)


@dataclass
class Batch:
    """B conversations, padded on the right. T tokens, K agent turns at most.

    Attributes:
        ids: (B, T) int64.
        action_mask: (B, T) bool, True on what the policy sampled.
        old_logprobs: (N,) of the N sampled tokens, row by row.
        turns: (N,) int64, the agent turn of each sampled token.
        rows: (N,) int64, the conversation of each sampled token.
        starts: (B, K) int64, position of the token after which each reply begins: the last of its prompt.
        rewards: (B, K) of each agent turn, less the conversation's baseline in its last; 0 after it.
        num_turns: (B,) int64.
        truncated: (B,) bool, cut by the turn limit.
    """

    ids: Tensor
    action_mask: Tensor
    old_logprobs: Tensor
    turns: Tensor
    rows: Tensor
    starts: Tensor
    rewards: Tensor
    num_turns: Tensor
    truncated: Tensor

    @property
    def turn_mask(self) -> Tensor:
        """(B, K) bool, True on turns that took place."""
        return torch.arange(self.rewards.shape[1]) < self.num_turns[:, None]

    @classmethod
    def of(cls, conversations: Sequence[Conversation], pad_id: int) -> Batch:
        """The conversations as tensors."""
        ids, _ = pad([c.ids for c in conversations], pad_id)
        action_mask, _ = pad([c.action_mask for c in conversations], False, torch.bool)
        logprobs, _ = pad([c.logprobs for c in conversations], 0.0, torch.float32)
        turns, _ = pad([c.turns for c in conversations], 0)
        rewards, num_turns = pad([c.rewards for c in conversations], 0.0, torch.float32)
        rewards[torch.arange(len(conversations)), num_turns - 1] -= torch.tensor([c.baseline for c in conversations])
        starts, _ = pad([_starts(c) for c in conversations], 0)
        return cls(
            ids=ids,
            action_mask=action_mask,
            old_logprobs=logprobs[action_mask],
            turns=turns[action_mask],
            rows=torch.arange(len(conversations))[:, None].expand_as(ids)[action_mask],
            starts=starts,
            rewards=rewards,
            num_turns=num_turns,
            truncated=torch.tensor([c.truncated for c in conversations]),
        )


def _starts(conversation: Conversation) -> list[int]:
    mask = conversation.action_mask
    return [position - 1 for position in range(1, len(mask)) if mask[position] and not mask[position - 1]]


def converse(
    lm: LanguageModel,
    envs: TextVectorEnv,
    max_reply_tokens: int,
    *,
    seeds: Sequence[int] | None = None,
    goals: Sequence[str | None] | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> list[Conversation]:
    """One whole conversation in each row of ``envs``, sampled from the model.

    Args:
        lm: whose policy.
        envs: text interface, autoreset mode Disabled.
        max_reply_tokens: limit of one reply.
        seeds: of the rows; None goes on with their streams.
        goals: goal ids of the rows; None draws them.
        temperature: of sampling.
        generator: of torch, for sampling.
    """
    envs.reset(seed=seeds, options={"task": goals} if goals is not None else None)  # type: ignore[arg-type]
    conversations = [Conversation() for _ in range(envs.num_envs)]
    sampler = Sampler(lm, envs.num_envs, max_reply_tokens, temperature, generator)
    talking = list(range(envs.num_envs))
    while talking:
        prompts = [_prompt(lm.tokenizer, conversations[row], envs, row) for row in talking]
        replies = sampler.reply(prompts)
        actions: list[str | None] = [None] * envs.num_envs
        columns = (prompts, replies.ids.tolist(), replies.logprobs.tolist(), replies.lengths.tolist())
        for row, prompt, ids, logprobs, length in zip(talking, *columns, strict=True):
            conversations[row].read(prompt)
            conversations[row].say(ids[:length], logprobs[:length])
            actions[row] = lm.tokenizer.decode(ids[: length - (ids[length - 1] == lm.tokenizer.end_id)])
        _, rewards, terminated, truncated, _ = envs.step(actions)
        going_on = _note(conversations, talking, rewards, terminated, truncated, envs.successes)
        if going_on:
            sampler.keep([place for place, row in enumerate(talking) if row in going_on])
        talking = sorted(going_on)
    return conversations


def _prompt(tokenizer: Tokenizer, conversation: Conversation, envs: TextVectorEnv, row: int) -> list[int]:
    """What a conversation gained since the agent's last reply, up to where the next one begins."""
    messages = envs.messages(row)
    new = messages[conversation.num_messages :]
    conversation.num_messages = len(messages)
    prompt = closing_ids(tokenizer, conversation.ids[-1] == tokenizer.end_id) if conversation.ids else []
    for message in new:
        if message["role"] != "assistant":  # its own words it has as it sampled them
            prompt += tokenizer.encode_message(message["role"], message["content"])
    return prompt + list(tokenizer.prompt_ids)


def _note(
    conversations: Sequence[Conversation],
    talking: Sequence[int],
    rewards: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    successes: np.ndarray,
) -> set[int]:
    """Writes down how the turn went; the rows that go on."""
    going_on = set()
    for row in talking:
        conversations[row].rewards.append(float(rewards[row]))
        conversations[row].truncated = bool(truncated[row])
        conversations[row].success = bool(successes[row])
        if not (terminated[row] or truncated[row]):
            going_on.add(row)
    return going_on


def compare_within_groups(conversations: Sequence[Conversation], group_size: int) -> None:
    """Gives each conversation the mean return of the others in its group as its baseline.

    What others returned does not depend on what was said here, so the gradient stays unbiased, and how hard the goal is
    drops out of the comparison. REINFORCE leave-one-out: Kool et al. (2019), https://openreview.net/forum?id=r1lgTGL5DE.

    Args:
        conversations: groups of ``group_size`` in a row, each about one goal under one seed.
        group_size: 1 leaves the baselines at 0.
    """
    if group_size == 1:
        return
    for start in range(0, len(conversations), group_size):
        group = conversations[start : start + group_size]
        total = sum(sum(conversation.rewards) for conversation in group)
        for conversation in group:
            conversation.baseline = (total - sum(conversation.rewards)) / (len(group) - 1)


def minibatches(conversations: Sequence[Any], size: int, length: Any = lambda c: len(c.ids)) -> Iterator[list[Any]]:
    """The conversations in groups of ``size``, alike in length so that little is padded."""
    ordered = sorted(conversations, key=length)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
