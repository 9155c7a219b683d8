"""Rating pairs at the terminal: the conversation, two replies side by side, one key."""

from __future__ import annotations

import time

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ...agents.preference.judgements import TIE
from .session import LEFT, RIGHT, Question, RatingSession

KEYS = {"1": LEFT, "2": RIGHT, "t": TIE}
STYLES = {"system": "dim", "user": "bold cyan", "assistant": "green", "tool": "yellow"}


def rate(session: RatingSession, console: Console) -> None:
    """Asks until every pair is judged, or the rater types q or Ctrl-C, or there is nothing more to read."""
    console.print("Which reply is better? 1: the left one, 2: the right one, t: neither, q: stop; then Enter.")
    while (question := session.question()) is not None:
        _show(question, session, console)
        began = time.monotonic()
        side = _ask(console)
        if side is None:
            break
        session.answer(question.pair, side, time.monotonic() - began)
    console.print(f"{session.done} of {session.total} judged, in {session.out}", soft_wrap=True, markup=False)


def _ask(console: Console) -> str | None:
    while True:
        try:
            key = console.input("[bold]1 / 2 / t / q:[/] ").strip().lower()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return None
        if key == "q":
            return None
        if key in KEYS:
            return KEYS[key]
        console.print("expected 1, 2, t or q", style="red")


def _show(question: Question, session: RatingSession, console: Console) -> None:
    console.rule(f"{session.done + 1} of {session.total}")
    for message in question.messages:
        style = STYLES.get(message["role"], "white")
        console.print(Text(f"{message['role']}: {message['content']}", style), soft_wrap=True)
    sides = Table.grid(expand=True, padding=(0, 1))
    for _ in range(2):
        sides.add_column(ratio=1)
    replies = [Text(reply) if reply.strip() else Text("(says nothing)", "dim") for reply in question[2:]]
    sides.add_row(*(Panel(reply, title=title) for reply, title in zip(replies, ("1", "2"), strict=True)))
    console.print(sides)
