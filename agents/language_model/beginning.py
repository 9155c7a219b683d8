"""What conversations begin with alike, the instructions above all, is read once for all of them.

Prefix caching: Zheng et al. (2024), "SGLang", section 3, https://arxiv.org/abs/2312.07104. There a tree is kept of all
that was read; here one beginning is, since conversations in an environment differ once they have begun.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .cache import RaggedCache
from .model import LanguageModel


class Beginning:
    """The beginning of conversations with a model, as far as it was read.

    Args:
        lm: whose weights stay as they are.
    """

    WORTH_ON_CPU, WORTH = 1e8, 1e12
    """What a pass more costs, in weights of the model times tokens: reading that is spared pays from there on, on a
    processor and elsewhere."""

    def __init__(self, lm: LanguageModel):
        self.lm = lm
        self._ids: list[int] = []
        self._cache: RaggedCache | None = None  # of one row, which holds them

    def take_up(self, cache: RaggedCache, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> int:
        """Has empty rows of a cache begin with what their prompts have in common, where that pays.

        What was read for earlier prompts is not read again.

        Args:
            cache: of the model.
            rows: P of it.
            prompts: of each, at least one token.

        Returns:
            The number of tokens that the rows hold of their prompts from now on. At least one is left to be read.
        """
        if not prompts:
            return 0
        wholes = [list(prompt) for prompt in prompts]
        common = min(_num_common(wholes), min(map(len, wholes)) - 1)
        known = min(_num_common([self._ids, wholes[0]]), common)
        others = len(set(map(tuple, wholes))) - 1  # equal prompts are read once anyway
        if self._pays((common - known) * others) or (2 * known < common and self._pays(common - known)):
            self._read(wholes[0][:common], known)
            known = common
        if self._cache is None or not self._pays(known * len(wholes)):
            return 0
        cache.begin(torch.tensor(rows, device=self.lm.device), self._cache, known)
        return known

    def _pays(self, num_tokens: int) -> bool:
        worth = self.WORTH_ON_CPU if self.lm.device.type == "cpu" else self.WORTH
        return num_tokens * self.lm.num_parameters > worth

    def _read(self, ids: list[int], known: int) -> None:
        """Reads on from where ``ids`` are ``known``."""
        if self._cache is None:
            self._cache = RaggedCache.of(self.lm.model, 1)
        self._cache.lengths = torch.full_like(self._cache.lengths, known)
        new = torch.tensor([ids[known:]], device=self.lm.device)
        self._ids = ids[:known]  # should the pass fail
        self.lm.forward.last_logits(new, **self._cache.place(new.shape[1]))
        self._cache.commit(new.shape[1])
        self._ids = ids


def _num_common(sequences: Sequence[list[int]]) -> int:
    """How many tokens all of the sequences begin with alike."""
    first, last = min(sequences), max(sequences)  # all others stand between these two
    pairs = enumerate(zip(first, last, strict=False))
    return next((number for number, (one, other) in pairs if one != other), min(len(first), len(last)))
