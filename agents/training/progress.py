"""How far a training is and how fast: tokens a second, the time left, and a row of the log in a few words."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from rich.progress import ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from ..base import Budget, LogRow
from .energy import GpuEnergy

SHOWN = {
    "tokens_per_second": "tokens/s",
    "turns_per_second": "turns/s",
    "env_turns": "env_turns",
    "epoch": "epoch",
    "success": "success",
    "return": "return",
    "validation": "validation",
    "validation_loss": "validation_loss",
    "kl": "kl",
}
"""What a progress line shows of a row, and what it calls it."""


def in_short(row: Mapping[str, Any]) -> str:
    """A row of the log as a progress line has room for it."""
    return "  ".join(f"{name} {_short(row[key])}" for key, name in SHOWN.items() if row.get(key) is not None)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


class Pace:
    """Measures a training from row to row.

    Args:
        budget: of the agent that learns.
        goes_on: with an earlier training, whose budget is not read yet: the first row then says only where it stands.
        energy: measures what the GPUs use, validation included; None measures nothing.
        joules: that the earlier training had used.
    """

    def __init__(self, budget: Budget, goes_on: bool, energy: GpuEnergy | None = None, joules: float = 0.0):
        self._energy, self._joules = energy, joules
        self._last = None if goes_on else dataclasses.replace(budget)
        self._since = None if goes_on else (time.monotonic(), 0.0)

    def measured(self, row: LogRow, budget: Budget) -> LogRow:
        """The row with "tokens" and "tokens_per_second", or with "turns_per_second" of an agent without tokens.

        Where a GPU counts them, "gpu_joules" are in it too.

        Args:
            row: of the log.
            budget: of the agent when it logged the row.
        """
        last, self._last = self._last, dataclasses.replace(budget)
        found: LogRow = {"tokens": budget.tokens} if budget.tokens else {}
        joules = None if self._energy is None else self._energy.joules()
        if joules is not None:
            row = {**row, "gpu_joules": self._joules + joules}
        if last is None or budget.seconds <= last.seconds:
            return {**row, **found}
        seconds = budget.seconds - last.seconds
        if budget.tokens > last.tokens:
            return {**row, **found, "tokens_per_second": (budget.tokens - last.tokens) / seconds}
        if budget.env_turns > last.env_turns and not budget.tokens:
            return {**row, "turns_per_second": (budget.env_turns - last.env_turns) / seconds}
        return {**row, **found}

    def seconds_left(self, row: Mapping[str, Any]) -> float | None:
        """Wall-clock time until the training is over, validation included, if it goes on as since it began here.

        None where that cannot be said: a row without "progress", or the first one of a training that goes on.
        """
        progress, now = row.get("progress"), time.monotonic()
        if progress is None:
            return None
        if self._since is None:
            self._since = now, progress
            return None
        began, before = self._since
        return (now - began) * (1 - progress) / (progress - before) if progress > before else None


class TimeLeftColumn(ProgressColumn):
    """Counts down from what ``Pace.seconds_left`` said last, in the field "over_at", see :func:`over_at`."""

    max_refresh = 0.5

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, min_width=len("0:00:00 left")))

    def render(self, task: Task) -> Text:
        over_at = task.fields.get("over_at")
        if over_at is None or task.finished:
            return Text("")
        return Text(f"{in_time(max(0.0, over_at - time.monotonic()))} left", style="progress.remaining")


def words_column(field: str) -> TextColumn:
    """What a task says in a field, as far as the line has room: for a progress bar that is ``expand``ed."""
    return TextColumn(f"{{task.fields[{field}]}}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))


def over_at(seconds_left: float | None) -> float | None:
    """When a training will be over, by ``time.monotonic``."""
    return None if seconds_left is None else time.monotonic() + seconds_left


def in_time(seconds: float) -> str:
    """Seconds as a clock shows them: 75 is 1:15."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
