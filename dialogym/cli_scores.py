"""``dialogym aggregate``: what is made of scores that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .cli_common import console


def aggregate(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of `compare --suite`, one for each training seed.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for aggregate.json, .md and .png.")] = Path("runs/aggregate"),
    agents: Annotated[
        str | None,
        typer.Option(
            help="Names with commas between: those alone, over the environments that all of them have a score on. "
            "Default: those with a score on every environment."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Put suites of several training seeds into a few numbers with intervals, as rliable does.

    They are interquartile mean, median, mean, optimality gap, performance profiles and chances of improvement.
    """
    from dialogym.evaluation.aggregate.estimates import STATISTICS
    from dialogym.evaluation.aggregate.gather import PICTURE_FILE, TABLE_FILE, aggregate_suites, in_words

    names = None if agents is None else [name.strip() for name in agents.split(",") if name.strip()]
    results = aggregate_suites(folders, out, names, seed)
    title = f"{len(results['tasks'])} environments × {len(results['seeds'])} training runs"
    table = Table("agent", *(name.replace("_", " ") for name in STATISTICS), title=title)
    for agent, numbers in results["agents"].items():
        table.add_row(agent, *(in_words(numbers[name]) for name in STATISTICS))
    console.print(table)
    for note in results["notes"]:
        console.print(f"Note: {note}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"Table: {out / TABLE_FILE}, picture: {out / PICTURE_FILE}", soft_wrap=True, markup=False)
