"""Observations of the tokens interface, as a language model reads them: (B, T) ids, padded on the left.

Padding is never read. Rows are shifted to the left, where no token looks at what stands behind, so that an observation
gives the same whatever it is padded or batched with. And nothing is read twice: of observations in a batch that begin
alike, as those within one reply do, only the longest is read; and while a conversation is played, only what is new.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .cache import RaggedCache
from .memory import MAX_TOKENS_AT_ONCE, length_batches
from .model import LanguageModel
from .sampler import is_last, pad


class ObservationReader:
    """What a language model makes of token sequences: the next token's logits, and the state they were made of.

    Args:
        lm: that reads.
    """

    def __init__(self, lm: LanguageModel):
        self.lm = lm
        self.forget()

    def forget(self) -> None:
        """Drops what was read; it does so itself when the weights have changed."""
        self._cache: RaggedCache | None = None
        self._known: list[np.ndarray] = []  # what each row of the cache holds
        self._state: tuple[object, ...] = ()

    def sequences(self, observations: Tensor) -> list[np.ndarray]:
        """The tokens of each observation (B, T), without its padding."""
        rows = observations.long().cpu().numpy()
        tokenizer = self.lm.tokenizer
        lengths = num_real_tokens(rows, tokenizer.pad_id, tokenizer.num_opening_pads)
        return [row[len(row) - length :] for row, length in zip(rows, lengths, strict=True)]

    def read(self, sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """(B, V) logits of what follows each sequence, and (B, D) hidden states of its last token; with gradients."""
        kept, places = longest_only(sequences)
        with_it: list[list[int]] = [[] for _ in kept]
        for number, place in enumerate(places):
            with_it[place].append(number)
        logits, states, order = [], [], []
        for group in length_batches([len(sequences[number]) for number in kept], MAX_TOKENS_AT_ONCE):
            ids, _ = pad([sequences[kept[place]].tolist() for place in group], self.lm.tokenizer.pad_id)
            asked = [(row, number) for row, place in enumerate(group) for number in with_it[place]]
            rows, lasts = [row for row, _ in asked], [len(sequences[number]) - 1 for _, number in asked]
            keep = torch.zeros_like(ids, dtype=torch.bool)
            keep[rows, lasts] = True
            among_kept = keep.flatten().cumsum(0).view_as(ids)[rows, lasts] - 1  # two may ask for the same token
            found = self.lm.forward.logits_and_states(ids.to(self.lm.device), keep.to(self.lm.device))
            for parts, part in zip((logits, states), found, strict=True):
                parts.append(part[among_kept.to(self.lm.device)])
            order += [number for _, number in asked]
        ordered = np.argsort(order)
        return self.lm.possible(torch.cat(logits)[ordered]), torch.cat(states)[ordered]

    @torch.no_grad()
    def read_on(self, sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """The same without gradients; of each sequence only what the one in its place, the last time, did not have."""
        if not self.lm.keeps_what_it_read:
            return self.read(sequences)
        state = _state(self.lm)
        if self._cache is None or len(sequences) != len(self._known) or state != self._state:
            self._cache = RaggedCache.of(self.lm.model, len(sequences))
            self._known, self._state = [np.empty(0, dtype=np.int64)] * len(sequences), state
        cache, device = self._cache, self.lm.device
        starts = [num_common(known, new) for known, new in zip(self._known, sequences, strict=True)]
        cache.lengths = torch.tensor(starts, device=device)
        self._known = [known[:start] for known, start in zip(self._known, starts, strict=True)]  # if what follows fails
        new = [sequence[start:].tolist() for sequence, start in zip(sequences, starts, strict=True)]
        logits = states = None
        for rows in _alike([len(tokens) for tokens in new]):
            ids, lengths = (part.to(device) for part in pad([new[row] for row in rows], self.lm.tokenizer.pad_id))
            places = None if len(rows) == len(new) else torch.tensor(rows, device=device)
            last = is_last(lengths, ids.shape[1])  # (R, T)
            found, found_states = self.lm.forward.logits_and_states(ids, last, **cache.place(ids.shape[1], places))
            cache.commit(lengths)
            if logits is None or states is None:
                logits = found.new_empty(len(new), found.shape[-1])
                states = found_states.new_empty(len(new), found_states.shape[-1])
            logits[rows], states[rows] = found, found_states
        assert logits is not None
        assert states is not None
        self._known = list(sequences)
        return self.lm.possible(logits), states


def num_real_tokens(observations: np.ndarray, pad_id: int, num_opening_pads: int) -> np.ndarray:
    """(B,) how many ids of each observation (B, T) are tokens; what stands before them is padding.

    Padding is told by where it stands: an id like it that follows a token, an end of turn perhaps, is a token, and so
    are the ``num_opening_pads`` with which every conversation opens.
    """
    length = observations.shape[1]
    is_token = observations != pad_id
    leading = np.where(is_token.any(1), is_token.argmax(1), length)
    return length - np.clip(leading - num_opening_pads, 0, length - 1)


def longest_only(sequences: Sequence[np.ndarray]) -> tuple[list[int], list[int]]:
    """Which sequences begin no other one, and for each sequence the place among them of one that it begins.

    Read by a causal model, that one gives the hidden states of the shorter one on the way.
    """
    keys = [sequence.tobytes() for sequence in sequences]
    kept: list[int] = []
    places = [0] * len(keys)
    for number in sorted(range(len(keys)), key=keys.__getitem__, reverse=True):  # one comes after all that it begins
        if not kept or not keys[kept[-1]].startswith(keys[number]):
            kept.append(number)
        places[number] = len(kept) - 1
    return kept, places


def num_common(known: np.ndarray, new: np.ndarray) -> int:
    """How many tokens of ``new`` need not be read where ``known`` was; its last token always is."""
    shorter = min(len(known), len(new) - 1)
    differs = known[:shorter] != new[:shorter]
    return int(differs.argmax()) if differs.any() else shorter


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Rows to read together: those with a single new token, and the rest."""
    single = [row for row, length in enumerate(lengths) if length == 1]
    rest = [row for row, length in enumerate(lengths) if length > 1]
    return [rows for rows in (single, rest) if rows]


def _state(lm: LanguageModel) -> tuple[object, ...]:
    """Something else whenever a weight has been changed or an adapter switched on or off.

    A change in place is told by the weight's version; one of its ``data``, which has none, by where that lies and by
    its first number.
    """
    weights = list(lm.model.parameters())
    first = torch.stack([one.detach()[(0,) * one.dim()].float() for one in weights]).tolist()
    adapted = [one for one in lm.model.modules() if hasattr(one, "merged_adapters")]  # layers of peft
    return (
        [one._version for one in weights],
        [one.data_ptr() for one in weights],
        first,
        [(one.disable_adapters, list(one.active_adapters)) for one in adapted],
    )
