"""Utterances as numbers: in memory that processes share, and flattened. gymnasium's own knows the letters of a charset.

``AsyncVectorEnv`` reads the shared memory once and hands out copies of what it got, so what it gets here reads the
memory again whenever it is looked at or copied.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import utils
from gymnasium.vector.utils import create_shared_memory, read_from_shared_memory, write_to_shared_memory

from .spaces import Utterance

NO_CHARACTER = -1
"""Fills a flattened utterance up to the longest."""


def code_points(text: str) -> np.ndarray:
    """(len(text),) int32: any unicode, lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.int32)


def text_of(points: np.ndarray) -> str:
    """The text of code points."""
    return points.astype("<i4").tobytes().decode("utf-32-le", "surrogatepass")


# Shared memory: for each row the length, then so many code points


class SharedTexts(Sequence[str]):
    """N utterances in shared memory; a copy is a plain tuple of what stands there now."""

    def __init__(self, memory: Any, num_rows: int):
        self._rows = np.frombuffer(memory.get_obj(), dtype=np.int32).reshape(num_rows, -1)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return tuple(self)[row]
        return text_of(self._rows[row, 1 : 1 + self._rows[row, 0]])

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def __copy__(self) -> tuple[str, ...]:
        return tuple(self)

    def __deepcopy__(self, memo: Any) -> tuple[str, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return repr(tuple(self))


@create_shared_memory.register(Utterance)
def _create(space: Utterance, n: int = 1, ctx: Any = multiprocessing) -> Any:
    return ctx.Array("i", n * (1 + space.max_length))


@read_from_shared_memory.register(Utterance)  # type: ignore[arg-type]
def _read(space: Utterance, shared_memory: Any, n: int = 1) -> SharedTexts:
    return SharedTexts(shared_memory, n)


@write_to_shared_memory.register(Utterance)
def _write(space: Utterance, index: int, value: str, shared_memory: Any) -> None:
    if not space.contains(value):
        got = f"{len(value)}, {value!r:.80}" if isinstance(value, str) else repr(value)[:80]
        raise ValueError(
            f"row {index}: expected a str of at most {space.max_length} characters, got {got}; longer ones take "
            "vector_kwargs={'shared_memory': False}"
        )
    start = index * (1 + space.max_length)
    numbers = np.frombuffer(shared_memory.get_obj(), dtype=np.int32)
    numbers[start + 1 : start + 1 + len(value)] = code_points(value)
    numbers[start] = len(value)


# Flattening: code points, filled up


@utils.flatdim.register(Utterance)
def _flatdim(space: Utterance) -> int:
    return space.max_length


@utils.flatten_space.register(Utterance)
def _flatten_space(space: Utterance) -> spaces.Box:
    return spaces.Box(NO_CHARACTER, 0x10FFFF, (space.max_length,), np.int32)


@utils.flatten.register(Utterance)
def _flatten(space: Utterance, x: str) -> np.ndarray:
    flat = np.full(space.max_length, NO_CHARACTER, dtype=np.int32)
    flat[: len(x)] = code_points(x)
    return flat


@utils.unflatten.register(Utterance)
def _unflatten(space: Utterance, x: np.ndarray) -> str:
    return text_of(np.asarray(x, dtype=np.int32)[np.asarray(x) != NO_CHARACTER])
