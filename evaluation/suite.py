"""The comparison across environments: on which tasks does reinforcement learning add something to SFT?

Each environment is a comparison with a report of its own. They run side by side, since SFT→RL waits for SFT and alone
would leave processors idle. One table gathers them: environments × agents, normalised between floor and ceiling.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from ..agents.files import atomic_write
from ..envs import module_of, shipped_ids, without_module
from .compare.arms import Preset, is_labelled, with_algorithms
from .compare.run import RESULTS_FILE as RESULTS_OF_ONE
from .compare.run import Comparison, begin, is_idle, run, write
from .compare.small import LOOK, small_preset
from .contenders import BY_NAME, CONTENDERS, LABELS, stages_of, suite_columns, takes_part
from .grading import grading, in_words
from .report.charts import heat_map
from .report.efficiency import what_it_took
from .report.gains import MAX_DRIFT
from .report.markdown import markdown_table
from .report.page import cut_short, gain_lines, gain_rows
from .report.results import BETTER, DIFFER, NO_DIFFERENCE, NOTHING_SHOWN, WORSE, read_results, verdict_of
from .score import made, task_of
from .statistics import MODELS, RUNS, holm, hundredths, p_equals

AGENTS = tuple(contender.name for contender in CONTENDERS if contender.in_suite)
NORMALISED_BY = tuple(contender.name for contender in CONTENDERS if contender.role is not None)
RESULTS_FILE, TABLE_FILE, PICTURE_FILE = "suite.json", "suite.md", "suite.png"
COUNTS = ("goals", "runs")
"""Of the tests, and of finished training runs of each agent that learns: both may differ from row to row."""
LOOK_NOTE = (
    "**A quick look**: a small share of the training and of the goals of the suite. It shows that everything runs and "
    "how this table reads, and not how well agents do or what reinforcement learning adds."
)
VERDICTS = {BETTER: "adds", WORSE: "harms"} | {one: one for one in (NOTHING_SHOWN, DIFFER, NO_DIFFERENCE)}
"""What is said of reinforcement learning after SFT. One training run of each shows two models, never what RL adds."""


def compare_suite(
    out: str | Path,
    env_ids: Sequence[str] | None = None,
    jobs: int | None = None,
    seed: int = 0,
    preset: Preset | Callable[[str], Preset] | None = None,
    console: Console | None = None,
    only: Sequence[str] | None = None,
    num_seeds: int = 1,
    also: Sequence[str] = (),
) -> dict[str, Any]:
    """Compares the agents on every environment, and writes ``suite.json``, ``suite.md`` and ``suite.png`` into ``out``.

    Args:
        out: folder; each environment has one of its own in it, and what an interrupted call finished is kept. The
            table has those of earlier calls too, where preset and seed were the same.
        env_ids: of registered environments, with or without ``module:``; None takes every one of this package.
        jobs, seed: as for :func:`~dialogym.evaluation.compare.compare`.
        preset: how thorough, or what says so for the id of an environment; None is that of the small language model,
            see :mod:`~dialogym.evaluation.compare.small`: 200 test goals, or as many different ones as there are. With
            its ``quick_look``, every file says that it is one.
        console: of rich, for the progress.
        only: names of agents to run now, with what they start from; None runs all.
        num_seeds: training runs of each agent, where ``preset`` is None; a later call may ask for more.
        also: algorithms beside PPO, see :func:`~dialogym.evaluation.compare.arms.with_algorithms`; a later call may
            ask for more.

    Returns:
        {"schema": 1, "seed": SEED, "preset": NAME, "environments": {ID: {"goals", "runs", "agents": {AGENT: {"success",
        "normalised", "return", ...}}, "rl_after_sft": {...}, ...}}, "left_out": {ID: WHY}}; "runs" are the training
        runs of each.

    Raises:
        ImportError: for a module that there is not.
        ValueError: for an unknown environment or agent, fewer than one seed, or several and fewer than 2 test goals.
        KeyboardInterrupt: when interrupted; a second call goes on.
    """
    if num_seeds < 1:
        raise ValueError(f"num_seeds must be at least 1, got {num_seeds}")
    if preset is None:
        preset = functools.partial(small_preset, num_seeds=num_seeds)
    console, folder = console or Console(), Path(out)
    failed: dict[str, str] = {}
    begun: dict[str, Comparison] = {}
    ids = _registered(env_ids)
    for env_id, asked in ids.items():
        with _left_out(env_id, failed, console), console.status(f"{env_id}: goals and vocabulary"):
            chosen = with_algorithms(_preset_of(env_id, preset), also)
            begun[env_id] = _begin(asked, folder / env_id, seed, chosen, only)
    if failed and not begun:
        raise ValueError(
            "nothing is left to compare: " + "; ".join(f"{env_id}: {why}" for env_id, why in failed.items())
        )
    begun = {env_id: comparison for env_id, comparison in begun.items() if not is_idle(comparison)}
    if not begun and not failed:
        raise ValueError(f"none of {', '.join(only or AGENTS)} has a place in {', '.join(ids)}")
    found = run(list(begun.values()), jobs, console)
    first = _preset_of(next(iter(ids)), preset)
    rows, old = _earlier_rows(folder, seed, first, set(begun))  # of calls beside this one too
    for env_id, why in old.items():
        console.print(f"{env_id} is left out: {why}", markup=False)
    for (env_id, comparison), failures in zip(begun.items(), found, strict=True):
        with _left_out(env_id, failed, console):
            rows[env_id] = _row(write(comparison, failures))
    rows = {env_id: rows[env_id] for env_id in sorted(rows) if env_id not in failed}
    correct_over_environments([row["rl_after_sft"] for row in rows.values() if row["rl_after_sft"]])
    left_out = {**old, **failed}
    results = {"schema": 1, "seed": seed, "preset": first.name, "environments": rows, "left_out": left_out}
    atomic_write(folder / RESULTS_FILE, json.dumps(results, indent=1, allow_nan=False) + "\n")
    atomic_write(folder / TABLE_FILE, markdown(results))
    columns = _columns(results)
    heat_map(
        _cells(rows, columns),
        list(rows),
        columns,
        folder / PICTURE_FILE,
        column_title=LOOK if is_look(results) else "",
    )
    console.print(table(results))
    for line in verdicts(results):
        console.print(line, markup=False, highlight=False)
    return results


def _earlier_rows(
    folder: Path, seed: int, preset: Preset, begun: Collection[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The rows of environments that earlier calls finished something of, with this seed, preset and model.

    Those of other versions of task or reward than there are now are not put beside new ones: the second dict says why.
    Environments in ``begun`` are left to this call, which writes their rows itself.
    """
    rows, old = {}, {}
    nested = folder.glob(f"*/*/{RESULTS_OF_ONE}")  # of ids with a namespace
    for path in sorted([*folder.glob(f"*/{RESULTS_OF_ONE}"), *nested]):
        env_id = path.parent.relative_to(folder).as_posix()
        if env_id in begun:
            continue
        results = read_results(path)
        if "/" in env_id and results["env"]["id"] != env_id:  # graded again, in a folder of its own
            continue
        settings = results["settings"]
        models = {arm["config"].get("model") for arm in settings["arms"].values()} - {None}
        if (settings["seed"], settings["preset"]) != (seed, preset.name) or not models <= {preset.model}:
            continue
        why = _outdated(results)
        if why is None:
            rows[env_id] = _row(results)
        else:
            old[env_id] = why
    return rows, old


def _outdated(results: Mapping[str, Any]) -> str | None:
    """Why results of an earlier call cannot stand beside new ones; None where they were graded as they would be now."""
    env_id, was = results["env"]["id"], results["settings"].get("grading")
    if any("return_p_value" not in test for test in results["tests"]):
        return "an earlier version wrote its results: the same call with it writes them anew"
    again = "run it again in another folder"
    if was is None:
        return f"an earlier call graded it, by a version that is not known: {again}"
    try:
        env: Any = made(env_id)
    except (ImportError, ValueError, gym.error.Error) as error:
        return f"its earlier results cannot be checked, since it cannot be made here: {str(error).splitlines()[0]}"
    now = grading(env.unwrapped.task, env.unwrapped.reward)
    return None if was == now else f"an earlier call graded it by {in_words(was)}; now it is {in_words(now)}: {again}"


def _registered(env_ids: Sequence[str] | None) -> dict[str, str]:
    """The ids, all of which there are, without their modules, which are imported, and as they were asked for.

    Those of this package for None.
    """
    found: dict[str, str] = {}
    for env_id in shipped_ids() if env_ids is None else env_ids:
        found.setdefault(without_module(env_id), env_id)
    unknown = [env_id for env_id in found if env_id not in gym.registry]
    if unknown:
        ours = ", ".join(shipped_ids())
        raise ValueError(
            f"no environment {', '.join(unknown)} is registered; those of this package are {ours}; one of yours is "
            "MODULE:NAME, with the module that registers it"
        )
    return found


# One environment


def _preset_of(env_id: str, preset: Preset | Callable[[str], Preset]) -> Preset:
    return preset if isinstance(preset, Preset) else preset(env_id)


def _begin(env_id: str, folder: Path, seed: int, preset: Preset, only: Sequence[str] | None) -> Comparison:
    env = made(env_id)
    known = [one for one in CONTENDERS if one.in_suite and takes_part(one, preset.model is not None)]
    known = [one for one in known if not one.on_request or one.agent in preset.env_turns]
    names = [one.name for one in known]
    for name in only or ():
        if name not in names:
            raise ValueError(f"only must be among {', '.join(names)}, got {name}")
    labelled = is_labelled(task_of(env))
    agents = [one.name for one in known if labelled or LABELS not in one.needs]
    now = only and [name for name in only if name in agents]
    begun = begin(env, preset, folder, seed, agents=agents, only=now)  # the environment is not made twice
    return dataclasses.replace(begun, module=module_of(env_id))


@contextlib.contextmanager
def _left_out(env_id: str, failed: dict[str, str], console: Console) -> Iterator[None]:
    """Notes that an environment failed: one without its data shall not cost the others."""
    try:
        yield
    except (ImportError, RuntimeError) as error:
        lines = str(error).splitlines()
        failed[env_id] = " ".join(dict.fromkeys((lines[0], lines[-1])))
        console.print(f"{env_id} is left out: {failed[env_id]}", markup=False)


def _row(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the table needs of one comparison."""
    agents = {
        name: {
            "success": agent["success"],
            "return": agent["return"],
            "normalised": agent["normalised"],
            "fluency": agent["fluency"],
            "env_turns": agent["budget"]["env_turns"],
            **({"sample_efficiency": found} if (found := agent.get("sample_efficiency")) is not None else {}),
        }
        for name, agent in results["agents"].items()
        if name in AGENTS
    }
    before, _, after = stages_of(agents)
    test = next((t for t in results["tests"] if (t["first"], t["second"]) == (after, before)), None)
    verdict = None if test is None else rl_after_sft(test)
    if verdict is not None:
        verdict["perplexity"] = [agents[name]["fluency"] for name in (before, after)]
    return {
        "goals": results["goals"]["count"],
        "runs": min((len(agent["per_seed"]) for agent in results["agents"].values() if agent["final"]), default=1),
        "grading": results["settings"].get("grading"),
        "version": results["settings"]["version"],
        "agents": agents,
        "rl_after_sft": verdict,
        "gains": [gain for gain in results.get("gains", ()) if gain["agent"] in AGENTS and gain["before"] in AGENTS],
        "left_out": results["left_out"],
        "cut_short": cut_short({name: results["agents"][name] for name in agents}),
    }


def rl_after_sft(test: Mapping[str, Any]) -> dict[str, Any]:
    """What the paired tests of SFT→RL against SFT say of success and return, in a few words: :data:`VERDICTS`."""
    unit = test["speaks_of"]
    in_return = _finding(test["return_difference"], test["return_p_value"], unit)
    return {**_finding(test["difference"], test["p_value"], unit), "in_return": in_return}


def _finding(difference: Mapping[str, float], p_value: float, speaks_of: str) -> dict[str, Any]:
    found = {"difference": difference, "p_value": p_value, "p": p_value, "speaks_of": speaks_of}
    return {**found, "verdict": VERDICTS[verdict_of(found, p_value)]}


def correct_over_environments(found: Sequence[dict[str, Any]]) -> None:
    """Judges what :func:`rl_after_sft` found of each environment by Holm's correction over all of them.

    One question is asked of every environment, so these tests are the family; the report of each has its own. Success
    and return are two questions, and two families.
    """
    for family in (found, [one["in_return"] for one in found]):
        for one, p in zip(family, holm([one["p_value"] for one in family]), strict=True):
            one["p"], one["verdict"] = p, VERDICTS[verdict_of(one, p)]


# The table


def is_look(results: Mapping[str, Any]) -> bool:
    """Whether results of a suite, or aggregates of such, are of quick looks."""
    return results.get("preset") == LOOK


def _title(results: Mapping[str, Any]) -> str:
    return "Environments × agents" + (f": a {LOOK}" if is_look(results) else "")


def _columns(results: Mapping[str, Any]) -> list[str]:
    """The agents that take part in these comparisons."""
    present = {name for row in results["environments"].values() for name in row["agents"]}
    columns = suite_columns(stages_of(present))
    return [name for name in columns if name in present or not BY_NAME[name].on_request]


def _cells(rows: Mapping[str, Any], columns: Sequence[str]) -> list[list[float | None]]:
    """Normalised success, environments × agents; None where an agent has no place."""
    return [
        [row["agents"][name]["normalised"] if name in row["agents"] else None for name in columns]
        for row in rows.values()
    ]


def _lines(results: Mapping[str, Any]) -> Iterable[list[str]]:
    for env_id, row in results["environments"].items():
        cells = [_cell(row["agents"].get(name)) for name in _columns(results)]
        counts = [str(row[name]) for name in COUNTS]
        yield [env_id, *counts, *cells, _verdict(row["rl_after_sft"]), _in_return(row["rl_after_sft"])]


def _cell(agent: Mapping[str, Any] | None) -> str:
    if agent is None:
        return "–"
    normalised = "–" if agent["normalised"] is None else f"{agent['normalised']:.2f}"
    return f"{normalised} ({agent['success']['mean']:.2f})"


def _verdict(rl: Mapping[str, Any] | None) -> str:
    if rl is None:
        return "–"
    drift = _drift(*rl.get("perplexity", (None, None)))
    return f"{_said(rl)}{drift}"


def _in_return(rl: Mapping[str, Any] | None) -> str:
    return "–" if rl is None else _said(rl["in_return"])


def _said(finding: Mapping[str, Any]) -> str:
    return f"{finding['verdict']}: {_signed(finding['difference'])}, {p_equals(finding['p'])}"


def _signed(interval: Mapping[str, float]) -> str:
    mean, low, high = (f"{hundredths(interval[name]):+.2f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _drift(before: float | None, after: float | None) -> str:
    """How the words changed, where a reference language model finds them that much less likely."""
    if before is None or after is None or after <= MAX_DRIFT * before:
        return ""
    return f"; the words drift, perplexity {before:.1f} to {after:.1f}"


def _headings(results: Mapping[str, Any]) -> list[str]:
    return ["environment", *COUNTS, *_columns(results), "RL after SFT: success", "RL after SFT: return"]


CAPTION = (
    "success normalised between the better of do-nothing and random (0) and the rule (1); success itself in brackets"
)
OF_RETURN = (
    "Reinforcement learning is rewarded with the return, which may rise where success does not. Its differences are a "
    "family of tests of their own: {counts} ({how}; Holm across the environments)."
)


def table(results: Mapping[str, Any]) -> Table:
    """The normalised success as a ``rich`` table, narrow enough for a terminal of 80 columns.

    The agents that success is normalised by are 0 and 1, so they are not shown.
    """
    shown = Table(title=_title(results), caption=CAPTION.partition(";")[0], box=SIMPLE, padding=0, pad_edge=False)
    columns = [name for name in _columns(results) if name not in NORMALISED_BY]
    shown.add_column("environment", no_wrap=True)
    for heading in (*COUNTS, *columns):
        shown.add_column(heading.replace("_", "\n"), no_wrap=True, justify="right", min_width=5)
    for env_id, row in results["environments"].items():
        cells = (_cell(row["agents"].get(name)).partition(" ")[0] for name in columns)
        shown.add_row(env_id, *(str(row[name]) for name in COUNTS), *cells)
    return shown


def verdicts(results: Mapping[str, Any]) -> list[str]:
    """What reinforcement learning did after SFT, a line for each environment."""
    rows = ((env_id, row["rl_after_sft"]) for env_id, row in results["environments"].items())
    return [f"{env_id}: RL after SFT, {_verdict(rl)}; in return {_in_return(rl)}" for env_id, rl in rows if rl]


def markdown(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table."""
    headings = _headings(results)
    rows = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    rows += ["| " + " | ".join(line) + " |" for line in _lines(results)]
    notes = [f"- {env_id} was left out: {why}" for env_id, why in results["left_out"].items()]
    notes += [
        f"- {env_id}: {arm} was left out: {why}" for env_id, row in results["environments"].items()
        for arm, why in row["left_out"].items() if "/" in arm
    ]  # fmt: skip
    notes += [
        f"- {env_id}: {line}." for env_id, row in results["environments"].items() for line in row.get("cut_short", ())
    ]
    notes += _versions(results["environments"])
    notes += _summary([row["rl_after_sft"] for row in results["environments"].values() if row["rl_after_sft"]])
    head = [f"# {_title(results)}", "", *([LOOK_NOTE, ""] if is_look(results) else []), f"Cells: {CAPTION}.", ""]
    text = "\n".join([*head, *rows, "", *notes])
    text += f"\n\n![normalised success, environments × agents]({PICTURE_FILE})\n"
    environments = results["environments"]
    agents = {(env_id, name): agent for env_id, row in environments.items() for name, agent in row["agents"].items()}
    return text + "\n".join(["", *what_it_took(agents, ("environment", "agent")), *_costs(environments)])


def _costs(rows: Mapping[str, Any]) -> list[str]:
    """What each gain cost, whether a reward is being gamed, and replies to read."""
    shown = {env_id: row["gains"] for env_id, row in rows.items() if row.get("gains")}
    if not shown:
        return []
    head, *_ = gain_rows([])
    cells = [[env_id, *cells] for env_id, gains in shown.items() for cells in gain_rows(gains)[1:]]
    lines = ["## What the gains cost", "", *markdown_table([["environment", *head], *cells]), ""]
    for env_id, gains in shown.items():
        lines += [f"### {env_id}", "", *[line for gain in gains for line in gain_lines(gain)]]
    return lines


def _versions(rows: Mapping[str, Any]) -> list[str]:
    """That rows were played by different versions of the package, if so."""
    played: dict[str, list[str]] = {}
    for env_id, row in rows.items():
        played.setdefault(str(row.get("version")), []).append(env_id)
    if len(played) < 2:
        return []
    listed = "; ".join(f"{version}: {', '.join(ids)}" for version, ids in sorted(played.items()))
    return [f"- Rows were played by different versions of dialogym ({listed})."]


HOW = {
    MODELS: (
        "one training run of each, so this speaks of these models, not of what reinforcement learning adds; exact "
        "McNemar on the same goals",
        "Student's t over the same goals",
    ),
    RUNS: ("Student's t over training runs, paired by seed, and over goals", "the same test"),
}


def _summary(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """How often each verdict fell, and by which test."""
    lines = []
    for unit, how in HOW.items():
        of_unit = [one for one in found if one["speaks_of"] == unit]
        if of_unit:
            lines.append(f"- SFT→RL against SFT: {_counts(of_unit)} ({how[0]}; Holm across the environments).")
            lines.append(f"- {OF_RETURN.format(counts=_counts([one['in_return'] for one in of_unit]), how=how[1])}")
    return lines


def _counts(found: Sequence[Mapping[str, Any]]) -> str:
    said = [one["verdict"] for one in found]
    return ", ".join(f"{said.count(one)} × {one}" for one in VERDICTS.values() if one in said)
