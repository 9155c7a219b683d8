"""What a grid of training and test conditions comes to: numbers with intervals, a table, and one heat map."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from ...agents.files import atomic_write
from ..contenders import CEILING, CONTENDERS, FLOOR
from ..grading import in_words
from ..report.charts import heat_map, label
from ..report.markdown import markdown_table
from ..report.results import SIGNIFICANCE, interval_json, verdict_of
from ..statistics import (
    RUNS,
    difference_interval,
    holm,
    mean_interval,
    normalised_interval,
    p_in_words,
    paired_test,
    success_interval,
)

SCHEMA = 1
JSON_FILE, TABLE_FILE, PICTURE_FILE = "transfer.json", "transfer.md", "transfer.png"
DIGITS = 6
METHODS = {
    "success": "of the test goals; Wilson score interval, 95%, over goals for one training run, over runs and goals, "
    "with Student's t for the few runs, for several",
    "normalised": "success, 0 at the better of do_nothing and random and 1 at rule, all of the same test condition and "
    "goals; interval of the ratio by the delta method, paired by goal, over goals for one run and over runs and goals "
    "for several",
    "tests": "every training condition against the first one, under each test condition and on the same goals: exact "
    "McNemar for one run of each, which speaks of these models; Student's t over runs and goals for several, which "
    "speaks of what training yields; Holm-adjusted over the list",
    "selection": "the model with the best success on validation goals under its own training condition",
}
ONE_RUN = (
    "One training run under each condition: intervals and tests speak of these very models, and another run may come "
    "to other numbers."
)

Played = Mapping[str, Any]
"""What one agent did on the test goals: "success", "return" and "turns", a list over goals each."""


def results_of(
    scores: Mapping[str, Mapping[str, Mapping[int, Played]]],
    floors: Mapping[str, Mapping[str, Played]],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The results of a grid.

    Args:
        scores: what was played, by training condition, test condition and seed.
        floors: what the floors and the rule played, by test condition and agent.
        facts: env, agent, settings, seeds and more, as they stand in the results.

    Returns:
        {"schema": 1, ..., "cells": {TRAIN: {TEST: {"seeds", "success", "normalised" (or None), "return", "turns",
        "per_seed"}}}, "floors": {TEST: {AGENT: {"success", "return"}}}, "tests": [...]}; intervals are
        {"mean", "low", "high"}.
    """
    cells = {
        train: {test: _cell(runs, floors.get(test, {})) for test, runs in row.items()} for train, row in scores.items()
    }
    shown = {
        test: {
            name: {
                "success": interval_json(success_interval(played["success"])),
                "return": interval_json(mean_interval(played["return"])),
            }
            for name, played in row.items()
        }
        for test, row in floors.items()
    }
    results = {"schema": SCHEMA, **facts, "cells": cells, "floors": shown, "tests": _tests(scores)}
    return {**results, "notes": _notes(results), "methods": METHODS}


def _cell(runs: Mapping[int, Played], floors: Mapping[str, Played]) -> dict[str, Any]:
    success = [played["success"] for played in runs.values()]
    ends = anchors(floors)
    return {
        "seeds": list(runs),
        "success": interval_json(success_interval(success)),
        "normalised": None if ends is None else interval_json(normalised_interval(success, *ends)),
        **{
            name: interval_json(mean_interval([played[name] for played in runs.values()]))
            for name in ("return", "turns")
        },
        "per_seed": [round(float(np.mean(one)), DIGITS) for one in success],
    }


def anchors(floors: Mapping[str, Played]) -> tuple[Sequence[int], Sequence[int]] | None:
    """Outcomes of the better floor and of the rule; None where there is no rule, or it is no better than the floor."""
    roles = {
        role: [floors[one.name]["success"] for one in CONTENDERS if one.role == role and one.name in floors]
        for role in (FLOOR, CEILING)
    }
    if not all(roles.values()):
        return None
    floor, ceiling = (max(outcomes, key=sum) for outcomes in (roles[FLOOR], roles[CEILING]))
    return (floor, ceiling) if sum(ceiling) > sum(floor) else None


def _tests(scores: Mapping[str, Mapping[str, Mapping[int, Played]]]) -> list[dict[str, Any]]:
    """Each training condition against the first one, under every test condition."""
    first, *others = scores
    pairs = [(other, test) for other in others for test in scores[other] if test in scores[first]]
    found = [_paired(scores[other][test], scores[first][test]) for other, test in pairs]
    adjusted = holm([one["p_value"] for one in found])
    return [
        {"first": other, "second": first, "under": test, **one, "p_holm": p}
        | {"significant": p < SIGNIFICANCE, "verdict": verdict_of(one, p)}
        for (other, test), one, p in zip(pairs, found, adjusted, strict=True)
    ]


def _paired(first: Mapping[int, Played], second: Mapping[int, Played]) -> dict[str, Any]:
    """Runs are independent of one another, whatever their seeds; goals are the same."""
    if min(len(first), len(second)) == 1:  # one run is no sample of trainings: two models are compared
        first, second = ({seed: runs[seed] for seed in list(runs)[:1]} for runs in (first, second))
    success = [[played["success"] for played in runs.values()] for runs in (first, second)]
    returns = [[played["return"] for played in runs.values()] for runs in (first, second)]
    test = paired_test(success[0], success[1])
    return {
        "speaks_of": test.speaks_of,
        "runs": [len(first), len(second)],
        "difference": interval_json(test.difference),
        "return_difference": interval_json(difference_interval(returns[0], returns[1])),
        "p_value": test.p_value,
    }


def _notes(results: Mapping[str, Any]) -> list[str]:
    """What a reader must know."""
    notes = [ONE_RUN] if len(results["seeds"]) == 1 else []
    tests = results["settings"]["test"]
    by_goals: dict[str, list[str]] = {}
    for name, one in tests.items():
        by_goals.setdefault(one["goals"]["hash"], []).append(name)
    if len(by_goals) > 1:
        groups = "; ".join(" and ".join(names) for names in by_goals.values())
        notes.append(
            f"Test conditions that change what is wanted have goals of their own, so that columns differ in goals too. "
            f"The same goals: {groups}."
        )
    graded = list(dict.fromkeys(in_words(one["grading"]) for one in tests.values()))
    if len(graded) > 1:
        notes.append(f"Test conditions are graded differently, and their returns are not alike: {'; '.join(graded)}.")
    no_scale = [name for name in tests if any(row.get(name, {}).get("normalised", 0) is None for row in _rows(results))]
    if no_scale:
        notes.append(f"Not normalised, for want of a rule that is better than the floors: {', '.join(no_scale)}.")
    missing = [
        f"{train}, tested under {test}"
        for train in results["settings"]["train"]
        for test in tests
        if results["cells"].get(train, {}).get(test, {}).get("seeds") != results["seeds"]
    ]
    if missing:
        notes.append(f"Runs are missing: {'; '.join(missing)}.")
    return notes + [f"Failed: {name}: {why}." for name, why in results["failures"].items()]


def _rows(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(results["cells"].values())


# Writing


def write_results(results: Mapping[str, Any], out: str | Path) -> None:
    """Writes ``transfer.json``, ``transfer.md`` and ``transfer.png`` into a folder, each at once."""
    folder = Path(out)
    atomic_write(folder / JSON_FILE, json.dumps(results, indent=1, allow_nan=False) + "\n")
    atomic_write(folder / TABLE_FILE, markdown(results))
    draw(results, folder / PICTURE_FILE)


def draw(results: Mapping[str, Any], path: str | Path) -> None:
    """The heat map: normalised success, or success itself where a test condition has no scale, with intervals."""
    measure = _measure(results)
    rows, columns = list(results["cells"]), list(results["settings"]["test"])
    found = [[results["cells"][row].get(column) for column in columns] for row in rows]
    cells = [[None if one is None else one[measure]["mean"] for one in row] for row in found]
    notes = [["" if one is None else _span(one[measure]) for one in row] for row in found]
    meaning = "0 = floor, 1 = rule" if measure == "normalised" else "success"
    heat_map(
        cells, rows, columns, path, notes=notes, row_title="trained under", column_title="tested under", meaning=meaning
    )


def _measure(results: Mapping[str, Any]) -> str:
    cells = [cell for row in _rows(results) for cell in row.values()]
    return "success" if any(cell["normalised"] is None for cell in cells) else "normalised"


def table(results: Mapping[str, Any]) -> Table:
    """Normalised success as a ``rich`` table."""
    measure = _measure(results)
    shown = Table("trained under", *results["settings"]["test"], title=f"{measure} of {results['agent']}, tested under")
    for cells in _table_rows(results, measure):
        shown.add_row(*cells)
    return shown


def _table_rows(results: Mapping[str, Any], measure: str) -> list[list[str]]:
    tests = list(results["settings"]["test"])
    return [
        [train, *(_in_words(row[test][measure] if test in row else None) for test in tests)]
        for train, row in results["cells"].items()
    ]


def _in_words(interval: Mapping[str, float] | None) -> str:
    return "–" if interval is None else f"{interval['mean']:.2f} [{_span(interval)}]"


def _span(interval: Mapping[str, float]) -> str:
    return f"{interval['low']:.2f}, {interval['high']:.2f}"


def markdown(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    tests, seeds = list(results["settings"]["test"]), results["seeds"]
    counts = ", ".join(f"{name} {one['goals']['count']}" for name, one in results["settings"]["test"].items())
    lines = [
        f"# {results['env']}: trained under one condition, tested under another",
        "",
        f"Agent {results['agent']}, {len(seeds)} training run{'s' * (len(seeds) > 1)} under each condition (seed"
        f"{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}). "
        f"Test goals: {counts}.",
        "",
        *(f"> {note}\n" for note in results["notes"]),
    ]
    head = ["trained under ↓, tested under →", *tests]
    if _measure(results) == "normalised":
        lines += ["## Normalised success", "", *markdown_table([head, *_table_rows(results, "normalised")]), ""]
    lines += [
        "## Success",
        "",
        *markdown_table([head, *_table_rows(results, "success"), *_floor_rows(results, tests)]),
        "",
        f"![trained under one condition, tested under another]({PICTURE_FILE})",
        "",
    ]
    if results["tests"]:
        lines += ["## Does the training condition matter?", "", *markdown_table(_test_rows(results)), ""]
    lines += [f"- {name}: {how}." for name, how in results["methods"].items()]
    graded = dict.fromkeys(in_words(one["grading"]) for one in results["settings"]["test"].values())
    return "\n".join([*lines, *(f"- Graded: {one}." for one in graded)]) + "\n"


def _floor_rows(results: Mapping[str, Any], tests: Sequence[str]) -> list[list[str]]:
    names = dict.fromkeys(name for row in results["floors"].values() for name in row)
    success = {
        (name, test): played["success"] for test, row in results["floors"].items() for name, played in row.items()
    }
    return [[label(name), *(_in_words(success.get((name, test))) for test in tests)] for name in names]


def _test_rows(results: Mapping[str, Any]) -> list[list[str]]:
    rows = [["trained under", "against", "tested under", "difference of success", "p (Holm)", "verdict"]]
    for one in results["tests"]:
        gain = one["difference"]
        difference = f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"
        unit = "" if one["speaks_of"] == RUNS else " (two models)"
        rows.append(
            [one["first"], one["second"], one["under"], difference, p_in_words(one["p_holm"]), one["verdict"] + unit]
        )
    return rows
