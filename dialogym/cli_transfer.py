"""``dialogym transfer``: trained under one condition, tested under another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_common import ConfigOption, SetOption, TrainingSeedOption, console, make_env, options_of, value_of

BRACKETS = {"[": "]", "{": "}"}


def transfer(
    env: Annotated[str, typer.Argument(metavar="ENV", help="Id of a registered environment, or module:Name-v0.")],
    train: Annotated[
        list[str],
        typer.Option(
            metavar="AXIS",
            help="What trainings differ in: KEY=VALUE,VALUE (keyword argument of the environment), KEY alone for its "
            "ready-made values (noise, goal_change), or a JSON object, one condition. Repeat: axes are crossed, "
            "objects are added.",
        ),
    ],
    test: Annotated[
        list[str],
        typer.Option(
            metavar="AXIS",
            help="What tests differ in, in the same way; wordings=train,test: sentences heard in training, and others.",
        ),
    ],
    agent: Annotated[str, typer.Option(help="Name of an agent that learns.")] = "q_learning",
    out: Annotated[
        Path, typer.Option(help="Folder for transfer.json, .md and .png; a second call goes on, or adds conditions.")
    ] = Path("runs/transfer"),
    set_: SetOption = None,
    config: ConfigOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings under each condition.")] = 3,
    seed: TrainingSeedOption = 0,
    goals: Annotated[int, typer.Option(min=1, help="Test goals; all, where there are fewer.")] = 200,
    validation_goals: Annotated[
        int, typer.Option(min=1, help="Goals that the best model of a training is chosen on, some ten times.")
    ] = 60,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trainings at once, one thread each; default: all cores.")
    ] = None,
) -> None:
    """Train an agent under some conditions, test it under others, and draw one heat map.

    Noise x noise: dialogym transfer TextDialog-v0 --train noise=0,0.15,0.3 --test noise=0,0.15,0.3

    Partners: --train partner=rule,lm:FOLDER --test partner=rule,lm:FOLDER (a model as the partner is slow: take few
    goals, also for validation).

    Success is put between the floors (0) and the rule (1) of the same test condition, on the same goals.
    """
    from dialogym.evaluation.transfer import tables
    from dialogym.evaluation.transfer.run import transfer as run

    make_env(env)
    results = run(
        env,
        agent,
        conditions_of(train),
        conditions_of(test),
        out,
        config=options_of(config),
        env_kwargs=options_of(set_),
        num_seeds=seeds,
        seed=seed,
        num_goals=goals,
        num_validation_goals=validation_goals,
        jobs=jobs,
        console=console,
    )
    console.print(tables.table(results))
    for note in results["notes"]:
        console.print(f"Note: {note}", soft_wrap=True, markup=False, highlight=False)
    files = f"Table: {out / tables.TABLE_FILE}, picture: {out / tables.PICTURE_FILE}"
    console.print(files, soft_wrap=True, markup=False)


def conditions_of(specs: Sequence[str]) -> list[dict[str, Any]]:
    """The conditions that options name: all combinations of the axes, and the JSON objects after them.

    Raises:
        ValueError: for text that is neither an axis nor an object, or an axis that is named twice.
    """
    from dialogym.evaluation.transfer.conditions import crossed, ready_values

    axes: dict[str, Sequence[Any]] = {}
    added = []
    for spec in map(str.strip, specs):
        if spec.startswith("{"):
            added.append(_object(spec))
            continue
        key, equals, values = spec.partition("=")
        if not key.isidentifier():
            raise ValueError(f"expected KEY=VALUE,VALUE, the name of an axis, or a JSON object, got {spec!r}")
        if key in axes:
            raise ValueError(f"{key} is an axis already: give all of its values at once, as {key}=VALUE,VALUE")
        axes[key] = values_of(values) if equals else ready_values(key)
        if not axes[key]:
            raise ValueError(f"expected values after {key}=, got none")
    return [*(crossed(axes) if axes else []), *added]


def _object(text: str) -> Mapping[str, Any]:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a JSON object of keyword arguments, got {text!r}: {error}") from error


def values_of(text: str) -> list[Any]:
    """Values with commas between; a comma within brackets, braces or quotes separates nothing."""
    parts, open_brackets, quoted = [""], [], False
    for sign in text:
        if sign == '"':
            quoted = not quoted
        elif not quoted and sign in BRACKETS:
            open_brackets.append(BRACKETS[sign])
        elif not quoted and open_brackets and sign == open_brackets[-1]:
            open_brackets.pop()
        if sign == "," and not quoted and not open_brackets:
            parts.append("")
        else:
            parts[-1] += sign
    if quoted or open_brackets:
        raise ValueError(f"expected values with commas between, got {text!r}, where something is not closed")
    return [value_of(part.strip()) for part in parts if part.strip()]
