"""Several suites, one for each training seed, as one set of numbers: ``aggregate.json``, ``.md`` and ``.png``.

The tables of :func:`~dialogym.evaluation.suite.compare_suite` are read back, put into a matrix of runs × tasks for each
agent, and aggregated by :mod:`dialogym.evaluation.aggregate.estimates`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...agents.files import atomic_write
from ..compare.provenance import provenance
from ..compare.small import LOOK
from ..contenders import pairs
from ..report.aggregate_charts import aggregate_picture
from ..suite import LOOK_NOTE, RESULTS_FILE, is_look
from .estimates import STATISTICS, Estimate, Profile, aggregate, performance_profile, probability_of_improvement
from .suites import Scores, Suite, check_alike, joined, normalised, read_suite

JSON_FILE, TABLE_FILE, PICTURE_FILE = "aggregate.json", "aggregate.md", "aggregate.png"
SCHEMA = 1
NUM_THRESHOLDS = 101
UNCHECKED = "Whether these were trained and graded alike is not known, since they hold {} alone: {}."
ONE_RUN = (
    "One training run a task: intervals over training are not to be had, and another run may come to other numbers. "
    "Give several suites of different seeds."
)
METHODS = {
    "scores": "success on held-out goals; 0 is the better of do_nothing and random, 1 is rule, means over all runs",
    "iqm": "interquartile mean: mean of the middle half of all scores, over runs and tasks",
    "median": "median over tasks of the means over runs",
    "mean": "over runs and tasks",
    "optimality_gap": "how far scores stay below 1 in the mean; lower is better",
    "profile": "share of runs and tasks with a score above each threshold",
    "improvement": "chance that a run of the first scores above a run of the second on the same task, a tie counting "
    "one half; mean over tasks",
    "intervals": "95% percentile bootstrap, 10,000 resamples, of runs within each task: of training on these tasks, "
    "not of other tasks. Of few runs they are too narrow, and of few tasks more so: simulated, of 3 runs those of the "
    "interquartile mean cover the truth in some 85% on 10 tasks, and in some 75% on one",
    "reference": "Agarwal et al. (2021), https://arxiv.org/abs/2108.13264",
}


def aggregate_suites(
    folders: Sequence[str | Path], out: str | Path | None = None, agents: Sequence[str] | None = None, seed: int = 0
) -> dict[str, Any]:
    """The aggregates of suites that differ in their training seeds alone.

    Args:
        folders: that ``compare --suite`` wrote, at least one.
        out: folder for ``aggregate.json``, ``aggregate.md`` and ``aggregate.png``; None writes nothing.
        agents: to aggregate, over the tasks that all of them have a score on; None takes those that have one on every
            task.
        seed: of the bootstrap.

    Returns:
        {"schema": 1, "folders", "preset", "seeds", "tasks", "agents": {AGENT: {"scores" (runs × tasks), "iqm",
        "median", "mean", "optimality_gap": {"value", "low", "high"}, "profile": {"share", "low", "high"}}},
        "thresholds", "improvement": [{"first", "second", "value", "low", "high"}], "left_out", "notes", "methods",
        "provenance"}. Ends of intervals are null with one run a task.

    Raises:
        FileNotFoundError: for a folder without a suite.
        ValueError: for suites that do not hold the same tasks, agents and goals, were trained or graded otherwise, or
            have a seed in common; and for agents that there are not, or that share no task.
    """
    suites = [read_suite(folder) for folder in folders]
    check_alike(suites)
    success = joined(suites)
    scores = normalised(success)
    reason = "no floor, no ceiling, or both are equal, so that scores cannot be normalised"
    left_out = {"tasks": dict.fromkeys([task for task in success if task not in scores], reason)}
    seeds = sorted(seed for suite in suites for seed in suite.seeds)
    matrices, tasks, left_out["agents"] = _matrices(scores, seeds, agents)
    left_out["tasks"].update(dict.fromkeys([task for task in scores if task not in tasks], "not of all agents named"))
    results = {
        "schema": SCHEMA,
        "folders": [suite.folder for suite in suites],
        "preset": suites[0].preset,
        "seeds": seeds,
        "tasks": tasks,
        **_numbers(matrices, seed),
        "left_out": left_out,
        "notes": _notes(suites, len(seeds)),
        "methods": METHODS,
        "provenance": provenance(),
    }
    if out is not None:
        write_aggregate(results, out)
    return results


def _notes(suites: Sequence[Suite], num_runs: int) -> list[str]:
    """What a reader must know."""
    notes = [LOOK_NOTE] if suites[0].preset == LOOK else []
    notes += [ONE_RUN] if num_runs == 1 else []
    unchecked = [suite.folder for suite in suites if suite.settings is None]
    if len(suites) > 1 and unchecked:
        notes.append(UNCHECKED.format(RESULTS_FILE, ", ".join(unchecked)))
    versions = sorted(frozenset().union(*(suite.versions for suite in suites)))
    if len(versions) > 1:
        notes.append(f"The suites were played by different versions of dialogym: {', '.join(versions)}.")
    return notes


# The numbers


def _matrices(
    scores: Scores, seeds: Sequence[int], agents: Sequence[str] | None
) -> tuple[dict[str, np.ndarray], list[str], dict[str, str]]:
    """Scores (R, M) of each agent, the M tasks, which are the same for all, and who is left out and why."""
    if not scores:
        raise ValueError("no environment has normalised scores")
    known = list(dict.fromkeys(agent for row in scores.values() for agent in row))
    complete = {
        agent: [task for task, row in scores.items() if set(row.get(agent, {})) == set(seeds)] for agent in known
    }
    left_out: dict[str, str] = {}
    if agents is None:
        tasks = list(scores)
        left_out = {agent: _missing(agent, scores, seeds) for agent in known if complete[agent] != tasks}
        chosen = [agent for agent in known if agent not in left_out]
        if not chosen:
            raise ValueError(
                f"no agent has a score on every environment: choose some with agents, of {', '.join(known)}"
            )
    else:
        chosen = list(dict.fromkeys(agents))
        unknown = [agent for agent in chosen if agent not in known]
        if unknown or not chosen:
            raise ValueError(f"agents must be among {', '.join(known)}, got {', '.join(unknown) or 'none'}")
        tasks = [task for task in scores if all(task in complete[agent] for agent in chosen)]
        if not tasks:
            raise ValueError(f"no environment has a score of every run of all of {', '.join(chosen)}")
        left_out = dict.fromkeys([agent for agent in known if agent not in chosen], "not asked for")
    matrices = {agent: np.array([[scores[task][agent][seed] for task in tasks] for seed in seeds]) for agent in chosen}
    return matrices, tasks, left_out


def _missing(agent: str, scores: Scores, seeds: Sequence[int]) -> str:
    absent = [task for task, row in scores.items() if agent not in row]
    partial = [task for task, row in scores.items() if agent in row and set(row[agent]) != set(seeds)]
    reasons = [f"no score on {', '.join(absent)}"] if absent else []
    return "; ".join(reasons + ([f"a run is missing on {', '.join(partial)}"] if partial else []))


def _numbers(matrices: Mapping[str, np.ndarray], seed: int) -> dict[str, Any]:
    lowest, highest = (float(end(list(matrices.values()))) for end in (np.min, np.max))
    thresholds = np.linspace(min(0.0, lowest), max(1.0, highest), NUM_THRESHOLDS)
    agents = {
        agent: {
            "scores": _rounded(scores),
            **{name: _json(estimate) for name, estimate in aggregate(scores, seed).items()},
            "profile": _profile_json(performance_profile(scores, thresholds, seed)),
        }
        for agent, scores in matrices.items()
    }
    compared = [pair for pair in pairs() if set(pair) <= matrices.keys()]
    improvement = [
        {
            "first": first,
            "second": second,
            **_json(probability_of_improvement(matrices[first], matrices[second], seed)),
        }
        for first, second in compared
    ]
    return {"agents": agents, "thresholds": _rounded(thresholds), "improvement": improvement}


def _rounded(values: Any) -> Any:
    return None if values is None else np.round(np.asarray(values, dtype=float), 6).tolist()


def _json(estimate: Estimate) -> dict[str, float | None]:
    return {name: _rounded(value) for name, value in estimate._asdict().items()}


def _profile_json(profile: Profile) -> dict[str, Any]:
    return {"share": _rounded(profile.share), "low": _rounded(profile.low), "high": _rounded(profile.high)}


# Writing


def write_aggregate(results: Mapping[str, Any], out: str | Path) -> None:
    """Writes ``aggregate.json``, ``aggregate.md`` and ``aggregate.png`` into a folder, each at once."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / PICTURE_FILE, aggregate_picture(results, LOOK if is_look(results) else ""))
    atomic_write(folder / TABLE_FILE, markdown(results))
    atomic_write(folder / JSON_FILE, json.dumps(results, indent=1, allow_nan=False) + "\n")


def markdown(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    num_runs, num_tasks = len(results["seeds"]), len(results["tasks"])
    lines = [f"# Aggregates over a suite{f': a {LOOK}' if is_look(results) else ''}", ""]
    lines += [
        f"{num_tasks} environments × {num_runs} training run{'s' * (num_runs > 1)} "
        f"(seed{'s' * (num_runs > 1)} {', '.join(map(str, results['seeds']))}): {', '.join(results['tasks'])}.",
        "",
    ]
    lines += [f"> {note}\n" for note in results["notes"]]
    lines += ["| agent | " + " | ".join(name.replace("_", " ") for name in STATISTICS) + " |", "|" + " --- |" * 5]
    for agent, numbers in results["agents"].items():
        lines.append(f"| {agent} | " + " | ".join(in_words(numbers[name]) for name in STATISTICS) + " |")
    if results["improvement"]:
        lines += ["", "| first | second | chance that a run of the first is better |", "| --- | --- | --- |"]
        lines += [f"| {one['first']} | {one['second']} | {in_words(one)} |" for one in results["improvement"]]
    lines.append("")
    for what, missing in results["left_out"].items():
        lines += [f"- {name} is left out of the {what}: {why}." for name, why in missing.items()]
    lines += [f"- {name.replace('_', ' ')}: {how}." for name, how in results["methods"].items()]
    return "\n".join(lines) + f"\n\n![aggregates, performance profiles and chances of improvement]({PICTURE_FILE})\n"


def in_words(estimate: Mapping[str, Any]) -> str:
    """A number and its interval, where it has one."""
    value = f"{estimate['value']:.2f}"
    return value if estimate["low"] is None else f"{value} [{estimate['low']:.2f}, {estimate['high']:.2f}]"
