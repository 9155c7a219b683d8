"""The comparison: how far does supervised fine-tuning get, what does reinforcement learning add, and is the gain real?

Every agent plays the same held-out goals under the same noise. Each training is a process of its own; what is finished
is kept, so that a comparison that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .. import __version__
from ..agents.files import atomic_write
from ..envs import Task, spec_of
from .arms import (
    ARM_FILE,
    NUM_CONVERSATIONS,
    PRESETS,
    SPEAKERS,
    Arm,
    Plan,
    Preset,
    arms_of,
    read_record,
    run_arm,
    unfit,
)
from .provenance import provenance
from .results import key_of, results_of, write_results
from .scheduler import DONE, INTERRUPTED, Job, Outcome, Report, Watcher, run_jobs
from .score import FrozenGoals, frozen_goals, made, task_of
from .suited import speech_settings, suited_preset

SETTINGS_FILE, FLUENCY_FILE, RESULTS_FILE = "settings.json", "fluency.json", "results.json"
TOKENIZER_FOLDER = "tokenizer"
NOT_ASKED = "not asked for"


def compare(
    env_id: Any,
    preset: str | Preset = "quick",
    out: str | Path = "comparison",
    jobs: int | None = None,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    agents: Sequence[str] | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Trains and scores every agent, and writes ``results.json``, ``report.html`` and ``report.md`` into ``out``.

    Args:
        env_id: id of an environment (with or without ``module:``), or one made by ``gym.make``.
        preset: "quick", "full", or a preset of your own; see :func:`~dialogym.evaluation.suited.suited_preset` for what
            is adapted to the environment.
        out: folder; one that an interrupted comparison of the same settings left is gone on with.
        jobs: processes at a time; None is the number of CPUs.
        seed: of the first training run; the test goals do not depend on it.
        env_kwargs: keyword arguments of ``gym.make``.
        agents: names to compare, of those in the report, to which what they start from is added; None compares all.
        console: of rich, for the progress; None is standard output.

    Returns:
        The results, as in ``results.json``.

    Raises:
        ValueError: for an unknown preset or agent, or an ``out`` that holds a comparison with other settings.
        RuntimeError: if every arm failed.
        KeyboardInterrupt: when interrupted, after what was trained so far was saved.
    """
    began = time.perf_counter()
    console = console or Console()
    env = made(env_id, **(env_kwargs or {}))
    chosen = suited_preset(_preset(preset), env)
    plan = _plan(env, chosen, Path(out))
    arms = _arms(chosen, seed, agents)
    left_out = {**_not_asked_for(chosen, agents), **unfit(arms, env)}
    arms = [arm for arm in arms if arm.name not in left_out]
    settings = _settings(plan, arms, preset if isinstance(preset, str) else "own", seed)
    _claim_folder(plan.out, settings)
    if any(arm.agent in SPEAKERS for arm in arms):
        plan = dataclasses.replace(plan, speech=speech_settings(env, plan.out / TOKENIZER_FOLDER, seed))
    failures = _run(arms, plan, jobs, console)
    records = _records(arms, plan)
    left_out |= _failed_names(failures, records)
    if not records:
        reasons = "\n".join(f"{name}: {why}" for name, why in left_out.items() if why != NOT_ASKED)
        raise RuntimeError(f"every arm failed:\n{reasons}")
    fluency = _fluency(records, plan, console)
    facts = {**_facts(env, plan), "settings": settings, "provenance": _provenance(plan, settings, records, began)}
    results = results_of(records, fluency, facts, left_out)
    write_results(results, plan.out / RESULTS_FILE)
    _write_reports(results, plan.out)
    return results


# Before


def _preset(preset: str | Preset) -> Preset:
    if isinstance(preset, Preset):
        return preset
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    return PRESETS[preset]


def _plan(env: gym.Env[Any, Any], preset: Preset, out: Path) -> Plan:
    spec = spec_of(env)
    registered = gym.registry[spec.id]
    options = {name: value for name, value in spec.kwargs.items() if registered.kwargs.get(name) != value}
    for name in ("interface", "split", "render_mode"):
        options.pop(name, None)
    return Plan(
        registered,
        options,
        frozen_goals(env, "test", preset.num_goals),
        frozen_goals(env, "validation", preset.num_validation_goals),
        preset.num_noise_seeds,
        min(preset.num_noise_goals, preset.num_goals),
        out.resolve(),
    )


def _arms(preset: Preset, seed: int, agents: Sequence[str] | None) -> list[Arm]:
    """The arms of a preset, or those of some agents and what they start from."""
    arms = arms_of(preset, seed)
    if agents is None:
        return arms
    names = list(dict.fromkeys(arm.name for arm in arms))
    unknown = [name for name in agents if name not in names]
    if unknown:
        raise ValueError(f"agents must be among {', '.join(names)}, got {', '.join(unknown)}")
    needed = {arm.start_from for arm in arms if arm.name in agents}
    return [arm for arm in arms if arm.name in agents or arm.key in needed]


def _not_asked_for(preset: Preset, agents: Sequence[str] | None) -> dict[str, str]:
    names = {arm.name for arm in arms_of(preset, 0) if arm.section == "agents"}
    return {} if agents is None else dict.fromkeys(sorted(names - set(agents)), NOT_ASKED)


def _settings(plan: Plan, arms: Sequence[Arm], preset: str, seed: int) -> dict[str, Any]:
    """What has to be the same for two calls to be one comparison."""
    settings = {
        "version": __version__,
        "preset": preset,
        "seed": seed,
        "num_seeds": max((sum(arm.name == other.name for other in arms) for arm in arms), default=0),
        "env": _env_facts(plan),
        "goals": plan.goals.hash,
        "validation_goals": plan.validation_goals.hash,
        "noise_seeds": plan.num_noise_seeds,
        "noise_goals": plan.num_noise_goals,
        "arms": {arm.key: {**dataclasses.asdict(arm), "config": dict(arm.config)} for arm in arms},
    }
    return json.loads(json.dumps(settings, default=repr))


def _env_facts(plan: Plan) -> dict[str, Any]:
    return {"id": plan.spec.id, "kwargs": {**plan.spec.kwargs, **plan.options}}


def _claim_folder(out: Path, settings: dict[str, Any]) -> None:
    """Notes the settings in a new folder; refuses one with others."""
    path = out / SETTINGS_FILE
    if path.is_file():
        before = json.loads(path.read_text())
        differing = [name for name in settings if before.get(name) != settings[name]]
        if differing:
            details = "; ".join(_difference(name, before.get(name), settings[name]) for name in differing)
            raise ValueError(
                f"{out} holds a comparison with other settings ({details}): choose another folder for this one"
            )
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(settings, indent=1) + "\n")


def _difference(name: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return f"{name} differ in {', '.join(keys)}"
    return f"{name} was {before!r:.40}, is {now!r:.40}"


# Running


def _run(arms: Sequence[Arm], plan: Plan, jobs: int | None, console: Console) -> dict[str, str]:
    """Runs what is not finished; the keys of the arms that came to nothing, and why."""
    finished = {arm.key for arm in arms if (plan.folder(arm.key) / ARM_FILE).is_file()}
    todo = [arm for arm in arms if arm.key not in finished]
    for key in sorted(finished):
        console.print(f"[dim]{escape(key)}: finished before[/]")
    queue = [
        Job(arm.key, run_arm, (arm, plan), tuple({arm.start_from} - finished) if arm.start_from else ()) for arm in todo
    ]
    with Display(console, [job.name for job in queue]) as display:
        try:
            outcomes = run_jobs(queue, jobs, display.watcher())
        except KeyboardInterrupt:
            console.print(f"Interrupted; the same command goes on from {escape(str(plan.out))}.")
            raise
    return {name: outcome.error for name, outcome in outcomes.items() if outcome.status != DONE}


def _failed_names(failures: Mapping[str, str], records: Mapping[str, Any]) -> dict[str, str]:
    """Failures by agent; by agent and seed, where other seeds of it are there."""
    names = {key: key.partition("/")[0] for key in failures}
    return {key if names[key] in records else names[key]: why for key, why in failures.items()}


class Display:
    """A progress bar for each job, and a line when one ends."""

    def __init__(self, console: Console, names: Sequence[str]):
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[text]}"),
            console=console,
        )
        self.names = names
        self.bars: dict[str, TaskID] = {}

    def __enter__(self) -> Display:
        self.total = self.progress.add_task("[bold]all", total=max(1, len(self.names)), text="")
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    def watcher(self) -> Watcher:
        """What tells this display of jobs."""
        return Watcher(self.started, self.reported, self.ended)

    def started(self, name: str) -> None:
        """A bar for the job."""
        self.bars[name] = self.progress.add_task(escape(name), total=1.0, text="starting")

    def reported(self, name: str, row: dict[str, Any]) -> None:
        """How far it is."""
        fields: dict[str, Any] = {"text": row["stage"]}
        if "row" in row:
            fields["text"] = f"{row['stage']}: {_in_short(row['row'])}"
        if "share" in row:
            fields["completed"] = row["share"]
        self.progress.update(self.bars[name], **fields)

    def ended(self, name: str, outcome: Outcome) -> None:
        """A line instead of the bar."""
        if name in self.bars:
            bar = self.bars.pop(name)
            elapsed = self.progress.tasks[self.progress.task_ids.index(bar)].elapsed or 0.0
            self.progress.remove_task(bar)
        else:
            elapsed = 0.0
        self.progress.update(self.total, advance=1)
        if outcome.status == DONE:
            self.console.print(f"[green]✓[/] {escape(name):<18} {outcome.result} [dim]{elapsed:.0f} s[/]")
        elif outcome.status != INTERRUPTED:
            self.console.print(
                f"[red]✗[/] {escape(name):<18} {outcome.status}\n{escape(outcome.error)}", highlight=False
            )


def _in_short(row: Mapping[str, Any]) -> str:
    names = ("env_turns", "epoch", "success", "validation", "loss", "kl")
    shown = [(name, row[name]) for name in names if row.get(name) is not None]
    return "  ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown)


def _records(arms: Sequence[Arm], plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """The records of the finished arms, by name."""
    records: dict[str, list[dict[str, Any]]] = {}
    for arm in arms:
        record = read_record(plan, arm.key)
        if record is not None:
            records.setdefault(arm.name, []).append(record)
    return records


# Fluency


def _fluency(
    records: Mapping[str, Sequence[Mapping[str, Any]]], plan: Plan, console: Console
) -> dict[str, float | None]:
    """Perplexity of every arm's replies, by key; {} where no reference can be had."""
    keys = [key_of(record) for arm in records.values() for record in arm]
    path = plan.out / FLUENCY_FILE
    if path.is_file():
        known = json.loads(path.read_text())
        if set(known) == set(keys):
            return known
    with Display(console, ["fluency"]) as display:
        outcome = run_jobs([Job("fluency", measure_fluency, (keys, plan))], 1, display.watcher())["fluency"]
    return json.loads(path.read_text()) if outcome.status == DONE else {}


def measure_fluency(keys: Sequence[str], plan: Plan, *, report: Report) -> str:
    """Writes the perplexity of what each arm said, in a process of its own."""
    from .fluency import fluency, reference_model

    report({"stage": "a reference language model"})
    reference = reference_model(plan.env("validation"))
    measured: dict[str, float | None] = {}
    for number, key in enumerate(keys):
        record = read_record(plan, key)
        assert record is not None
        measured[key] = fluency(record["best"]["replies"], reference)
        report({"stage": key, "share": number / len(keys)})
    atomic_write(plan.out / FLUENCY_FILE, json.dumps(measured) + "\n")
    return f"of {len(keys)} agents"


# After


def _facts(env: gym.Env[Any, Any], plan: Plan) -> dict[str, Any]:
    task = task_of(env)
    facts = {
        "env": _env_facts(plan),
        "goals": _goal_facts(plan.goals),
        "task": {"name": task.name, "floor": task.floor, "ceiling": task.ceiling, "menu": list(task.menu)},
        "sample_goals": [_sample_goal(task, goal_id) for goal_id, _ in plan.goals.goals[:NUM_CONVERSATIONS]],
    }
    return json.loads(json.dumps(facts, default=repr))


def _goal_facts(goals: FrozenGoals) -> dict[str, Any]:
    return {"split": goals.split, "count": len(goals.goals), "hash": goals.hash}


def _sample_goal(task: Task, goal_id: str) -> dict[str, Any]:
    return {"goal_id": goal_id, "goal": {str(name): value for name, value in task.goal(goal_id).items()}}


def _provenance(
    plan: Plan, settings: Mapping[str, Any], records: Mapping[str, Sequence[Mapping[str, Any]]], began: float
) -> dict[str, Any]:
    return {
        **provenance(),
        "env": settings["env"],
        "goal_hash": plan.goals.hash,
        "validation_goals": _goal_facts(plan.validation_goals),
        "seeds": sorted({arm["seed"] for arm in settings["arms"].values()}),
        "models": {
            name: _model_facts(arms[0]["model"]) for name, arms in records.items() if "class" in arms[0]["model"]
        },
        "preset": settings["preset"],
        "seconds": round(time.perf_counter() - began, 1),
    }


def _model_facts(model: Mapping[str, Any]) -> dict[str, Any]:
    """Which language model an agent has, its size, and how it decodes when it is scored."""
    config = model["config"]
    decoding = {name: config[name] for name in ("temperature", "max_reply_tokens") if name in config}
    name = config.get("model") or f"small {model['class']}, random weights"
    return {"model": name, "parameters": model["parameters"], "decoding": decoding}


def _write_reports(results: Mapping[str, Any], out: Path) -> None:
    from .report import write_reports

    write_reports(results, out)
