"""The log of a training: JSON Lines that outlive a kill."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np


@contextlib.contextmanager
def log_file(path: Path, resume: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """What a training calls with each row, which is on disk when the call returns; ``resume`` goes on with the file."""
    with path.open("a+" if resume else "w+") as file:
        if resume:
            _end_line(file)

        def write(row: dict[str, Any]) -> None:
            file.write(json.dumps(_plain(row)) + "\n")
            file.flush()

        yield write


def _end_line(file: TextIO) -> None:
    """Ends a last line that a kill in the middle of writing left without its end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if file.read() not in ("", "\n"):
        file.write("\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows in order; of two that an interruption wrote for one point in training, the later."""
    kept: list[dict[str, Any]] = []
    for row in _whole_rows(path):
        kept = [before for before in kept if _position(before) < _position(row)]
        kept.append(row)
    return kept


def _whole_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows that were written to their end."""
    for line in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def _position(row: Mapping[str, Any]) -> tuple[int, int]:
    return int(row["env_turns"]), int(row.get("epoch", 0))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a row, as JSON has them: what is not finite is None."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, (bool, str)) or value is None:
            plain[name] = value
        elif isinstance(value, (int, np.integer)):
            plain[name] = int(value)
        else:
            number = float(value)
            plain[name] = number if np.isfinite(number) else None
    return plain
