"""How much a model takes on at once: as much as is quick, and less where the memory has no room."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")

MAX_TOKENS_AT_ONCE = 2048
"""Tokens, padding included, of one forward and backward pass. So many fit a processor's cache, and are learned from a
third faster than three times as many."""
CPU_OR_MPS = ("DefaultCPUAllocator", "MPS backend out of memory")
"""What stands in the ``RuntimeError`` of devices for which torch has no ``OutOfMemoryError``."""

_log = logging.getLogger(__name__)


class TokenBudget:
    """Tokens that may pass at once. It halves when the memory runs out, and stays so.

    Args:
        max_tokens: to begin with.

    Attributes:
        max_tokens: of one pass, padding included; a longer sequence passes alone.
    """

    def __init__(self, max_tokens: int = MAX_TOKENS_AT_ONCE):
        if max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")
        self.max_tokens = max_tokens

    def run(
        self, sizes: Sequence[int], work: Callable[[list[int]], T], start: Callable[[], object] | None = None
    ) -> list[T]:
        """Does some work on all sequences, in groups that pass at once; what it returned, one for each group.

        A gradient step, which begins anew with smaller groups where the memory ran out in the midst of it, so that its
        gradients are those of all sequences once::

            rows = budget.run(lengths, lambda numbers: backward(batch[numbers]), start=optimizer.zero_grad)

        Args:
            sizes: tokens of each sequence.
            work: is handed the numbers of a group's sequences, alike in length.
            start: called before the first group, and again whenever all groups are done anew; None is for work that
                adds nothing up, where only what failed is done again.

        Raises:
            RuntimeError: when there is no room for one sequence alone.
        """
        everything, begin = range(len(sizes)), start or _nothing
        done, left = list[T](), list(everything)
        begin()
        while left:
            group = next(length_batches([sizes[number] for number in left], self.max_tokens))
            numbers = [left[place] for place in group]
            try:
                done.append(work(numbers))
                left = [number for number in left if number not in set(numbers)]
                continue
            except (RuntimeError, MemoryError) as e:
                if not is_out_of_memory(e):
                    raise
                self._shrink([sizes[number] for number in numbers], e)
            _free()  # here, where nothing holds on to the error's frames and the tensors in them
            if start is not None:
                done, left = [], list(everything)
                begin()
        return done

    def _shrink(self, sizes: Sequence[int], error: BaseException) -> None:
        if len(sizes) == 1:
            raise RuntimeError(
                f"no memory for one sequence of {sizes[0]} tokens alone: take shorter conversations or a smaller model "
                f"({type(error).__name__}: {error})"
            ) from error
        self.max_tokens = max(1, min(self.max_tokens, len(sizes) * max(sizes)) // 2)
        _log.warning("out of memory: from now on at most %d tokens pass at once", self.max_tokens)


class RowBudget:
    """Conversations that a model may have side by side. It halves when the memory runs out, and stays so.

    Attributes:
        max_rows: of them; None is any number, until the memory runs out.
    """

    def __init__(self) -> None:
        self.max_rows: int | None = None

    def run(self, num_rows: int, work: Callable[[int], T]) -> T:
        """What some work returns, which is begun anew with half as many conversations when the memory runs out in it.

        Args:
            num_rows: as many as would be had side by side with memory enough.
            work: is handed how many may be.

        Raises:
            RuntimeError: when there is no room for one conversation alone.
        """
        while True:
            rows = num_rows if self.max_rows is None else min(num_rows, self.max_rows)
            try:
                return work(rows)
            except (RuntimeError, MemoryError) as e:
                if not is_out_of_memory(e):
                    raise
                if rows == 1:
                    raise RuntimeError(
                        "no memory for one conversation alone: take shorter ones or a smaller model "
                        f"({type(e).__name__}: {e})"
                    ) from e
            self.max_rows = rows // 2
            _log.warning("out of memory: from now on at most %d conversations are had side by side", self.max_rows)
            _free()  # here, where nothing holds on to the error's frames and the tensors in them


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has no memory left."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(name in str(error) for name in CPU_OR_MPS)


def length_batches(sizes: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
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


def _nothing() -> None:
    """For work that adds nothing up."""


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
