"""The log of a training: JSON Lines that outlive a kill, and hold every point in training once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..base import LogRow
from ..files import atomic_write

LOG_FILE = "log.jsonl"
"""Beside the folder of the agent that was trained."""


@contextlib.contextmanager
def log_file(path: Path, resume: bool) -> Iterator[Callable[[LogRow], None]]:
    """What a training calls with each row, which is on disk when the call returns.

    Args:
        path: of the file.
        resume: go on with the file. A training that goes back to its checkpoint says again what it had said since: the
            later row takes the place of what stood there.
    """
    rows = read_log(path) if resume and path.is_file() else []
    atomic_write(path, _lines(rows))

    def write(row: LogRow) -> None:
        row, num_rows = _plain(row), len(rows)
        _append(rows, row)
        if len(rows) == num_rows + 1:
            with path.open("a", encoding="utf-8") as file:
                file.write(_lines([row]))
        else:
            atomic_write(path, _lines(rows))

    yield write


def read_log(path: Path) -> list[LogRow]:
    """Rows in order, those that were written to their end; of two for one point in training, the later."""
    rows: list[LogRow] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            _append(rows, json.loads(line))
    return rows


def joules_of(rows: Sequence[Mapping[str, Any]]) -> float:
    """What a log says that its training has used on GPUs so far."""
    return max((row["gpu_joules"] for row in rows if row.get("gpu_joules") is not None), default=0.0)


LATE_FALL, LEAST_FALL = 0.1, 0.01
"""A supervised training whose last epoch takes off this share of its validation loss, and so many nats, had too few
updates: its learning rate is next to nothing by then."""


def late_fall(losses: Sequence[float]) -> tuple[float, float] | None:
    """The validation losses before and after the last epoch of a training that had too few updates.

    None where the last epoch took off less than ``LATE_FALL`` and ``LEAST_FALL``, or there were fewer than two.

    Args:
        losses: after each epoch, in nats.
    """
    if len(losses) < 2 or losses[-2] - losses[-1] < max(LATE_FALL * losses[-2], LEAST_FALL):
        return None
    return losses[-2], losses[-1]


def _append(rows: list[LogRow], row: LogRow) -> None:
    """Puts a row behind those that come before it in training, and drops the others."""
    while rows and _position(rows[-1]) >= _position(row):
        rows.pop()
    rows.append(row)


def _position(row: Mapping[str, Any]) -> tuple[int, int]:
    return int(row["env_turns"]), int(row.get("epoch", 0))


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


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
