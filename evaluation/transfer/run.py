"""Trained under one condition, tested under another: how far does what was learned carry?

One agent is trained for each training condition and seed, and plays the test goals under every test condition. Models
are chosen on validation goals of the condition that they were trained under: what a test condition is like is known to
no training but its own. Each training is a process; what is finished is kept.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.console import Console
from rich.markup import escape

from ... import __version__
from ...agents.files import atomic_write
from ...agents.registry import ENTRIES, agent_class, load_agent, make_agent
from ...envs import make_to_play, module_of, spec_of
from ...envs.core.make import task_options
from ...envs.core.remake import check_bare
from ..compare.arms import SPEAKERS, Arm, Plan, model_facts, trained
from ..compare.progress import Display
from ..compare.provenance import commit, provenance
from ..compare.run import SETTINGS_FILE, as_json, difference, imports_of
from ..compare.scheduler import DONE, Job, Report, run_jobs
from ..compare.suited import speech_settings
from ..contenders import CONTENDERS, RULE
from ..digests import DIGESTS, changed_files, other_side_digests
from ..grading import grading
from ..score import FrozenGoals, check_enough, check_not_settled, frozen_goals, score, task_of
from .conditions import Condition, checked_env, conditions_to_test, conditions_to_train
from .tables import results_of, write_results

NUM_GOALS, NUM_VALIDATION_GOALS, NUM_SEEDS = 200, 60, 3
TRAINING_FILE, FLOORS_FOLDER = "training.json", "floors"
TOKENIZER_FOLDER = "tokenizer"
FLOORS = tuple(one.name for one in CONTENDERS if one.role is not None)
"""Agents that success is normalised by: the floors and the ceiling."""
ADDABLE = ("train", "test", "seeds")
"""Settings that a later call may add to."""


@dataclass(frozen=True)
class Tested:
    """One test condition; it travels to the jobs.

    Attributes:
        condition: what it is.
        goals: frozen; where the condition does not change what is wanted, those of the others.
    """

    condition: Condition
    goals: FrozenGoals


@dataclass(frozen=True)
class Grid:
    """What is to be run.

    Attributes:
        env_id: of the environment, as registered.
        module: of the id that was asked for, which their processes import too; "" for none.
        agent, config: that is trained.
        plans: of the trainings, by name of the condition.
        tests: by name of the condition.
        seeds: of the trainings.
        out: folder.
        settings: what has to be the same for two calls to be about the same.
    """

    env_id: str
    module: str
    agent: str
    config: Mapping[str, Any]
    trains: Sequence[Condition]
    plans: Mapping[str, Plan]
    tests: Sequence[Tested]
    seeds: Sequence[int]
    out: Path
    settings: Mapping[str, Any]

    def arms(self) -> list[tuple[Arm, Plan]]:
        """Every training, with the plan of its condition; the first seeds of all conditions come first."""
        return [
            (Arm(one.folder, self.agent, seed, True, self.config), self.plans[one.name])
            for seed in self.seeds
            for one in self.trains
        ]


def transfer(
    env_id: str,
    agent: str,
    train: Sequence[Mapping[str, Any]],
    test: Sequence[Mapping[str, Any]],
    out: str | Path = "transfer",
    *,
    config: Mapping[str, Any] | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    num_seeds: int = NUM_SEEDS,
    seed: int = 0,
    num_goals: int = NUM_GOALS,
    num_validation_goals: int = NUM_VALIDATION_GOALS,
    jobs: int | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Trains an agent under each condition and tests it under each, into ``transfer.json``, ``.md`` and ``.png``.

    Args:
        env_id: of a registered environment (with or without ``module:``).
        agent: name of one that learns.
        train: keyword arguments of the environment for each training condition; {} is the environment as it is. See
            :func:`~dialogym.evaluation.transfer.conditions.crossed` for all combinations of several.
        test: those of each test condition; "wordings" among them is the split of the partner's wordings, "test" (which
            no training hears) unless it is given.
        out: folder; what an interrupted call finished is kept, and a later one may add conditions and seeds.
        config: settings of the agent that differ from its defaults.
        env_kwargs: keyword arguments of all conditions, but for those that say how it is played, such as ``split``.
        num_seeds: trainings under each condition; with one, intervals and tests speak of the very models.
        seed: of the first one. Tested goals do not depend on it.
        num_goals, num_validation_goals: at most; fewer where a split has fewer different ones.
        jobs: processes at a time; None is the number of CPUs.
        console: of rich, for the progress.

    Returns:
        What is written to ``transfer.json``; see :func:`~dialogym.evaluation.transfer.tables.results_of`.

    Raises:
        ValueError: for a condition that the environment does not take, an agent that does not learn, several trainings
            and fewer than 2 test goals, or an ``out`` of other settings.
        RuntimeError: if nothing came of any training.
        KeyboardInterrupt: when interrupted; a second call goes on.
    """
    console = console or Console()
    grid = _grid(
        env_id, agent, train, test, Path(out), config or {}, env_kwargs or {}, range(seed, seed + num_seeds),
        (num_goals, num_validation_goals),
    )  # fmt: skip
    failures = _run(grid, jobs, console)
    scores, floors = _scores(grid), _floors(grid)
    if not scores:
        raise RuntimeError("every training failed:\n" + "\n".join(failures.values()))
    results = results_of(scores, floors, _facts(grid, failures))
    write_results(results, grid.out)
    return results


# Before


def _grid(
    env_id: str,
    agent: str,
    train: Sequence[Mapping[str, Any]],
    test: Sequence[Mapping[str, Any]],
    out: Path,
    config: Mapping[str, Any],
    env_kwargs: Mapping[str, Any],
    seeds: range,
    num_goals: tuple[int, int],
) -> Grid:
    kind = agent_class(agent)
    if not ENTRIES[agent].learns if agent in ENTRIES else not kind.learns:
        learners = ", ".join(name for name, entry in ENTRIES.items() if entry.learns)
        raise ValueError(f"expected an agent that learns ({learners}), got {agent!r}")
    if not seeds:
        raise ValueError(f"num_seeds must be at least 1, got {len(seeds)}")
    if min(num_goals) < 1:
        raise ValueError(f"num_goals and num_validation_goals must be at least 1, got {num_goals}")
    check_not_settled(env_kwargs)
    trains, tested = conditions_to_train(train, env_kwargs), conditions_to_test(test, env_kwargs)
    envs = {one.name: checked_env(env_id, one, "train") for one in trains}
    test_envs = {one.name: checked_env(env_id, one, "test") for one in tested}
    _check_alike([*envs.values(), *test_envs.values()], kind.interface)
    first = envs[trains[0].name]
    make_agent(agent, first, seed=seeds[0], **config)  # a wrong setting is told now
    plans = {name: _plan(env, num_goals[1], out.resolve()) for name, env in envs.items()}
    tests = [Tested(one, frozen_goals(test_envs[one.name], "test", num_goals[0])) for one in tested]
    for one in tests:
        check_enough(one.goals, len(seeds), f"under the condition {one.condition.name!r}")
    settings = as_json(
        {
            "version": __version__,
            "env": env_id,
            "kwargs": env_kwargs,
            "agent": agent,
            "config": config,
            "num_goals": list(num_goals),
            "train": {one.name: _settings_of(one, envs[one.name], plans[one.name].validation_goals) for one in trains},
            "test": {
                one.condition.name: _settings_of(one.condition, test_envs[one.condition.name], one.goals)
                for one in tests
            },
        }
    )
    _claim(out, settings)
    if agent in SPEAKERS and config.get("model") is None:  # one vocabulary for all
        speech = speech_settings(first, out.resolve() / TOKENIZER_FOLDER, 0)
        plans = {name: dataclasses.replace(plan, speech=speech) for name, plan in plans.items()}
    return Grid(
        first.spec.id, module_of(env_id), agent, config, trains, plans, tests, seeds, out.resolve(), settings  # type: ignore[union-attr]
    )  # fmt: skip


def _settings_of(condition: Condition, env: gym.Env[Any, Any], goals: FrozenGoals) -> dict[str, Any]:
    core: Any = env.unwrapped
    return {
        "options": condition.options,
        "wordings": condition.wordings,
        "goals": {"count": len(goals.goals), "hash": goals.hash},
        "grading": grading(core.task, core.reward),
        **other_side_digests(spec_of(env).kwargs),
    }


def _check_alike(envs: Sequence[gym.Env[Any, Any]], interface: str) -> None:
    """Raises ValueError where an agent that plays from a menu would find another menu under another condition."""
    tasks = [task_of(env) for env in envs]
    for task in tasks:
        if interface == "choices" and (task.menu, task.summary_sizes) != (tasks[0].menu, tasks[0].summary_sizes):
            raise ValueError(
                f"conditions change the menu or the summary of {task.name}, so that an agent trained under one cannot "
                "play under the other: take an agent that plays in words"
            )


def _plan(env: gym.Env[Any, Any], num_validation_goals: int, out: Path) -> Plan:
    check_bare(env, "a transfer")
    spec = spec_of(env)
    goals = frozen_goals(env, "validation", num_validation_goals)
    return Plan(gym.registry[spec.id], task_options(spec), FrozenGoals("test", [], ""), goals, 1, 0, out)


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Notes the settings in the folder; those of earlier calls must not be others, but there may be more of them."""
    path = out / SETTINGS_FILE
    noted = dict(settings)
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = [_changed(name, before.get(name), settings[name]) for name in settings]
        if any(differing):
            raise ValueError(
                f"{out} holds results of other settings ({'; '.join(filter(None, differing))}): choose another folder"
            )
        noted.update({name: {**before[name], **settings[name]} for name in ("train", "test")})
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(noted, indent=1) + "\n")


def _changed(name: str, before: Any, now: Any) -> str:
    """In what a setting differs; conditions that one call alone has are no difference."""
    if name in ("train", "test") and isinstance(before, dict):
        other = [key for key in now if key in before and before[key] != now[key]]
        parts = [part for key in other for part in now[key] if before[key].get(part) != now[key][part]]
        files = [changed_files(before[key].get(DIGESTS), now[key].get(DIGESTS, {})) for key in other]
        said = f"{name} condition {', '.join(other)} differs in {', '.join(dict.fromkeys(parts))}" if other else ""
        return ": ".join([said, *filter(None, dict.fromkeys(files))])
    return "" if before == now else difference(name, before, now)


# Running


def _run(grid: Grid, jobs: int | None, console: Console) -> dict[str, str]:
    """Runs what is not finished; what failed, and why."""
    queue = _trainings(grid, console)
    if not all(_floors_path(grid, one).is_file() for one in grid.tests):
        queue.append(Job("floors and rule", play_floors, (grid,), module=grid.module))
    with Display(console, [job.name for job in queue]) as display:
        try:
            outcomes = run_jobs(queue, jobs, display.watcher())
        except KeyboardInterrupt:
            console.print(f"Interrupted; the same command goes on from {escape(str(grid.out))}.")
            raise
    return {name: outcome.error for name, outcome in outcomes.items() if outcome.status != DONE}


def _trainings(grid: Grid, console: Console) -> list[Job]:
    jobs = []
    for arm, plan in grid.arms():
        tests = [one for one in grid.tests if not _score_path(plan, arm, one).is_file()]
        name = f"{_condition(grid, arm).name}, seed {arm.seed}"
        if tests:
            jobs.append(Job(name, train_and_test, (arm, plan, tuple(grid.tests)), (), grid.module, imports_of(arm)))
        else:
            console.print(f"[dim]{escape(name)}: finished before[/]")
    return jobs


def _condition(grid: Grid, arm: Arm) -> Condition:
    return next(one for one in grid.trains if one.folder == arm.name)


def _score_path(plan: Plan, arm: Arm, test: Tested) -> Path:
    return plan.folder(arm.key) / "scores" / f"{test.condition.folder}.json"


def _floors_path(grid: Grid, test: Tested) -> Path:
    return grid.out / FLOORS_FOLDER / f"{test.condition.folder}.json"


def _env_of(spec: Any, condition: Condition) -> gym.Env[Any, Any]:
    if spec.id not in gym.registry:  # a task of the user's, registered in the parent only
        gym.registry[spec.id] = spec
    return make_to_play(spec.id, **{**condition.options, "split": condition.wordings})


def train_and_test(arm: Arm, plan: Plan, tests: Sequence[Tested], *, report: Report) -> str:
    """A job: trains an agent unless that was done before, and plays the test conditions that are left.

    The agent is read back from its folder for each condition, so that their order changes nothing.
    """
    folder = plan.folder(arm.key)
    if not (folder / TRAINING_FILE).is_file():
        began = time.perf_counter()
        agent, _, log = trained(arm, plan, report)
        record = {
            "config": dict(arm.config),
            "budget": dataclasses.asdict(agent.budget),
            "model": model_facts(agent),
            "log": log,
            "seconds": time.perf_counter() - began,
            "commit": commit(),
        }
        atomic_write(folder / TRAINING_FILE, json.dumps(record, allow_nan=False) + "\n")
    (folder / "scores").mkdir(exist_ok=True)
    found = []
    for number, test in enumerate(tests):
        path = _score_path(plan, arm, test)
        if not path.is_file():
            report({"stage": f"testing under {test.condition.name}", "share": number / len(tests)})
            env = _env_of(plan.spec, test.condition)
            played = _played(load_agent(folder / "agent", env=env), env, test)
            atomic_write(path, json.dumps(played, allow_nan=False) + "\n")
        found.append(_rate(json.loads(path.read_text())))
    return "success " + " ".join(f"{rate:.3f}" for rate in found)


def play_floors(grid: Grid, *, report: Report) -> str:
    """A job: what the floors and the rule come to under the test conditions that are left."""
    spec = next(iter(grid.plans.values())).spec
    for number, test in enumerate(grid.tests):
        path = _floors_path(grid, test)
        if path.is_file():
            continue
        report({"stage": f"playing under {test.condition.name}", "share": number / len(grid.tests)})
        env = _env_of(spec, test.condition)
        names = [name for name in FLOORS if name != RULE or RULE in task_of(env).policies]
        scores = {name: _played(make_agent(name, env), env, test) for name in names}
        path.parent.mkdir(exist_ok=True)
        atomic_write(path, json.dumps(scores, allow_nan=False) + "\n")
    return f"under {len(grid.tests)} conditions"


def _rate(played: Mapping[str, Any]) -> float:
    return sum(played["success"]) / len(played["success"])


def _played(agent: Any, env: gym.Env[Any, Any], test: Tested) -> dict[str, Any]:
    scores = score(agent, env, test.goals.goals, split=test.condition.wordings)
    return {
        "success": scores.success.astype(int).tolist(),
        "return": scores.returns.tolist(),
        "turns": scores.turns.tolist(),
        "invalid_rate": scores.invalid_rate,
    }


# After


def _scores(grid: Grid) -> dict[str, dict[str, dict[int, Any]]]:
    """What was played, by training condition, test condition and seed."""
    scores: dict[str, dict[str, dict[int, Any]]] = {}
    for arm, plan in grid.arms():
        for test in grid.tests:
            path = _score_path(plan, arm, test)
            if path.is_file():
                row = scores.setdefault(_condition(grid, arm).name, {}).setdefault(test.condition.name, {})
                row[arm.seed] = json.loads(path.read_text())
    return scores


def _floors(grid: Grid) -> dict[str, dict[str, Any]]:
    """What the floors and the rule played, by test condition."""
    paths = {one.condition.name: _floors_path(grid, one) for one in grid.tests}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def _facts(grid: Grid, failures: Mapping[str, str]) -> dict[str, Any]:
    trainings = [json.loads(path.read_text()) for path in _training_files(grid)]
    budgets = [one["budget"] for one in trainings]
    return {
        "env": grid.env_id,
        "agent": grid.agent,
        "settings": grid.settings,
        "seeds": list(grid.seeds),
        "model": trainings[0]["model"],
        "budget": {name: sum(one[name] for one in budgets) / len(budgets) for name in budgets[0]},
        "seconds": sum(one["seconds"] for one in trainings),
        "failures": {name: why.strip().splitlines()[-1] for name, why in failures.items()},
        "provenance": provenance(),
    }


def _training_files(grid: Grid) -> list[Path]:
    paths = [plan.folder(arm.key) / TRAINING_FILE for arm, plan in grid.arms()]
    return [path for path in paths if path.is_file()]
