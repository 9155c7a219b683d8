"""What is seen of jobs while they run: a progress bar for each, and a line when one ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ...agents.training.progress import TimeLeftColumn, in_short, over_at, words_column
from .scheduler import DONE, INTERRUPTED, Outcome, Watcher

MIN_NAME_WIDTH = 18


class Display:
    """A progress bar for each job, and a line when one ends."""

    def __init__(self, console: Console, names: Sequence[str]):
        self.console = console
        self.width = max(MIN_NAME_WIDTH, *map(len, names), 0)
        self.progress = Progress(
            TextColumn(f"{{task.description:<{self.width}}}"),
            BarColumn(bar_width=16),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TimeLeftColumn(),
            words_column("text"),
            console=console,
            expand=True,
        )
        self.names = names
        self.bars: dict[str, TaskID] = {}

    def __enter__(self) -> Display:
        self.total = self.progress.add_task("[bold]all", total=max(1, len(self.names)), text="")
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def watcher(self) -> Watcher:
        """What tells this display of jobs."""
        return Watcher(self.started, self.reported, self.ended)

    def started(self, name: str) -> None:
        """A bar for the job."""
        self.bars[name] = self.progress.add_task(escape(name), total=1.0, text="starting", over_at=None)

    def reported(self, name: str, row: dict[str, Any]) -> None:
        """How far it is."""
        fields: dict[str, Any] = {"text": row["stage"]}
        if "row" in row:
            fields["text"] = f"{row['stage']}: {in_short(row['row'])}"
        if "share" in row:
            fields["completed"] = row["share"]
        if row["stage"] != "validating":  # which the time left of a training counts in
            fields["over_at"] = over_at(row.get("left"))
        self.progress.update(self.bars[name], **fields)

    def ended(self, name: str, outcome: Outcome) -> None:
        """A line instead of the bar."""
        if name in self.bars:
            bar = self.bars.pop(name)
            elapsed = self.progress.tasks[self.progress.task_ids.index(bar)].elapsed or 0.0
            self.progress.remove_task(bar)
        else:
            elapsed = 0.0
        self.progress.update(self.total, advance=1)
        if outcome.status == DONE:
            self.console.print(f"[green]✓[/] {escape(name):<{self.width}} {outcome.result} [dim]{elapsed:.0f} s[/]")
        elif outcome.status != INTERRUPTED:
            self.console.print(
                f"[red]✗[/] {escape(name):<{self.width}} {outcome.status}\n{escape(outcome.error)}", highlight=False
            )
