"""Conversations that a language model had, as tensors to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...envs import TextVectorEnv
from .model import LanguageModel, closing_ids
from .sampler import Sampler, pad

MAX_TOKENS_AT_ONCE = 2048
"""Tokens, padding included, of one forward and backward pass. So many fit a processor's cache, and are learned from a
third faster than three times as many."""


@dataclass
class Conversation:
    """One conversation while it is being had; all lists have an entry per token.

    Attributes:
        ids: of everything said.
        action_mask: True on what the policy sampled, its end-of-turn token included.
        logprobs: of the sampled tokens, in nats, under the distribution they were drawn from; 0 elsewhere.
        turns: the agent turn that a token belongs to, counted from 0: the prompt of a reply and the reply itself.
        rewards: of each agent turn.
        states: (D,) each, the hidden state in which each reply began.
        next_state: (D,) that in which a next reply would have begun, where the turn limit cut the conversation.
        truncated: the turn limit cut it, or the model's context was full.
        success: the environment's word on it.
        baseline: what conversations about the same goal returned on average, to be compared with; 0 without any.
        num_messages: of the environment's, how many were taken in.
    """

    ids: list[int] = field(default_factory=list)
    action_mask: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    next_state: Tensor | None = None
    truncated: bool = False
    success: bool = False
    baseline: float = 0.0
    num_messages: int = 0

    def read(self, prompt: Sequence[int]) -> None:
        """Takes in what the policy read before its next reply."""
        self._add(prompt, False, [0.0] * len(prompt))

    def say(self, reply: Sequence[int], logprobs: Sequence[float], state: Tensor) -> None:
        """Takes in a reply; ``state`` (D,) is the hidden state in which it began."""
        self._add(reply, True, logprobs)
        self.states.append(state)

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
        states: (B, K, D) hidden state in which each reply began, under the policy that sampled it; constants.
        next_states: (B, D) that after the last turn of a conversation which was cut; 0 for one that is over.
        rewards: (B, K) of each agent turn, less the conversation's baseline in its last; 0 after it.
        baselines: (B,) what was taken off; the return that follows where a conversation was cut does not have it off.
        num_turns: (B,) int64.
        truncated: (B,) bool, cut by the turn limit.
    """

    ids: Tensor
    action_mask: Tensor
    old_logprobs: Tensor
    turns: Tensor
    rows: Tensor
    states: Tensor
    next_states: Tensor
    rewards: Tensor
    baselines: Tensor
    num_turns: Tensor
    truncated: Tensor

    @property
    def turn_mask(self) -> Tensor:
        """(B, K) bool, True on turns that took place."""
        return torch.arange(self.rewards.shape[1], device=self.num_turns.device) < self.num_turns[:, None]

    @classmethod
    def of(cls, conversations: Sequence[Conversation], pad_id: int, device: torch.device | str = "cpu") -> Batch:
        """The conversations as tensors."""
        ids, _ = pad([c.ids for c in conversations], pad_id)
        action_mask, _ = pad([c.action_mask for c in conversations], False, torch.bool)
        logprobs, _ = pad([c.logprobs for c in conversations], 0.0, torch.float32)
        turns, _ = pad([c.turns for c in conversations], 0)
        rewards, num_turns = pad([c.rewards for c in conversations], 0.0, torch.float32)
        baselines = torch.tensor([c.baseline for c in conversations])
        rewards[torch.arange(len(conversations)), num_turns - 1] -= baselines
        states = torch.nn.utils.rnn.pad_sequence([torch.stack(c.states) for c in conversations], batch_first=True)
        over = torch.zeros_like(states[0, 0])
        tensors = {
            "ids": ids,
            "action_mask": action_mask,
            "old_logprobs": logprobs[action_mask],
            "turns": turns[action_mask],
            "rows": torch.arange(len(conversations))[:, None].expand_as(ids)[action_mask],
            "states": states,
            "next_states": torch.stack([over if c.next_state is None else c.next_state for c in conversations]),
            "rewards": rewards,
            "baselines": baselines,
            "num_turns": num_turns,
            "truncated": torch.tensor([c.truncated for c in conversations]),
        }
        return cls(**{name: tensor.to(device) for name, tensor in tensors.items()})


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
    envs.reset(seed=seeds, options={"goal_id": goals} if goals is not None else None)  # type: ignore[arg-type]
    table = _Table(lm, envs, Sampler(lm, envs.num_envs, max_reply_tokens, temperature, generator))
    while table.talking:
        table.play_turn()
    return table.conversations


class _Table:
    """Conversations that are being had side by side; ``talking`` are the rows whose turn it is to be played.

    A conversation that outgrows the model's context is truncated there: what follows in its row is not the policy's.
    """

    def __init__(self, lm: LanguageModel, envs: TextVectorEnv, sampler: Sampler):
        self.lm, self.envs, self.sampler = lm, envs, sampler
        self.room = lm.max_context - 2 * sampler.max_reply_tokens
        if self.room < 1:
            raise ValueError(
                f"max_reply_tokens must be below half of the model's context of {lm.max_context} tokens, "
                f"got {sampler.max_reply_tokens}"
            )
        self.conversations = [Conversation() for _ in range(envs.num_envs)]
        self.talking = list(range(envs.num_envs))
        self.prompts = [self._prompt(row)[-self.room :] for row in self.talking]
        self._over = np.zeros(envs.num_envs, dtype=bool)

    def play_turn(self) -> None:
        """One reply in every conversation that goes on, and what comes of it."""
        _, rewards, terminated, truncated, _ = self.envs.step(self._speak())
        self._over |= terminated | truncated
        successes = self.envs.successes
        for row in self.talking:
            self.conversations[row].rewards.append(float(rewards[row]))
            self.conversations[row].success = bool(successes[row])
        self._keep([place for place, row in enumerate(self.talking) if not terminated[row]])
        self.prompts = [self._prompt(row) for row in self.talking]
        full = [
            len(self.conversations[row].ids) + len(prompt) > self.room
            for row, prompt in zip(self.talking, self.prompts, strict=True)
        ]
        self._cut([place for place, row in enumerate(self.talking) if truncated[row] or full[place]])

    def _speak(self) -> list[str | None]:
        """What is said in each row: None where the conversation is over."""
        replies, end_id = self.sampler.reply(self.prompts), self.lm.tokenizer.end_id
        actions: list[str | None] = [None if over else "" for over in self._over]
        columns = (replies.ids.tolist(), replies.logprobs.tolist(), replies.lengths.tolist(), replies.hidden)
        for row, prompt, ids, logprobs, length, state in zip(self.talking, self.prompts, *columns, strict=True):
            self.conversations[row].read(prompt)
            self.conversations[row].say(ids[:length], logprobs[:length], state)
            actions[row] = self.lm.tokenizer.decode(ids[: length - (ids[length - 1] == end_id)])
        return actions

    def _prompt(self, row: int) -> list[int]:
        """What a conversation gained since the agent's last reply, up to where the next one begins."""
        tokenizer, conversation = self.lm.tokenizer, self.conversations[row]
        messages = self.envs.messages(row)
        new = messages[conversation.num_messages :]
        first = conversation.num_messages == 0
        conversation.num_messages = len(messages)
        prompt = closing_ids(tokenizer, conversation.ids[-1] == tokenizer.end_id) if conversation.ids else []
        for number, message in enumerate(new):
            if first or message["role"] != "assistant":  # its own words it has as it sampled them
                prompt += tokenizer.encode_message(message["role"], message["content"], first and number == 0)
        return prompt + list(tokenizer.prompt_ids)

    def _keep(self, places: list[int]) -> None:
        self.sampler.keep(places)
        self.talking = [self.talking[place] for place in places]

    def _cut(self, places: list[int]) -> None:
        """Truncates conversations, with the state in which the next reply would have begun."""
        if not places:
            return
        left = [self.lm.max_context - len(self.conversations[self.talking[place]].ids) for place in places]
        prompts = [self.prompts[place][-num_tokens:] for place, num_tokens in zip(places, left, strict=True)]
        states = self.sampler.peek(places, prompts)
        for place, state in zip(places, states, strict=True):
            conversation = self.conversations[self.talking[place]]
            conversation.truncated, conversation.next_state = True, state
        rest = [place for place in range(len(self.talking)) if place not in set(places)]
        self._keep(rest)
        self.prompts = [self.prompts[place] for place in rest]


def compare_within_groups(conversations: Sequence[Conversation], group_size: int) -> None:
    """Gives each conversation the mean return of the others in its group as its baseline.

    What others returned does not depend on what was said here, so the gradient of undiscounted returns stays unbiased,
    and how hard the goal is drops out of the comparison; under a discount it would not, as what is taken off a turn
    would depend on how many follow. REINFORCE leave-one-out: Kool et al. (2019), https://openreview.net/forum?id=r1lgTGL5DE.

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


def alike_in_length(sizes: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Numbers of sequences in groups that are padded to at most ``max_tokens``, shortest first; one at least to each.

    Args:
        sizes: tokens of each sequence.
        max_tokens: of a group, padding included.
    """
    group: list[int] = []
    for number in sorted(range(len(sizes)), key=sizes.__getitem__):
        if group and sizes[number] * (len(group) + 1) > max_tokens:
            yield group
            group = []
        group.append(number)
    if group:
        yield group
