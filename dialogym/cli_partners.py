"""``dialogym partners``: trained with one partner, tested with another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from .cli_common import SetOption, TrainingSeedOption, TrustOption, console, options_beside_split


def partners(
    env: Annotated[str, typer.Argument(metavar="ID", help="Id of a registered environment.")],
    agent: Annotated[list[str], typer.Option(help="Name of an agent, or the folder of a trained one; repeat.")],
    partner: Annotated[
        list[str],
        typer.Option(
            help="rule (data in TextChat-v0), lm:FOLDER or http://HOST:PORT/v1#MODEL; repeat, the usual first."
        ),
    ],
    goals: Annotated[int, typer.Option(min=2, help="How many frozen goals; all, where the split has fewer.")] = 100,
    split: Annotated[str, typer.Option(help="Which goals and wordings: train, validation or test.")] = "test",
    out: Annotated[Path, typer.Option(help="Folder for partners.json and .md; a second call goes on.")] = Path(
        "runs/partners"
    ),
    set_: SetOption = None,
    seed: TrainingSeedOption = 0,
    trust: TrustOption = False,
) -> None:
    """Score agents with several partners on the same goals: a table with intervals, and whose fault failures are."""
    from dialogym.evaluation.partners import TABLE_FILE, cross_partners, success_rows

    results = cross_partners(
        env, agent, partner, out,
        num_goals=goals, split=split, seed=seed, env_kwargs=options_beside_split(set_), trust=trust,
        progress=lambda line: console.print(line, soft_wrap=True, markup=False, emoji=False, highlight=False),
    )  # fmt: skip
    head, *rows = success_rows(results)
    table = Table(title=f"success on {results['settings']['num_goals']} {split} goals of {env}")
    for heading in head:
        table.add_column(Text(heading))
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    console.print(f"Table: {out / TABLE_FILE}", soft_wrap=True, markup=False, highlight=False)
