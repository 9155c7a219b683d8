"""Is this task fit to be learned? The checks that every environment of ours passes, for anybody's."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from ..agents.registry import make_agent
from ..envs import Task, module_of, remake
from ..envs.core.make import given_options
from ..envs.core.task import MIN_GAP
from .score import Scores, Trial, frozen_goals, made, score, task_of
from .statistics import wilson_interval

PASS, FAIL, NOT_APPLICABLE = "pass", "fail", "not applicable"
FLOORS = ("do_nothing", "random", "repeat_last", "inform_everything", "claim_success")
NOISES = (0.0, 0.15, 0.3, 0.6)
NUM_GOALS = 500
NUM_TRACES = 5


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was checked.
        status: "pass", "fail" or "not applicable".
        expected, found: what should be and what is, in words.
    """

    name: str
    status: str
    expected: str
    found: str


@dataclass(frozen=True)
class ValidationReport:
    """All findings about one environment.

    Attributes:
        env_id: which.
        checks: in the order they were made.
        seconds: they took.
    """

    env_id: str
    checks: list[Check]
    seconds: float

    @property
    def passed(self) -> bool:
        """Nothing failed."""
        return all(check.status != FAIL for check in self.checks)

    def table(self) -> Any:
        """A ``rich`` table of the findings."""
        from rich.table import Table

        colours = {PASS: "green", FAIL: "bold red", NOT_APPLICABLE: "dim"}
        title = f"{self.env_id}: {'passed' if self.passed else 'FAILED'} in {self.seconds:.0f} s"
        table = Table(title=title, title_justify="left")
        for column in ("check", "result", "expected", "found"):
            table.add_column(column)
        for check in self.checks:
            colour = colours[check.status]
            table.add_row(
                check.name, f"[{colour}]{check.status}[/{colour}]", _plain(check.expected), _plain(check.found)
            )
        return table


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def validate(
    env_id: Any, num_goals: int = NUM_GOALS, seed: int = 0, fresh_processes: bool = True, **options: Any
) -> ValidationReport:
    """Checks ceiling, floors and their distance, returns, determinism, leaks and difficulty of an environment.

    Args:
        env_id: an id registered with :func:`dialogym.register_task`, or an environment or spec of one.
        num_goals: held-out goals that each agent is scored on.
        seed: of the goals.
        fresh_processes: play some conversations in two fresh processes as well; False for who does so for many
            environments at once.
        **options: keyword arguments of ``gym.make``.

    Raises:
        TypeError: if the environment is none of a dialogym task.
    """
    began = time.perf_counter()
    env = made(env_id, **options)
    spec = env.spec
    assert spec is not None
    goals = frozen_goals(env, "test", num_goals, seed)
    checks: list[Check] = []
    rule = _ceiling(env, goals.goals, checks)
    floors = _floors(env, goals.goals, checks)
    checks.append(_gap(rule, floors, _min_gap(task_of(env))))
    checks.append(_returns(rule, floors))
    checks.append(_determinism(env, goals.goals[:NUM_TRACES], fresh_processes, module_of(env_id)))
    checks.append(_leaks(env, goals.goals))
    checks.append(_difficulty(env, goals.goals))
    return ValidationReport(spec.id, checks, time.perf_counter() - began)


# Ceiling and floors


def _ceiling(env: gym.Env[Any, Any], goals: Sequence[Trial], checks: list[Check]) -> Scores | None:
    """Scores of the task's rule, or None where it has none."""
    task = task_of(env)
    if "rule" not in task.policies:
        checks.append(
            Check("ceiling: rule", NOT_APPLICABLE, f"at least {task.ceiling:.3f}", "the task has no rule policy")
        )
        return None
    scores = score(make_agent("rule", env), env, goals)
    success = float(scores.success.mean())
    checks.append(
        Check(
            "ceiling: rule",
            PASS if success >= task.ceiling else FAIL,
            f"success of at least {task.ceiling:.3f}",
            _rate(success, len(goals)),
        )
    )
    return scores


def _floors(env: gym.Env[Any, Any], goals: Sequence[Trial], checks: list[Check]) -> dict[str, Scores]:
    """Scores of every floor agent that the task has."""
    task = task_of(env)
    found: dict[str, Scores] = {}
    for name in FLOORS:
        try:
            agent = make_agent(name, env)
        except ValueError as error:  # a policy that this task does not bring along
            checks.append(Check(f"floor: {name}", NOT_APPLICABLE, f"at most {task.floor:.3f}", str(error)))
            continue
        found[name] = score(agent, env, goals)
        success = float(found[name].success.mean())
        status = PASS if success <= task.floor else FAIL
        expected = f"success of at most {task.floor:.3f}"
        checks.append(Check(f"floor: {name}", status, expected, _rate(success, len(goals))))
    return found


def _rate(success: float, count: int) -> str:
    interval = wilson_interval(round(success * count), count)
    return f"{success:.3f} [{interval.low:.3f}, {interval.high:.3f}] on {count} goals"


def _min_gap(task: Task) -> float:
    """What the task says, else as much as is common and its ceiling and floor allow."""
    return min(MIN_GAP, round(task.ceiling - task.floor, 9)) if task.min_gap is None else task.min_gap


def _gap(rule: Scores | None, floors: Mapping[str, Scores], min_gap: float) -> Check:
    name, expected = "gap between ceiling and floors", f"at least {min_gap:g} (Task.min_gap)"
    if rule is None:
        return Check(name, NOT_APPLICABLE, expected, "the task has no rule policy")
    gap = float(rule.success.mean()) - max([float(floor.success.mean()) for floor in floors.values()], default=0.0)
    return Check(name, PASS if gap >= min_gap else FAIL, expected, f"{gap:.3f}")


def _returns(rule: Scores | None, floors: Mapping[str, Scores]) -> Check:
    """Whether the environment's own reward, whatever its terms, pays for the task: no floor agent returns as much as
    the rule, by more than chance explains. Parts that are not potential-based could be collected without success."""
    name, expected = "return under the environment's reward", "the rule's above every floor's"
    if rule is None:
        return Check(name, NOT_APPLICABLE, expected, "the task has no rule policy")
    as_good = [floor for floor, scores in floors.items() if not _is_rise(rule.returns - scores.returns)]
    means = {"rule": rule, **floors}
    found = ", ".join(f"{agent} {float(scores.returns.mean()):.3f}" for agent, scores in means.items())
    return Check(name, FAIL if as_good else PASS, expected, found)


# Determinism

TRACE_PROGRAM = """
import importlib, json, sys
request = json.loads(sys.stdin.read())
try:
    for name in ["dialogym", *request["import"]]:
        importlib.import_module(name)
    from dialogym.envs import remake
    env = remake(request["id"], **request["options"])
except Exception as error:
    sys.exit(f"cannot be made: {type(error).__name__}: {error}")
from dialogym.evaluation.validate import traces
print(json.dumps(traces(env, request["goals"])))
"""
CANNOT_BE_MADE = "cannot be made: "


def traces(env: gym.Env[Any, Any], goals: Sequence[Sequence[Any]]) -> list[str]:
    """The split and content of each goal, and everything an agent is shown when it replies at random: a text each."""
    return [_trace(env, goal_id, seed) for goal_id, seed in goals]


def _trace(env: gym.Env[Any, Any], goal_id: str, seed: int) -> str:
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed, options={"goal_id": goal_id})
    task = task_of(env)
    seen = [repr((task.split_of(task.goal(goal_id)), task.goal_content(goal_id)))]
    seen.append(repr((observation, sorted(info.items()))))
    over = False
    while not over:
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        over = terminated or truncated
        seen.append(repr((observation, reward, terminated, truncated, sorted(info.items()))))
    return "\n".join(seen)


def _determinism(env: gym.Env[Any, Any], goals: Sequence[Trial], fresh_processes: bool, module: str) -> Check:
    """Twice in this process; and in two fresh ones whose hashes of strings differ, where those can make the task."""
    name, expected = "determinism", "same seed, same conversation; same goal, same split"
    here = remake(env, interface="choices" if task_of(env).menu else "text")
    first, again = traces(here, goals), traces(remake(here, interface=here.spec.kwargs["interface"]), goals)  # type: ignore[union-attr]
    if first != again:
        return Check(name, FAIL, expected, _first_difference(first, again))
    if not fresh_processes:
        return Check(name, PASS, expected, f"{len(goals)} conversations, twice in this process")
    try:
        request = _request(here, goals, module)
        fresh = [_traces_of_fresh_process(request, hash_seed) for hash_seed in ("1", "2")]
    except _CannotBeMadeElsewhere as error:
        return Check(name, PASS, expected, f"same twice in this process; not tried in a fresh one, {error}")
    except RuntimeError as error:
        return Check(name, FAIL, expected, f"a fresh process failed: {error}")
    for found in fresh:
        if found != first:
            what = _first_difference(first, found)
            return Check(name, FAIL, expected, f"differs by PYTHONHASHSEED, or by what no seed governs: {what}")
    return Check(name, PASS, expected, f"{len(goals)} conversations, in this process and in two fresh ones")


class _CannotBeMadeElsewhere(Exception):
    """Another process cannot make the task: it was defined at a prompt, say."""


def _request(env: gym.Env[Any, Any], goals: Sequence[Trial], module: str) -> str:
    """What a fresh process needs to know to make the environment and trace the goals."""
    assert env.spec is not None
    registered = gym.spec(env.spec.id).kwargs
    options = given_options(env.spec)
    modules = [*filter(None, [module]), *_modules_to_import(registered.get("task"))]
    try:
        return json.dumps({"id": env.spec.id, "options": options, "goals": list(goals), "import": modules})
    except TypeError as error:
        raise _CannotBeMadeElsewhere("because its options are objects") from error


def _traces_of_fresh_process(request: str, hash_seed: str) -> list[str]:
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", TRACE_PROGRAM],
        input=request,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])  # the module may have printed lines of its own
    last = (done.stderr.strip().splitlines() or ["no word"])[-1]
    if last.startswith(CANNOT_BE_MADE):
        raise _CannotBeMadeElsewhere(f"which {last}")
    raise RuntimeError(last)


def _modules_to_import(task: Any) -> list[str]:
    """The module that defines, and so registers, a user's task."""
    if isinstance(task, str):
        return []
    module = getattr(task, "__module__", "__main__")
    if module == "__main__":
        raise _CannotBeMadeElsewhere("because the main program defines the task")
    return [module]


def _first_difference(first: Sequence[str], second: Sequence[str]) -> str:
    for a, b in zip("\n".join(first).splitlines(), "\n".join(second).splitlines(), strict=False):
        if a != b:
            where = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            return f"{a[max(0, where - 20) : where + 40]!r} against {b[max(0, where - 20) : where + 40]!r}"
    return "one trace is longer"


# Leaks


def _leaks(env: gym.Env[Any, Any], goals: Sequence[Trial]) -> Check:
    """No secret where only the environment speaks, at any turn of conversations with random replies.

    In words: not in a system message, not in ``info`` beside the messages. From the menu, where secrets would be
    numbers: whenever two conversations sound alike, word for word, what the agent is shown must be alike too.
    """
    name, expected = "no goal leaks", "a goal's values only in what the partner or a tool says"
    task = task_of(env)
    secrets = {goal_id: task.secrets(task.goal(goal_id)) for goal_id, _ in goals}
    if not any(secrets.values()):
        return Check(name, NOT_APPLICABLE, expected, "the task declares no secrets (Task.secrets)")
    leak = _leaks_in_words(env, goals, secrets) or (_leaks_in_numbers(env, goals) if task.menu else "")
    kept = f"{sum(map(len, secrets.values()))} secrets of {len(goals)} goals kept"
    return Check(name, FAIL if leak else PASS, expected, leak or kept)


def _leaks_in_words(env: gym.Env[Any, Any], goals: Sequence[Trial], secrets: dict[str, Sequence[str]]) -> str:
    talk = remake(env, interface="text", split="test")
    always = talk.unwrapped.conversation.instructions  # type: ignore[attr-defined]  # the same for every goal
    for goal_id, _, info in _walk(talk, goals):
        system = [m["content"].removeprefix(always) for m in info["messages"] if m["role"] == "system"]
        places = {
            "a system message": " ".join(system),
            "info": repr([(key, value) for key, value in info.items() if key not in ("messages", "goal_id", "task")]),
        }
        for place, text in places.items():
            for secret in secrets[goal_id]:
                if _says(text, secret):
                    return f"goal {goal_id}: {secret!r} stands in {place}"
    return ""


def _leaks_in_numbers(env: gym.Env[Any, Any], goals: Sequence[Trial]) -> str:
    menu = remake(env, interface="choices", split="test")
    shown: dict[str, tuple[str, str]] = {}
    for goal_id, summary, info in _walk(menu, goals):
        heard = repr(menu.unwrapped.messages)  # type: ignore[attr-defined]
        seen = repr((np.asarray(summary).tolist(), info["action_mask"].tolist()))
        before = shown.setdefault(heard, (seen, goal_id))
        if before[0] != seen:
            return f"goals {before[1]} and {goal_id} sound alike and look different: {before[0]}, {seen}"
    return ""


def _walk(env: gym.Env[Any, Any], goals: Sequence[Trial]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Goal, observation and info of every turn of a conversation about each goal, with random replies."""
    env.action_space.seed(0)
    for goal_id, seed in goals:
        observation, info = env.reset(seed=seed, options={"goal_id": goal_id})
        over = False
        while not over:
            yield goal_id, observation, info
            observation, _, terminated, truncated, info = env.step(env.action_space.sample(*_mask(info)))
            over = terminated or truncated


def _mask(info: dict[str, Any]) -> tuple[Any, ...]:
    return (info["action_mask"],) if "action_mask" in info else ()


def _says(text: str, secret: str) -> bool:
    """``text`` contains the words of ``secret`` in a row."""
    words, wanted = _spaced(text), _spaced(secret)
    return bool(wanted.strip()) and wanted in words


def _spaced(text: str) -> str:
    words = "".join(character if character.isalnum() else " " for character in text.lower()).split()
    return f" {' '.join(words)} "


# Difficulty


def _difficulty(env: gym.Env[Any, Any], goals: Sequence[Trial]) -> Check:
    """The rule's success falls from end to end, and never rises by more than chance explains on the way."""
    name, expected = "difficulty rises with noise", f"success falls from noise {NOISES[0]:g} to {NOISES[-1]:g}"
    if "rule" not in task_of(env).policies:
        return Check(name, NOT_APPLICABLE, expected, "the task has no rule policy")
    if not _takes_noise(env):
        return Check(name, NOT_APPLICABLE, expected, f"the task has no keyword argument 'noise' up to {NOISES[-1]:g}")
    outcomes = []
    for noise in NOISES:
        harder = remake(env, noise=noise)
        outcomes.append(score(make_agent("rule", harder), harder, goals).success.astype(float))
    rises = [_is_rise(later - earlier) for earlier, later in itertools.pairwise(outcomes)]
    falls = outcomes[-1].mean() < outcomes[0].mean() and not any(rises)
    found = ", ".join(f"{noise:g}: {outcome.mean():.3f}" for noise, outcome in zip(NOISES, outcomes, strict=True))
    return Check(name, PASS if falls else FAIL, expected, found)


def _is_rise(differences: np.ndarray) -> bool:
    """The mean of paired differences exceeds two of its standard errors."""
    return float(differences.mean()) > 2 * float(differences.std()) / len(differences) ** 0.5


def _takes_noise(env: gym.Env[Any, Any]) -> bool:
    try:
        for noise in NOISES:
            remake(env, noise=noise)
    except (TypeError, ValueError):  # no such argument, or one that does not go that far
        return False
    return True
