"""Another reward for conversations that a comparison has played: a new report without playing them again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym

from ..envs import Task
from ..rewards import ComposedReward, resolve
from ..rewards.base import RewardSpec
from .compare.arms import ARM_FILE
from .compare.conversations import (
    CONVERSATIONS_FILE,
    LAST_CONVERSATIONS_FILE,
    Conversations,
    read_conversations,
    transcripts_of,
)
from .compare.fluency import FLUENCY_FILE
from .compare.run import RESULTS_FILE, SETTINGS_FILE, as_json
from .grading import grading
from .rating.judges import judges_in
from .report.results import read_results, results_of, write_results
from .score import goals_hash, made, task_of

CHUNK = 256
"""Transcripts that a reward is given at once."""


def rescore(folder: str | Path, reward: RewardSpec, out: str | Path | None = None) -> dict[str, Any]:
    """The comparison in ``folder`` with the returns of another reward: ``results.json`` and the reports anew.

    Success, turns and whatever else does not hang on the reward stay as they were; so do the learning curves, whose
    returns are those that the agents learned from. Agents are not trained for the new reward.

    Args:
        folder: that ``compare`` wrote.
        reward: a registered name, a reward, or a dict of them with their weights.
        out: folder of the new report; None is ``rescored`` in ``folder``.

    Returns:
        The results, as in ``results.json``; "rescored" says what they were graded by before.

    Raises:
        FileNotFoundError: for a folder without a comparison, or one of a version that did not keep conversations.
        ValueError: if the task has other goals by now, if ``out`` holds a comparison, or for an unknown reward.
        RewardError: if the reward fails on a transcript.
    """
    folder, resolved = Path(folder), resolve(reward)
    out = folder / "rescored" if out is None else Path(out)
    if not (folder / RESULTS_FILE).is_file():
        raise FileNotFoundError(f"{folder} holds no {RESULTS_FILE}: expected a folder of `dialogym compare`")
    if (out / SETTINGS_FILE).is_file():
        raise ValueError(f"{out} holds a comparison: choose another folder for the new report")
    before = read_results(folder / RESULTS_FILE)
    task = _task(before)
    records = _records(folder, before, task, resolved)
    graded = grading(task, resolved)
    was = before["settings"].get("grading")
    if was is not None:
        graded["task"] = was["task"]  # success is that of the version which played
    settings = {**before["settings"], "grading": graded}
    facts = {**{name: before[name] for name in ("env", "goals", "task", "provenance")}, "settings": settings}
    facts["sample_goals"] = [{name: one[name] for name in ("goal_id", "goal")} for one in before["samples"]]
    facts["slices"] = before.get("slices", {})
    facts["judges"] = as_json(judges_in(resolved))
    results = results_of(records, _fluency(folder), facts, before["left_out"])
    results["rescored"] = {"folder": str(folder), "before": was}
    out.mkdir(parents=True, exist_ok=True)
    write_results(results, out / RESULTS_FILE)
    from .report.page import write_reports

    write_reports(results, out)
    return results


# The comparison


def _task(results: Mapping[str, Any]) -> Task:
    """The task that a comparison was about; it has to have the same goals still."""
    env_id, kwargs = results["env"]["id"], results["env"]["kwargs"]
    if env_id not in gym.registry:
        raise ValueError(f"{env_id} is not registered: import the package that registers it first")
    registered = as_json(gym.registry[env_id].kwargs)  # as results have them, where a class is its text
    options = {name: value for name, value in kwargs.items() if name not in registered or registered[name] != value}
    if "task" in options:
        raise ValueError(f"the results name the task {options['task']!r}, which is not that of {env_id}: not called")
    options.pop("reward", None)  # as text, where it was an object, and another one is asked for
    return task_of(made(env_id, **options))


def _records(folder: Path, before: Mapping[str, Any], task: Task, reward: ComposedReward) -> dict[str, list[Any]]:
    """The records of the arms, by name, with the returns of the reward."""
    records: dict[str, list[Any]] = {}
    for key, arm in before["settings"]["arms"].items():
        path = folder / "agents" / key / ARM_FILE
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        for part, file in (("best", CONVERSATIONS_FILE), ("last", LAST_CONVERSATIONS_FILE)):
            if record[part] is not None:
                played = read_conversations(path.with_name(file))
                _check_goals(path.with_name(file), played, task, before["goals"]["hash"])
                record[part]["return"] = returns_of(played, task, reward)
        records.setdefault(arm["name"], []).append(record)
    return records


def _check_goals(path: Path, played: Conversations, task: Task, expected: str) -> None:
    found = goals_hash(task, played.goals)
    if found != expected:
        raise ValueError(
            f"{path}: the goals of {task.name} are others by now (SHA-256 {found:.12} instead of {expected:.12}): "
            "the task or its data has changed, so that these conversations can no longer be scored"
        )


def _fluency(folder: Path) -> dict[str, float | None]:
    path = folder / FLUENCY_FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def returns_of(played: Conversations, task: Task, reward: ComposedReward) -> list[float]:
    """The return of each conversation: the sum of what the reward gives for its turns."""
    transcripts, places = [], []
    for place, ((goal_id, _), kept) in enumerate(zip(played.goals, played.kept, strict=True)):
        goal = task.goal(goal_id)
        found = list(transcripts_of(kept, goal, task.references(goal), played.max_turns, played.num_parts))
        transcripts += found
        places += [place] * len(found)
    returns = [0.0] * len(played.kept)
    for place, value in zip(places, _values(transcripts, reward), strict=True):
        returns[place] += value
    return returns


def _values(transcripts: Sequence[Any], reward: ComposedReward) -> list[float]:
    values = []
    for start in range(0, len(transcripts), CHUNK):
        values += [sum(terms.values()) for terms in reward.batch_terms(transcripts[start : start + CHUNK])]
    return values
