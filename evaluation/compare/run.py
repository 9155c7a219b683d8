"""The comparison: how far does supervised fine-tuning get, what does reinforcement learning add, and is the gain real?

Every agent plays the same held-out goals under the same noise. Each training is a process of its own; what is finished
is kept, so that a comparison that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.console import Console
from rich.markup import escape

from ... import __version__
from ...agents.files import atomic_write
from ...agents.registry import agent_class, agent_module
from ...envs import Task, module_of, spec_of
from ...envs.core.make import task_options
from ...envs.core.remake import check_bare
from ..calibration import facts_of, slices_of
from ..digests import DIGESTS, changed_files, other_side_digests
from ..grading import grading
from ..rating.judges import judges_in
from ..report.page import check_can_report
from ..report.results import REQUIRED, results_of, write_results
from ..score import FrozenGoals, check_enough, check_not_settled, frozen_goals, made, task_of
from .arms import (
    ARM_FILE,
    FLUENCY_FILE,
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
from .fluency import known_fluency, measure_fluency
from .progress import Display
from .provenance import provenance
from .scheduler import DONE, Job, run_jobs
from .suited import speech_settings, suited_preset

SETTINGS_FILE, RESULTS_FILE = "settings.json", "results.json"
TOKENIZER_FOLDER = "tokenizer"
NOT_ASKED, NOT_YET, NOT_IN_PRESET = "not asked for", "not run yet", "not in this preset"


def compare(
    env_id: Any,
    preset: str | Preset = "quick",
    out: str | Path = "comparison",
    jobs: int | None = None,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    agents: Sequence[str] | None = None,
    console: Console | None = None,
    only: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Trains and scores every agent, and writes ``results.json``, ``report.html`` and ``report.md`` into ``out``.

    Args:
        env_id: id of an environment (with or without ``module:``), or one made by ``gym.make``, without wrappers.
        preset: "quick", "full", or a preset of your own; what is adapted to the environment, see
            :func:`~dialogym.evaluation.compare.suited.suited_preset`.
        out: folder; one that an interrupted comparison of the same settings left is gone on with.
        jobs: processes at a time; None is the number of CPUs.
        seed: of the first training run; the test goals do not depend on it.
        env_kwargs: keyword arguments of ``gym.make``, but for those that say how it is played, such as ``split``.
        agents: names to compare, of those in the report, to which what they start from is added; None compares all.
        console: of rich, for the progress; None is standard output.
        only: names of agents to run now, with what they start from; the others, which are no less part of the
            comparison, are left for later calls. None runs all.

    Returns:
        The results, as in ``results.json``.

    Raises:
        ValueError: for an unknown preset or agent, several training runs and fewer than 2 test goals, an ``out`` that
            holds a comparison with other settings, or of a partner or opponent whose folder has other files by now, or
            wrappers and time limits around the environment, which would not
            come along.
        RuntimeError: if every arm failed.
        KeyboardInterrupt: when interrupted, after what was trained so far was saved.
    """
    comparison = begin(env_id, preset, out, seed, env_kwargs, agents, only)
    (failures,) = run([comparison], jobs, console or Console())
    return write(comparison, failures)


@dataclass(frozen=True)
class Comparison:
    """A comparison that has claimed its folder, before it runs.

    Attributes:
        env: of the agents.
        plan, settings: what all arms share, and what has to be the same for two calls to be one comparison.
        arms: that are trained and scored.
        left_out: names of agents that are not, and why.
        now: keys of the arms that are run now.
        module: of the id that was asked for, which their processes import too.
    """

    env: gym.Env[Any, Any]
    plan: Plan
    settings: Mapping[str, Any]
    arms: Sequence[Arm]
    left_out: Mapping[str, str]
    now: Set[str]
    module: str = ""


def begin(
    env_id: Any,
    preset: str | Preset = "quick",
    out: str | Path = "comparison",
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    agents: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
) -> Comparison:
    """Claims the folder and settles what is to be run; arguments and errors are those of :func:`compare`."""
    check_not_settled(env_kwargs or {})
    env = made(env_id, **(env_kwargs or {}))
    check_bare(env, "a comparison")
    chosen = suited_preset(_preset(preset), env)
    plan = _plan(env, chosen, Path(out))
    arms = _those(arms_of(chosen, seed), agents, "agents")
    left_out = {**_not_asked_for(chosen, agents), **unfit(arms, env)}
    now = {arm.key for arm in _those(arms, only, "only")}
    arms = [arm for arm in arms if arm.name not in left_out]
    _check_installed([arm for arm in arms if arm.key in now])
    settings = _settings(plan, arms, chosen.name, seed)
    check_enough(plan.goals, settings["num_seeds"], f"of {plan.spec.id}")
    settings["grading"] = grading(task_of(env), env.unwrapped.reward)  # type: ignore[attr-defined]
    settings.update(other_side_digests(spec_of(env).kwargs))
    _claim_folder(plan.out, settings)
    if any(arm.agent in SPEAKERS and arm.config.get("model") is None for arm in arms):
        plan = dataclasses.replace(plan, speech=speech_settings(env, plan.out / TOKENIZER_FOLDER, seed))
    return Comparison(env, plan, settings, arms, left_out, now, module_of(env_id))


def run(comparisons: Sequence[Comparison], jobs: int | None, console: Console) -> list[dict[str, str]]:
    """Runs what is not finished of several comparisons, side by side.

    Returns:
        For each comparison, the keys of the arms that came to nothing, and why.

    Raises:
        KeyboardInterrupt: when interrupted, after what was trained so far was saved.
    """
    failures = _run_arms(comparisons, jobs, console)
    _measure_fluency(comparisons, jobs, console)
    return failures


def is_idle(comparison: Comparison) -> bool:
    """There is nothing to run of a comparison now, and nothing was run before."""
    return not _finished(comparison) and not any(arm.key in comparison.now for arm in comparison.arms)


def write(comparison: Comparison, failures: Mapping[str, str]) -> dict[str, Any]:
    """Writes the results and the reports of a comparison that has run.

    Args:
        comparison: whose arms have run.
        failures: keys of those that came to nothing, and why.

    Returns:
        The results, as in ``results.json``.

    Raises:
        RuntimeError: if every arm failed.
    """
    plan = comparison.plan
    records = _records(comparison)
    later = dict.fromkeys((arm.name for arm in comparison.arms if arm.name not in records), NOT_YET)
    left_out = {**later, **comparison.left_out, **_failed_names(failures, records)}
    if not records:
        silent = (NOT_ASKED, NOT_YET, NOT_IN_PRESET)
        reasons = "\n".join(f"{name}: {why}" for name, why in left_out.items() if why not in silent)
        raise RuntimeError(f"every arm failed:\n{reasons}")
    facts = {
        **_facts(comparison),
        "settings": comparison.settings,
        "provenance": _provenance(comparison, records),
    }
    results = results_of(records, known_fluency(plan), facts, left_out)
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
    spec, goals = spec_of(env), frozen_goals(env, "test", preset.num_goals)
    registered = gym.registry[spec.id]
    return Plan(
        registered,
        task_options(spec),
        goals,
        frozen_goals(env, "validation", preset.num_validation_goals),
        preset.num_noise_seeds,
        min(preset.num_noise_goals, len(goals.goals)),
        out.resolve(),
        judge=preset.model,
        conversations_at_once=preset.conversations_at_once,
    )


def _check_installed(arms: Sequence[Arm]) -> None:
    """Raises ImportError for a package that one of the arms or the report needs, before anything is trained."""
    check_can_report()
    for name in dict.fromkeys(arm.agent for arm in arms):
        agent_class(name)


def _those(arms: Sequence[Arm], names: Sequence[str] | None, what: str) -> list[Arm]:
    """The arms of some agents and what they start from; all of them for None."""
    if names is None:
        return list(arms)
    known = list(dict.fromkeys(arm.name for arm in arms))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{what} must be among {', '.join(known)}, got {', '.join(unknown)}")
    needed = {arm.start_from for arm in arms if arm.name in names}
    return [arm for arm in arms if arm.name in names or arm.key in needed]


def _not_asked_for(preset: Preset, agents: Sequence[str] | None) -> dict[str, str]:
    names = {arm.name for arm in arms_of(preset, 0) if arm.section == "agents"}
    absent = dict.fromkeys((name for name in REQUIRED if name not in names), NOT_IN_PRESET)
    return {**absent, **({} if agents is None else dict.fromkeys(sorted(names - set(agents)), NOT_ASKED))}


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
    return as_json(settings)


def as_json(value: Any) -> Any:
    """``value`` as JSON has it; a reward, a function or any other object is what it says of itself, without address."""
    if isinstance(value, Mapping):
        return {name if isinstance(name, str) else _described(name): as_json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(one) for one in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else _described(value)


def _described(value: Any) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _env_facts(plan: Plan) -> dict[str, Any]:
    return {"id": plan.spec.id, "kwargs": {**plan.spec.kwargs, **plan.options}}


def _claim_folder(out: Path, settings: dict[str, Any]) -> None:
    """Notes the settings in a new folder; refuses one with others, unless only training seeds are added to it."""
    path = out / SETTINGS_FILE
    if path.is_file():
        before = json.loads(path.read_text())
        if before["arms"].items() <= settings["arms"].items():
            before = {**before, "arms": settings["arms"], "num_seeds": settings["num_seeds"]}
        differing = [name for name in settings if before.get(name) != settings[name]]
        if differing:
            details = "; ".join(difference(name, before.get(name), settings[name]) for name in differing)
            raise ValueError(
                f"{out} holds a comparison with other settings ({details}): choose another folder for this one"
            )
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(settings, indent=1) + "\n")


def difference(name: str, before: Any, now: Any) -> str:
    """In what a setting of an earlier call differs from that of this one."""
    if name == DIGESTS and (changed := changed_files(before, now)):
        return changed
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return f"{name} differ in {', '.join(keys)}"
    return f"{name} was {before!r:.40}, is {now!r:.40}"


# Running


def _run_arms(comparisons: Sequence[Comparison], jobs: int | None, console: Console) -> list[dict[str, str]]:
    """The keys of the arms that came to nothing, and why, for each comparison."""
    prefixes = _prefixes(comparisons)
    queues = [_queue(one, prefix, console) for one, prefix in zip(comparisons, prefixes, strict=True)]
    # first those of every comparison that others wait for: a long chain that began late would leave processors idle
    in_turn = [job for rank in itertools.zip_longest(*queues) for job in rank if job is not None]
    with Display(console, [job.name for job in in_turn]) as display:
        try:
            outcomes = run_jobs(in_turn, jobs, display.watcher())
        except KeyboardInterrupt:
            folder = os.path.commonpath([one.plan.out for one in comparisons])
            console.print(f"Interrupted; the same command goes on from {escape(folder)}.")
            raise
    errors = {name: outcome.error for name, outcome in outcomes.items() if outcome.status != DONE}
    return [
        {job.name.removeprefix(prefix): errors[job.name] for job in queue if job.name in errors}
        for queue, prefix in zip(queues, prefixes, strict=True)
    ]


def _prefixes(comparisons: Sequence[Comparison]) -> list[str]:
    """What tells the jobs of several comparisons apart."""
    return [f"{one.plan.out.name} " if len(comparisons) > 1 else "" for one in comparisons]


def _queue(comparison: Comparison, prefix: str, console: Console) -> list[Job]:
    """A job for each arm that is not finished."""
    plan, finished = comparison.plan, _finished(comparison)
    for key in sorted(finished):
        console.print(f"[dim]{escape(prefix + key)}: finished before[/]")
    return [
        Job(prefix + arm.key, run_arm, (arm, plan), _needs(arm, finished, prefix), comparison.module, imports_of(arm))
        for arm in comparison.arms
        if arm.key in comparison.now - finished
    ]


def _finished(comparison: Comparison) -> set[str]:
    """The keys of the arms that have left their record."""
    return {arm.key for arm in comparison.arms if (comparison.plan.folder(arm.key) / ARM_FILE).is_file()}


def _needs(arm: Arm, finished: Set[str], prefix: str) -> tuple[str, ...]:
    return () if arm.start_from is None or arm.start_from in finished else (prefix + arm.start_from,)


def imports_of(arm: Arm) -> tuple[str, ...]:
    """Modules that its job imports, as :class:`~.scheduler.Job` has them."""
    module = agent_module(arm.agent)
    if not module.startswith("dialogym."):  # of one's own: what else its import does is not known
        return ()
    return (module,) if arm.config.get("lora_rank") is None else (module, "peft")


def _failed_names(failures: Mapping[str, str], records: Mapping[str, Any]) -> dict[str, str]:
    """Failures by agent; by agent and seed, where other seeds of it are there."""
    names = {key: key.partition("/")[0] for key in failures}
    return {key if names[key] in records else names[key]: why for key, why in failures.items()}


def _records(comparison: Comparison) -> dict[str, list[dict[str, Any]]]:
    """The records of the finished arms, by name."""
    records: dict[str, list[dict[str, Any]]] = {}
    for arm in comparison.arms:
        record = read_record(comparison.plan, arm.key)
        if record is not None:
            records.setdefault(arm.name, []).append(record)
    return records


# Fluency


def _measure_fluency(comparisons: Sequence[Comparison], jobs: int | None, console: Console) -> None:
    """Leaves the perplexity of every arm's replies in the folders, where a reference can be had."""
    queue = []
    for one, prefix in zip(comparisons, _prefixes(comparisons), strict=True):
        keys = _finished(one)
        if known_fluency(one.plan).keys() != keys:
            (one.plan.out / FLUENCY_FILE).unlink(missing_ok=True)
            queue.append(Job(f"{prefix}fluency", measure_fluency, (sorted(keys), one.plan), module=one.module))
    with Display(console, [job.name for job in queue]) as display:
        run_jobs(queue, jobs, display.watcher())


# After


def _facts(comparison: Comparison) -> dict[str, Any]:
    task, plan = task_of(comparison.env), comparison.plan
    facts = {
        "env": _env_facts(plan),
        "goals": _goal_facts(plan.goals),
        "task": {"name": task.name, "floor": task.floor, "ceiling": task.ceiling, "menu": list(task.menu)},
        "slices": slices_of([_facts_of(task, goal_id) for goal_id, _ in plan.goals.goals]),
        "judges": judges_in(comparison.env.unwrapped.reward),  # type: ignore[attr-defined]
        "sample_goals": [_sample_goal(task, goal_id) for goal_id, _ in plan.goals.goals[:NUM_CONVERSATIONS]],
    }
    return as_json(facts)


def _facts_of(task: Task, goal_id: str) -> dict[str, Any]:
    """The facts of a goal that the results are sliced by; texts that are long say only that they are there."""
    facts = facts_of(task.goal(goal_id))
    return {name: "some" if isinstance(value, str) and len(value) > 40 else value for name, value in facts.items()}


def _goal_facts(goals: FrozenGoals) -> dict[str, Any]:
    return {"split": goals.split, "count": len(goals.goals), "hash": goals.hash}


def _sample_goal(task: Task, goal_id: str) -> dict[str, Any]:
    return {"goal_id": goal_id, "goal": {str(name): value for name, value in task.goal(goal_id).items()}}


def _provenance(comparison: Comparison, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    plan, settings = comparison.plan, comparison.settings
    return {
        **provenance(),
        "env": settings["env"],
        "goal_hash": plan.goals.hash,
        "validation_goals": _goal_facts(plan.validation_goals),
        "seeds": sorted({arm["seed"] for arm in settings["arms"].values()}),
        "models": {name: _model_facts(arms[0]) for name, arms in records.items() if "class" in arms[0]["model"]},
        "preset": settings["preset"],
        "arm_commits": sorted({str(record.get("commit")) for arms in records.values() for record in arms}),
        "seconds": round(sum(record["seconds"] for arms in records.values() for record in arms), 1),
    }


def _model_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Which language model an arm began with, its size, and how it decodes when it is scored."""
    model = record["model"]
    config = model["config"]
    decoding = {name: config[name] for name in ("temperature", "max_reply_tokens") if name in config}
    name = record["arm"]["config"].get("model") or f"small {model['class']}, random weights"
    return {"model": name, "parameters": model["parameters"], "decoding": decoding}


def _write_reports(results: Mapping[str, Any], out: Path) -> None:
    from ..report.page import write_reports

    write_reports(results, out)
