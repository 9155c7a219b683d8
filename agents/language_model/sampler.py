"""Replies of a language model in many conversations side by side.

Of a :class:`RaggedSampler` each token is read once: the keys and values of what was read live on across the turns
(``cache.py``), so that a turn reads only what is new, and rows whose reply has ended leave the batch as soon as that
pays. A :class:`GenerateSampler` has transformers' ``generate`` read every conversation anew: slower, and for any model.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from .beginning import Beginning
from .cache import RaggedCache
from .drawing import Turn, sample_tokens, uniform_numbers
from .generation import generate
from .model import LanguageModel

READ_TOGETHER = 64
"""Prompts are read so many at a time, alike in length."""
MOST_PADDING_ON_CPU, MOST_PADDING = 64, 4096
"""Where more tokens of padding would be read with them, another pass costs less, on a processor and elsewhere."""


class Replies(NamedTuple):
    """One reply in each of B conversations.

    Attributes:
        ids: (B, R) int64 sampled tokens; beyond a reply's end the entries mean nothing.
        logprobs: (B, R) log-probabilities of the sampled tokens, in nats, under the distribution they were drawn from.
        lengths: (B,) int64, tokens of each reply, its end-of-turn token included.
        hidden: (B, D) state in which each reply began: that of the last token of its prompt.
    """

    ids: Tensor
    logprobs: Tensor
    lengths: Tensor
    hidden: Tensor


class Sampler(Protocol):
    """Samples the replies of B conversations side by side."""

    lm: LanguageModel
    max_reply_tokens: int

    @property
    def num_read(self) -> list[int]:
        """Tokens so far of each conversation, read or said."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some of the conversations only, in that order; row -1 is a new one."""
        ...

    def reply(self, prompts: Sequence[Sequence[int]], turns: Sequence[Turn]) -> Replies:
        """A reply in every conversation.

        Args:
            prompts: what each conversation gained since its last reply, at least one token each.
            turns: which reply it is; what is drawn hangs on it.
        """
        ...

    def peek(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """(B, D) hidden states in which replies to prompts would begin in some rows, which stay as they are."""
        ...


def new_sampler(
    lm: LanguageModel,
    num_rows: int,
    max_reply_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> Sampler:
    """The sampler of a model.

    Args:
        lm: whose words.
        num_rows: B, conversations side by side.
        max_reply_tokens: limit of one reply.
        temperature: 1 samples from the model, 0 takes the likeliest token.
        seed: of what is drawn.
    """
    kind = RaggedSampler if lm.keeps_what_it_read else GenerateSampler
    return kind(lm, num_rows, max_reply_tokens, temperature, seed)


class Aside(NamedTuple):
    """A conversation that was laid aside: what was read of it, in one row, and the tokens that were not."""

    cache: RaggedCache
    unread: list[int]


class RaggedSampler:
    """A :class:`Sampler` that keeps what it has read; arguments as for :func:`new_sampler`."""

    COMPACT = 0.8
    """When at most this share of the rows is still speaking, only those go on."""

    def __init__(
        self,
        lm: LanguageModel,
        num_rows: int,
        max_reply_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
    ):
        self.lm, self.max_reply_tokens = lm, max_reply_tokens
        self.temperature, self.seed = temperature, seed
        self.cache = RaggedCache.of(lm.model, num_rows)
        self._unread: list[list[int]] = [[] for _ in range(num_rows)]  # the last token said, per row
        self._beginning = Beginning(lm)

    @property
    def num_read(self) -> list[int]:
        """Tokens so far of each conversation, read or said."""
        lengths = self.cache.lengths.tolist()
        return [length + len(unread) for length, unread in zip(lengths, self._unread, strict=True)]

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some of the conversations only, in that order; row -1 is a new one."""
        if list(rows) != list(range(len(self._unread))):
            self.cache = self.cache.select(torch.tensor(rows, dtype=torch.long, device=self.lm.device))
            self._unread = [self._unread[row] if row >= 0 else [] for row in rows]

    def lay_aside(self, row: int) -> Aside:
        """What is known of a conversation, for :meth:`take_up`; it stays here too."""
        return Aside(self.cache.select(torch.tensor([row], device=self.lm.device)), self._unread[row])

    def take_up(self, asides: Sequence[Aside]) -> None:
        """Goes on with conversations that were laid aside as well, in rows behind the others."""
        self.cache = RaggedCache.joined([self.cache, *(aside.cache for aside in asides)])
        self._unread = [*self._unread, *(aside.unread for aside in asides)]

    @torch.inference_mode()
    def reply(self, prompts: Sequence[Sequence[int]], turns: Sequence[Turn]) -> Replies:
        """A reply in every conversation; see :class:`Sampler`."""
        replies = self._speak(*self.read(prompts), uniform_numbers(self.seed, turns, self.max_reply_tokens))
        said = replies.ids.gather(1, replies.lengths[:, None] - 1).tolist()
        self._unread = list(said)
        return replies

    @torch.inference_mode()
    def read(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Reads what each conversation gained; (B, V) logits and (B, D) hidden states of the last token of each."""
        device = self.lm.device
        new = [[*unread, *prompt] for unread, prompt in zip(self._unread, prompts, strict=True)]
        empty = [row for row, length in enumerate(self.cache.lengths.tolist()) if length == 0]
        num_known = self._beginning.take_up(self.cache, empty, [new[row] for row in empty])
        for row in empty:
            new[row] = new[row][num_known:]
        padded, num_tokens = pad(new, self.lm.tokenizer.pad_id)
        self._unread = [[] for _ in prompts]
        groups = alike(num_tokens.tolist(), device)
        if len(groups) == 1:
            return self._read_rows(padded.to(device), num_tokens.to(device), None)
        parts = []
        for group in groups:
            rows = torch.tensor(group)
            part = padded[rows, : int(num_tokens[rows].max())].to(device)
            parts.append(self._read_rows(part, num_tokens[rows].to(device), rows.to(device)))
        places = torch.tensor([row for group in groups for row in group]).argsort().to(device)
        logits, states = (torch.cat(part)[places] for part in zip(*parts, strict=True))
        return logits, states

    def peek(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """(B, D) hidden states in which replies to prompts would begin in some rows, which stay as they are."""
        copied = copy.copy(self)
        copied.cache = self.cache.select(torch.tensor(rows, dtype=torch.long, device=self.lm.device))
        copied._unread = [self._unread[row] for row in rows]
        return copied.read(prompts)[1]

    def _read_rows(self, ids: Tensor, num_tokens: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        last = is_last(num_tokens, ids.shape[1])
        found = self.lm.forward.logits_and_states(ids, last, **self.cache.place(ids.shape[1], rows))
        self.cache.commit(num_tokens)
        return found

    def _speak(self, logits: Tensor, begin: Tensor, uniform: Tensor) -> Replies:
        """Samples until every reply has ended. The last token of a reply is left unread: the next turn reads it."""
        uniform = uniform.to(begin.device)
        num_rows, limit, end_id = len(begin), self.max_reply_tokens, self.lm.tokenizer.end_id
        ids = torch.zeros(num_rows, limit, dtype=torch.long, device=begin.device)
        logprobs = torch.zeros(num_rows, limit, device=begin.device)
        lengths = torch.full((num_rows,), limit, dtype=torch.long, device=begin.device)
        rows, speaking = torch.arange(num_rows, device=begin.device), torch.ones(num_rows, device=begin.device).bool()
        cache, starts = self.cache, self.cache.lengths
        larger: list[tuple[RaggedCache, Tensor]] = []  # caches that a smaller one was taken from, and which rows
        num_fed = 0
        for step in range(limit):
            drawn_by = uniform[rows, step, None]
            tokens, token_logprobs = sample_tokens(self.lm.possible(logits), self.temperature, drawn_by)
            ids[rows, step], logprobs[rows, step] = tokens, token_logprobs
            ended = speaking & (tokens == end_id)
            lengths[rows[ended]] = step + 1
            speaking = speaking & ~ended
            num_speaking = int(speaking.sum())
            if num_speaking == 0 or step == limit - 1:
                break
            if num_speaking <= self.COMPACT * len(rows):
                kept = speaking.nonzero()[:, 0]
                larger.append((cache, kept))
                cache, rows, tokens, speaking = cache.select(kept), rows[kept], tokens[kept], speaking[kept]
            logits = self.lm.forward.last_logits(tokens[:, None], **cache.place(1))
            cache.commit(1)
            num_fed += 1
        for owner, kept in reversed(larger):
            owner.put_back(kept, cache, num_fed)
            cache = owner
        self.cache.lengths = starts + lengths - 1
        return Replies(ids, logprobs, lengths, begin)


class GenerateSampler:
    """A :class:`Sampler` that reads every conversation anew; arguments as for :func:`new_sampler`."""

    def __init__(
        self,
        lm: LanguageModel,
        num_rows: int,
        max_reply_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
    ):
        self.lm, self.max_reply_tokens = lm, max_reply_tokens
        self.temperature, self.seed = temperature, seed
        self._ids: list[list[int]] = [[] for _ in range(num_rows)]

    @property
    def num_read(self) -> list[int]:
        """Tokens so far of each conversation, read or said."""
        return [len(ids) for ids in self._ids]

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some of the conversations only, in that order; row -1 is a new one."""
        self._ids = [list(self._ids[row]) if row >= 0 else [] for row in rows]

    @torch.inference_mode()
    def reply(self, prompts: Sequence[Sequence[int]], turns: Sequence[Turn]) -> Replies:
        """A reply in every conversation; see :class:`Sampler`."""
        tokenizer = self.lm.tokenizer
        self._ids = [[*ids, *prompt] for ids, prompt in zip(self._ids, prompts, strict=True)]
        uniform = uniform_numbers(self.seed, turns, self.max_reply_tokens) if self.temperature else None
        found = generate(
            self.lm.forward, self._ids, self.max_reply_tokens, tokenizer.end_id, tokenizer.pad_id, self.lm.forbidden,
            self.temperature or 1.0, uniform,
        )  # fmt: skip
        before_end = (found.ids != tokenizer.end_id).long().cumprod(1).sum(1)
        lengths = (before_end + 1).clamp(max=found.ids.shape[1])
        for ids, said, length in zip(self._ids, found.ids.tolist(), lengths.tolist(), strict=True):
            ids += said[:length]
        return Replies(found.ids, found.logprobs, lengths, found.states)

    @torch.inference_mode()
    def peek(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """(B, D) hidden states in which replies to prompts would begin in some rows, which stay as they are."""
        wholes = [[*self._ids[row], *prompt] for row, prompt in zip(rows, prompts, strict=True)]
        ids, lengths = (tensor.to(self.lm.device) for tensor in pad(wholes, self.lm.tokenizer.pad_id))
        last = is_last(lengths, ids.shape[1])
        return self.lm.forward.logits_and_states(ids, last)[1]


def pad(sequences: Sequence[Sequence[Any]], value: Any, dtype: torch.dtype = torch.long) -> tuple[Tensor, Tensor]:
    """(B, T) tensor of the sequences, padded on the right with ``value``, and their (B,) lengths."""
    lengths = [len(sequence) for sequence in sequences]
    longest = max(lengths)
    rows = [[*sequence, *[value] * (longest - len(sequence))] for sequence in sequences]
    return torch.tensor(rows, dtype=dtype), torch.tensor(lengths)


def alike(lengths: Sequence[int], device: torch.device) -> list[list[int]]:
    """Rows in groups that are read together: few enough to fit a processor's cache, and alike in length.

    One long row among short ones would have all of them padded to its length.

    Args:
        lengths: of the rows, in tokens.
        device: of the model.
    """
    most_padding = MOST_PADDING_ON_CPU if device.type == "cpu" else MOST_PADDING
    groups: list[list[int]] = []
    padding = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups:
            padding += len(groups[-1]) * (lengths[row] - lengths[groups[-1][-1]])
        if not groups or len(groups[-1]) == READ_TOGETHER or padding > most_padding:
            groups.append([])
            padding = 0
        groups[-1].append(row)
    return groups


def is_last(lengths: Tensor, width: int) -> Tensor:
    """(B, width) bool, True on the last token of each row that is padded on the right; nowhere in an empty row."""
    return torch.arange(width, device=lengths.device) == lengths[:, None] - 1
