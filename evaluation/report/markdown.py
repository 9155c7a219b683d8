"""Tables in Markdown."""

from __future__ import annotations

import functools
from collections.abc import Sequence


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown; the first row has the headings, and cells are escaped."""
    head, *body = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    return [head, f"|{'---|' * len(rows[0])}", *body]


@functools.cache
def cell(text: str) -> str:
    """Text that Markdown shows as it is."""
    for character in "\\`*_|<>[]":
        text = text.replace(character, {"<": "&lt;", ">": "&gt;"}.get(character, "\\" + character))
    return " ".join(text.split())
