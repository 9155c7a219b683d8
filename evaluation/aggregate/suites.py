"""What several suites hold, read back and checked: are they runs of the same agents on the same tasks?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..compare.run import RESULTS_FILE as RESULTS_OF_ONE
from ..contenders import BY_NAME, CEILING, CONTENDERS, FLOOR
from ..grading import in_words
from ..suite import RESULTS_FILE

SCHEMA_OF_SUITES = 1

Scores = dict[str, dict[str, dict[int, float]]]
"""By task, agent and training seed."""


@dataclass(frozen=True)
class Suite:
    """What one folder holds.

    Attributes:
        folder: as it was named.
        seeds: of its trainings.
        success: by task, agent and seed; an agent that is not trained has the same for all seeds.
        goals: how many there are, by task.
        settings: how agents were trained and graded, by task; None where the folder does not say.
        versions: of the package that played.
        gradings: version of task and reward, by task; None where the folder does not say.
        preset: how thorough it was, by name; None where the folder does not say.
    """

    folder: str
    seeds: tuple[int, ...]
    success: Scores
    goals: Mapping[str, int]
    settings: Mapping[str, Any] | None
    versions: frozenset[str]
    gradings: Mapping[str, Any]
    preset: str | None


def read_suite(folder: str | Path) -> Suite:
    """What a folder holds that ``compare --suite`` wrote: the success of each seed where it trained several.

    Raises:
        FileNotFoundError: if it holds none.
        ValueError: if what it holds is no suite.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {RESULTS_FILE}: expected a folder of `dialogym compare --suite`")
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        schema, first, rows = results["schema"], int(results["seed"]), results["environments"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not the table of a suite: {type(error).__name__}: {error}") from error
    if schema != SCHEMA_OF_SUITES:
        raise ValueError(f"{path}: schema must be {SCHEMA_OF_SUITES}, got {schema!r}")
    if not rows:
        raise ValueError(f"{path} holds no environment")
    by_task = {task: _read_comparison(Path(folder) / task / RESULTS_OF_ONE) for task in rows}
    known = {task: found for task, found in by_task.items() if found is not None}
    success = {task: _success(row, by_task[task], first) for task, row in rows.items()}
    return Suite(
        str(folder),
        _seeds(path, success),
        success,
        {task: row["goals"] for task, row in rows.items()},
        {task: _setting(found) for task, found in known.items()} if len(known) == len(rows) else None,
        frozenset(str(found["provenance"]["versions"].get("dialogym")) for found in known.values())
        | {str(row["version"]) for task, row in rows.items() if task not in known and "version" in row},
        {task: _grading(path, row, by_task[task]) for task, row in rows.items()},
        results.get("preset"),
    )


def _grading(path: Path, row: Mapping[str, Any], comparison: Mapping[str, Any] | None) -> Any:
    """By what a row was graded, which its comparison has to agree with.

    Raises:
        ValueError: if it does not: the comparison was played or graded anew, and the table was not.
    """
    beside = None if comparison is None else comparison["settings"].get("grading")
    noted = row.get("grading", beside)
    if comparison is not None and noted != beside:
        raise ValueError(
            f"{path}: the table and the comparison beside it are of different versions of task or reward: repeat "
            "`dialogym compare --suite` in this folder"
        )
    return noted


def _read_comparison(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _success(row: Mapping[str, Any], comparison: Mapping[str, Any] | None, first: int) -> dict[str, dict[int, float]]:
    """Success on a task by agent and seed."""
    if comparison is None or comparison["settings"]["num_seeds"] == 1:
        return {name: {first: agent["success"]["mean"]} for name, agent in row["agents"].items()}
    found = {}
    for name in row["agents"]:
        runs = {run["seed"]: run["success"]["mean"] for run in comparison["agents"][name]["per_seed"]}
        if not _is_trained(name):
            runs = dict.fromkeys(range(first, first + comparison["settings"]["num_seeds"]), runs[first])
        found[name] = runs
    return found


def _is_trained(name: str) -> bool:
    return name in BY_NAME and BY_NAME[name].learns_from is not None


def _seeds(path: Path, success: Scores) -> tuple[int, ...]:
    """Those of all trainings of a suite.

    Raises:
        ValueError: if some environments had others.
    """
    found = {task: sorted({seed for runs in row.values() for seed in runs}) for task, row in success.items()}
    if len({tuple(seeds) for seeds in found.values()}) > 1:
        raise ValueError(f"{path}: expected the same seeds in every environment, got {found}")
    return tuple(next(iter(found.values())))


def _setting(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be the same in two runs of an algorithm, by what it is."""
    settings = comparison["settings"]
    arms = {arm["name"]: {**arm.get("config", {}), "agent": arm["agent"]} for arm in settings["arms"].values()}
    named = {f"the settings of {name}": config for name, config in arms.items()}
    facts = {
        "the environment": settings["env"],
        "the test goals": settings["goals"],
        "the validation goals": settings["validation_goals"],
        "the version of task and reward": settings.get("grading"),
    }
    return {**facts, **named}


# Are they runs of the same?


def check_alike(suites: Sequence[Suite]) -> None:
    """Raises ValueError unless suites differ in their seeds alone."""
    if not suites:
        raise ValueError("expected at least one folder of a suite, got none")
    first = suites[0]
    seen: dict[int, str] = {}
    for suite in suites:
        for seed in suite.seeds:
            if seed in seen:
                raise ValueError(
                    f"{seen[seed]} and {suite.folder} both hold seed {seed}: the same training twice is one run. Make "
                    "suites of different seeds with `dialogym compare --suite --seed N`"
                )
            seen[seed] = suite.folder
        if first.preset != suite.preset:
            presets = f"{first.preset!r} and {suite.preset!r}"
            raise ValueError(f"{first.folder} and {suite.folder} are of the presets {presets}: they must be equal")
        _check_same("environments", first, suite, first.success, suite.success)
        for task in first.success:
            _check_same(f"agents on {task}", first, suite, first.success[task], suite.success[task])
            if first.goals[task] != suite.goals[task]:
                counts = f"{first.goals[task]} and {suite.goals[task]}"
                raise ValueError(f"{first.folder} and {suite.folder} have {counts} goals of {task}: they must be equal")
        _check_gradings(first, suite)
    known = [suite for suite in suites if suite.settings is not None]
    for suite in known[1:]:
        _check_settings(known[0], suite)


def _check_gradings(first: Suite, suite: Suite) -> None:
    for task, before in first.gradings.items():
        after = suite.gradings[task]
        if before is not None and after is not None and before != after:
            raise ValueError(
                f"{first.folder} and {suite.folder} were not graded alike on {task}: {in_words(before)}, against "
                f"{in_words(after)}: such scores are not put together"
            )


def _check_same(what: str, first: Suite, suite: Suite, before: Iterable[str], after: Iterable[str]) -> None:
    missing, added = set(before) - set(after), set(after) - set(before)
    if missing or added:
        only = [
            f"{one.folder}: {', '.join(sorted(names))}" for one, names in ((first, missing), (suite, added)) if names
        ]
        raise ValueError(f"expected the same {what} in every folder, but these are in one alone: {'; '.join(only)}")


def _check_settings(first: Suite, suite: Suite) -> None:
    for task, before in (first.settings or {}).items():
        after = (suite.settings or {})[task]
        differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        if differing:
            raise ValueError(
                f"{first.folder} and {suite.folder} are no runs of the same on {task}: {', '.join(differing)} differ"
            )


# One scale for all


def joined(suites: Sequence[Suite]) -> Scores:
    """Success by task, agent and seed of all suites."""
    success: Scores = {}
    for suite in suites:
        for task, row in suite.success.items():
            for agent, runs in row.items():
                success.setdefault(task, {}).setdefault(agent, {}).update(runs)
    return success


def normalised(success: Scores) -> Scores:
    """Scores that are 0 at the better floor and 1 at the ceiling, both means over runs.

    Tasks without a floor, without a ceiling, or with equal ones are left out. All runs have one scale: else two that
    succeed equally often would differ by the luck of their floors.
    """
    scores: Scores = {}
    for task, row in success.items():
        floor, ceiling = (
            max((_mean(row[one.name]) for one in CONTENDERS if one.role == role and one.name in row), default=None)
            for role in (FLOOR, CEILING)
        )
        if floor is not None and ceiling is not None and ceiling > floor:
            scores[task] = {
                agent: {seed: (one - floor) / (ceiling - floor) for seed, one in runs.items()}
                for agent, runs in row.items()
            }
    return scores


def _mean(runs: Mapping[int, float]) -> float:
    return sum(runs.values()) / len(runs)
