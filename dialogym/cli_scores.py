"""``dialogym aggregate`` and ``rescore``: what is made of scores that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .cli_common import console, reward_of


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


def rescore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of `dialogym compare`.")],
    reward: Annotated[
        str | None,
        typer.Option(
            help="A name of `dialogym rewards`, or JSON of names and weights: '{\"sparse\": 1}'. Default with "
            "--success: that of the comparison."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the new report; default: DIR/rescored.")] = None,
    success: Annotated[
        bool, typer.Option("--success", help="Judge success anew too, by the task as it is now.")
    ] = False,
    env: Annotated[
        str | None,
        typer.Option(
            help="module:Name-v0, the id of the comparison with the module that registers it, or the reward; needed "
            "for those of yours."
        ),
    ] = None,
) -> None:
    """Grade the conversations of a comparison again, by another reward or a mended task, without agents playing."""
    from dialogym.evaluation.grading import in_words
    from dialogym.evaluation.rescore import rescore as grade

    if reward is None and not success:
        raise ValueError("expected --reward, or --success to judge success anew, got neither")
    results = grade(folder, None if reward is None else reward_of(reward), out, success, env)
    table = Table("agent", "success", "return", "95% low", "95% high", title=results["env"]["id"])
    for name, agent in results["agents"].items():
        found = agent["return"]
        cells = (agent["success"]["mean"], found["mean"], found["low"], found["high"])
        table.add_row(name, *(f"{cell:.3f}" for cell in cells))
    console.print(table)
    changed = results["rescored"]["changed_verdicts"]
    if changed is not None:
        counts = ", ".join(f"{key} {count}" for key, count in changed.items())
        console.print(f"Verdicts that changed: {counts}", soft_wrap=True, markup=False, highlight=False)
    graded = in_words(results["settings"]["grading"])
    console.print(f"Graded: {graded}", soft_wrap=True, markup=False, highlight=False)
    report = (folder / "rescored" if out is None else out) / "report.html"
    console.print(f"Report: {report}", soft_wrap=True, markup=False, highlight=False)
