"""Replies in many conversations, each of which goes on as soon as it has something to answer, whatever the others do.

When conversations take their turns together, a turn lasts as long as its longest reply. Here each has a slot of its
own: while some are still speaking, others read what they were answered, and a slot whose conversation is over takes
the next (continuous batching: Yu et al., 2022, "Orca", section 3.2,
https://www.usenix.org/conference/osdi22/presentation/yu). Every token is still read once (``cache.py``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from .beginning import Beginning
from .cache import RaggedCache
from .drawing import Turn, sample_tokens, uniform_numbers
from .model import LanguageModel
from .sampler import Sampler, alike, is_last, new_sampler, pad


class Reply(NamedTuple):
    """A reply that has ended.

    Attributes:
        slot: of its conversation.
        ids: its tokens, the end-of-turn token included where it was said.
        logprobs: of these, in nats, under the distribution they were drawn from.
        state: (D,) hidden state in which it began.
    """

    slot: int
    ids: list[int]
    logprobs: list[float]
    state: Tensor


@dataclass
class _Slot:
    """Where a conversation is cached, what it is about to read, what it has said of its present reply, and draws by.

    A fresh one has read nothing, or nothing but what all that are fresh begin with.
    """

    number: int
    row: int
    fresh: bool = True
    num_cached: int = 0
    unread: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    uniform: list[float] = field(default_factory=list)
    state: Tensor | None = None
    speaks: bool = False


class Slots(Protocol):
    """Where conversations are had side by side, each in a slot of its own, numbered from 0."""

    max_reply_tokens: int

    def num_read(self, slot: int) -> int:
        """Tokens so far of the conversation in a slot, read or said."""
        ...

    def ask(self, slot: int, prompt: Sequence[int], turn: Turn, anew: bool = False) -> None:
        """Begins a reply.

        Args:
            slot: open, and not speaking.
            prompt: what its conversation gained since its last reply, at least one token.
            turn: which reply it is; what is drawn hangs on it.
            anew: what was read in this slot is forgotten before.
        """
        ...

    def advance(self) -> list[Reply]:
        """Goes on until some replies have ended, and returns these; none where nobody was asked."""
        ...

    def peek(self, slots: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """(P, D) hidden states in which replies would begin, if they were asked for; conversations stay as they are.

        Args:
            slots: P; slot -1 is a conversation of which nothing was read.
            prompts: of each.
        """
        ...

    def close(self, slot: int) -> None:
        """No conversation will go on in this slot."""
        ...


OpenSlots: TypeAlias = Callable[[LanguageModel, int, int, float, int], Slots]
"""Opens the slots of a model, as :func:`open_slots` does."""


def open_slots(
    lm: LanguageModel,
    num_slots: int,
    max_reply_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> Slots:
    """The slots of a model.

    Args:
        lm: whose words.
        num_slots: conversations side by side.
        max_reply_tokens: limit of one reply.
        temperature: 1 samples from the model, 0 takes the likeliest token.
        seed: of what is drawn.
    """
    if lm.keeps_what_it_read:
        return ContinuousSlots(lm, num_slots, max_reply_tokens, temperature, seed)
    return SlotsInTurns(new_sampler(lm, 0, max_reply_tokens, temperature, seed))


class SlotsInTurns:
    """Slots that all take their turns together, for models that read every conversation anew.

    Args:
        sampler: of no conversation yet.
    """

    def __init__(self, sampler: Sampler):
        self.sampler, self.max_reply_tokens = sampler, sampler.max_reply_tokens
        self._rows = dict[int, int]()  # of the sampler, by slot
        self._asked = dict[int, tuple[Sequence[int], Turn]]()

    def num_read(self, slot: int) -> int:
        return self.sampler.num_read[self._rows[slot]]

    def ask(self, slot: int, prompt: Sequence[int], turn: Turn, anew: bool = False) -> None:
        if anew:
            self._rows.pop(slot, None)
        self._asked[slot] = prompt, turn

    def advance(self) -> list[Reply]:
        if not self._asked:
            return []
        self.sampler.keep([self._rows.get(slot, -1) for slot in self._asked])
        prompts, turns = zip(*self._asked.values(), strict=True)
        replies = self.sampler.reply(prompts, turns)
        self._rows = {slot: row for row, slot in enumerate(self._asked)}
        self._asked = {}
        columns = (replies.ids.tolist(), replies.logprobs.tolist(), replies.lengths.tolist(), replies.hidden)
        return [
            Reply(slot, ids[:length], logprobs[:length], state)
            for slot, ids, logprobs, length, state in zip(self._rows, *columns, strict=True)
        ]

    def peek(self, slots: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        copied = copy.copy(self.sampler)
        copied.keep([self._rows.get(slot, -1) for slot in slots])
        return copied.peek(range(len(slots)), prompts)

    def close(self, slot: int) -> None:
        self._rows.pop(slot, None)


class ContinuousSlots:
    """Slots of which each goes on for itself; arguments as for :func:`open_slots`."""

    MIXED_WORK_ON_CPU, MIXED_WORK = 1e8, 1e12
    """Prompts are read together with what others say while the pass is not larger than this (weights of the model times
    tokens, padding included): so small a pass takes about as long as one of a token for each slot, on a processor and
    elsewhere. Larger ones are read apart."""
    ENOUGH = 1 / 4
    """``advance`` returns when this share of the slots has a reply: partners and rewards answer some at once."""
    COMPACT = 0.8
    """When at most this share of the rows belongs to slots that are open, the cache lets the others go."""

    def __init__(
        self,
        lm: LanguageModel,
        num_slots: int,
        max_reply_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
    ):
        self.lm, self.max_reply_tokens = lm, max_reply_tokens
        self.temperature, self.seed = temperature, seed
        work = self.MIXED_WORK_ON_CPU if lm.device.type == "cpu" else self.MIXED_WORK
        self._mixed_tokens = work / lm.num_parameters
        self.cache = RaggedCache.of(lm.model, num_slots)
        self._slots = [_Slot(number, number) for number in range(num_slots)]
        self._open = list(self._slots)  # in the order of their rows
        self._beginning = Beginning(lm)

    def num_read(self, slot: int) -> int:
        found = self._slots[slot]
        return found.num_cached + len(found.unread)

    @torch.inference_mode()
    def ask(self, slot: int, prompt: Sequence[int], turn: Turn, anew: bool = False) -> None:
        found = self._slots[slot]
        if anew:
            self.cache.lengths[found.row] = 0
            found.fresh, found.num_cached, found.unread = True, 0, []
        found.unread = [*found.unread, *prompt]
        found.ids, found.logprobs, found.state, found.speaks = [], [], None, True
        found.uniform = uniform_numbers(self.seed, [turn], self.max_reply_tokens)[0].tolist()

    @torch.inference_mode()
    def close(self, slot: int) -> None:
        self._open.remove(self._slots[slot])
        if len(self._open) <= self.COMPACT * len(self.cache.lengths):
            rows = torch.tensor([found.row for found in self._open], dtype=torch.long, device=self.lm.device)
            self.cache = self.cache.select(rows)
            for row, found in enumerate(self._open):
                found.row = row

    @torch.inference_mode()
    def advance(self) -> list[Reply]:
        enough, ended = max(1, int(self.ENOUGH * len(self._open))), list[Reply]()
        while len(ended) < enough:
            speaking = [slot for slot in self._open if slot.speaks]
            if not speaking:
                break
            self._begin([slot for slot in speaking if not slot.num_cached])
            longest = max(len(slot.unread) for slot in speaking)
            if longest == 1 or longest * len(self.cache.lengths) <= self._mixed_tokens:
                ended += self._read_in_order(speaking)
                continue
            prompts = [slot for slot in speaking if len(slot.unread) > 1]
            for group in alike([len(slot.unread) for slot in prompts], self.lm.device):
                ended += self._read_apart([prompts[place] for place in group])
        return ended

    @torch.inference_mode()
    def peek(self, slots: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        nobody = _Slot(-1, -1)
        found = [self._slots[slot] if slot >= 0 else nobody for slot in slots]
        cache = self.cache.select(torch.tensor([one.row for one in found], device=self.lm.device))
        unread = [[*one.unread, *prompt] for one, prompt in zip(found, prompts, strict=True)]
        ids, _, last = self._padded(unread)
        return self.lm.forward.logits_and_states(ids, last, **cache.place(ids.shape[1]))[1]

    def _begin(self, slots: Sequence[_Slot]) -> None:
        """Has conversations of which nothing was read begin with what they have in common, where that pays."""
        rows, prompts = [slot.row for slot in slots], [slot.unread for slot in slots]
        num_known = self._beginning.take_up(self.cache, rows, prompts)
        for slot in slots:
            slot.num_cached, slot.unread = num_known, slot.unread[num_known:]

    def _read_in_order(self, slots: Sequence[_Slot]) -> list[Reply]:
        """A pass of all rows, those with nothing to read as well: nothing is copied."""
        unread: list[list[int]] = [[] for _ in range(len(self.cache.lengths))]
        for slot in slots:
            unread[slot.row] = slot.unread
        return self._read(slots, unread, None)

    def _read_apart(self, slots: Sequence[_Slot]) -> list[Reply]:
        """A pass of some rows alone; of conversations that begin alike, as those of a group do, one is read for all."""
        first, places = dict[object, int](), list[int]()
        for slot in slots:
            key = tuple(slot.unread) if slot.fresh else slot.number
            places.append(first.setdefault(key, len(first)))
        read = [slots[places.index(place)] for place in range(len(first))]
        rows = torch.tensor([slot.row for slot in read], device=self.lm.device)
        return self._read(slots, [slot.unread for slot in read], rows, places if len(read) < len(slots) else None)

    def _read(
        self,
        slots: Sequence[_Slot],
        unread: Sequence[Sequence[int]],
        rows: Tensor | None,
        places: Sequence[int] | None = None,
    ) -> list[Reply]:
        """Reads, and draws the next token of each slot; the replies that end with it.

        Args:
            slots: P, in the order of their rows here.
            unread: R lists of tokens, P of them not empty.
            rows: (R,) of the cache; None is all of them.
            places: among the R, of what each of the slots reads; None where it reads its own.
        """
        ids, counts, last = self._padded(unread)
        placed = self.cache.place(ids.shape[1], rows)
        if all(slot.ids for slot in slots):
            logits, states = self.lm.forward.logits(ids, last, **placed), None  # (P, V)
        else:
            logits, states = self.lm.forward.logits_and_states(ids, last, **placed)
        self.cache.commit(counts)
        if rows is not None and places is not None:
            own = torch.tensor([slot.row for slot in slots], device=rows.device)
            self.cache.copy_rows(rows[list(places)], own)
            logits, states = logits[list(places)], None if states is None else states[list(places)]
        uniform = torch.tensor([[slot.uniform[len(slot.ids)]] for slot in slots], device=logits.device)
        tokens, logprobs = sample_tokens(self.lm.possible(logits), self.temperature, uniform)
        for place, (slot, token, logprob) in enumerate(zip(slots, tokens.tolist(), logprobs.tolist(), strict=True)):
            if states is not None and not slot.ids:
                slot.state = states[place]
            slot.ids.append(token)
            slot.logprobs.append(logprob)
            slot.fresh, slot.num_cached = False, slot.num_cached + len(slot.unread)
            slot.unread = [token]
            slot.speaks = token != self.lm.tokenizer.end_id and len(slot.ids) < self.max_reply_tokens
        return [self._reply(slot) for slot in slots if not slot.speaks]

    def _padded(self, unread: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """(R, T) ids, (R,) how many there are, and (R, T) where the last of each row stands."""
        ids, counts = (part.to(self.lm.device) for part in pad(unread, self.lm.tokenizer.pad_id))
        return ids, counts, is_last(counts, ids.shape[1])

    def _reply(self, slot: _Slot) -> Reply:
        assert slot.state is not None
        return Reply(slot.number, slot.ids, slot.logprobs, slot.state)
