"""Conversations that a comparison has played, graded again: by another reward, or by a task that was mended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym

from ..envs import Task, remake, without_module
from ..rewards import ComposedReward, resolve
from ..rewards.base import RewardSpec
from .compare.arms import ARM_FILE, FLUENCY_FILE
from .compare.conversations import (
    CONVERSATIONS_FILE,
    LAST_CONVERSATIONS_FILE,
    Conversations,
    read_conversations,
    transcripts_of,
)
from .compare.run import RESULTS_FILE, SETTINGS_FILE, as_json
from .grading import grading
from .rating.judges import judges_in
from .replay import check_judged, replay, say_again
from .report.results import read_results, results_of, write_results
from .score import goals_hash, in_json, made

CHUNK = 256
"""Transcripts that a reward is given at once."""


def rescore(
    folder: str | Path,
    reward: RewardSpec | None = None,
    out: str | Path | None = None,
    success: bool = False,
    env_id: str | None = None,
) -> dict[str, Any]:
    """The comparison in ``folder`` graded again without agents playing: ``results.json`` and the reports anew.

    Turns and whatever else does not hang on what is graded stay as they were; so do the learning curves, whose returns
    and validations are those that the agents learned from. Agents are not trained for the new reward.

    Args:
        folder: that ``compare`` wrote.
        reward: a registered name, a reward, or a dict of them with their weights; None is the comparison's own.
        out: folder of the new report; None is ``rescored`` in ``folder``.
        success: judge success anew too, by the task as it is now: what agents said is said to it again, see
            :mod:`~dialogym.evaluation.replay`. Returns then are of the conversations as they go now; pass^k is left
            out, since conversations under other noise were not kept. Without it success is that of the version which
            played.
        env_id: that of the comparison as ``module:id``, where nobody has imported the module yet that registers it, or
            the reward.

    Returns:
        The results, as in ``results.json``; "rescored" says what they were graded by before, and how many verdicts of
        each arm changed.

    Raises:
        ImportError: for a module that there is not.
        FileNotFoundError: for a folder without a comparison, or one of a version that did not keep conversations.
        ValueError: for another ``env_id``, if the task has other goals by now, if ``out`` holds a comparison, for an
            unknown reward, or if conversations would go otherwise now, so that success cannot be judged anew; if a
            version played them that did not keep what they fill into their goals.
        RewardError: if the reward fails on a transcript.
    """
    folder = Path(folder)
    if reward is None and not success:
        raise ValueError("expected a reward, or success=True to judge success anew, got neither")
    out = folder / "rescored" if out is None else Path(out)
    if not (folder / RESULTS_FILE).is_file():
        raise FileNotFoundError(f"{folder} holds no {RESULTS_FILE}: expected a folder of `dialogym compare`")
    if (out / SETTINGS_FILE).is_file():
        raise ValueError(f"{out} holds a comparison: choose another folder for the new report")
    before = read_results(folder / RESULTS_FILE)
    if env_id is not None and without_module(env_id) != before["env"]["id"]:
        raise ValueError(f"{folder} compares in {before['env']['id']}, got {env_id}")
    if reward is not None:
        resolve(reward)
    env = _env(before, reward)
    records, changed = _records(folder, before, env, success)
    core: Any = env.unwrapped
    graded, now = grading(core.task, core.reward), core.task.version
    was = before["settings"].get("grading")
    if was is not None and not success:
        graded["task"] = was["task"]  # success is that of the version which played
    settings = {**before["settings"], "grading": graded}
    facts = {**{name: before[name] for name in ("env", "goals", "task", "provenance")}, "settings": settings}
    facts["sample_goals"] = [{name: one[name] for name in ("goal_id", "goal")} for one in before["samples"]]
    facts["slices"] = before.get("slices", {})
    facts["judges"] = as_json(judges_in(core.reward))
    results = results_of(records, _fluency(folder), facts, before["left_out"])
    results["rescored"] = {
        "folder": str(folder),
        "before": was,
        "reward_changed": was is None or was["reward"] != graded["reward"],
        "task_version_now": now,
        "changed_verdicts": changed if success else None,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_results(results, out / RESULTS_FILE)
    from .report.page import write_reports

    write_reports(results, out)
    return results


# The comparison


def _env(results: Mapping[str, Any], reward: RewardSpec | None) -> gym.Env[Any, Any]:
    """The environment that a comparison was about, as it is now, with the reward to score by."""
    env_id, kwargs = results["env"]["id"], results["env"]["kwargs"]
    if env_id not in gym.registry:
        raise ValueError(
            f"{env_id} is not registered: import the module that does first, as --env MODULE:{env_id} does on the "
            "command line"
        )
    registered = as_json(gym.registry[env_id].kwargs)  # as results have them, where a class is its text
    options = {name: value for name, value in kwargs.items() if name not in registered or registered[name] != value}
    if "task" in options:
        raise ValueError(f"the results name the task {options['task']!r}, which is not that of {env_id}: not called")
    own = options.pop("reward", None)  # as text, where it was an object
    if reward is None and own is not None:
        try:
            resolve(own)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"the comparison was graded by {own}, which no file holds: give the reward, or import the module that "
                f"registers it, as --env MODULE:{env_id} does on the command line"
            ) from error
        reward = own
    if reward is not None:
        options["reward"] = reward
    return made(env_id, **options, interface="text", split="test")


def _records(
    folder: Path, before: Mapping[str, Any], env: gym.Env[Any, Any], success: bool
) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """The records of the arms, by name, graded anew; and how many verdicts of each arm that is reported changed."""
    core: Any = env.unwrapped
    records: dict[str, list[Any]] = {}
    changed: dict[str, int] = {}
    for key, arm in before["settings"]["arms"].items():
        path = folder / "agents" / key / ARM_FILE
        if not path.is_file():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        for part, file in (("best", CONVERSATIONS_FILE), ("last", LAST_CONVERSATIONS_FILE)):
            if record[part] is not None:
                played = read_conversations(path.with_name(file))
                _check_goals(path.with_name(file), played, core.task, before["goals"]["hash"])
                if success:
                    differing = _judge(record[part], played, env, path.with_name(file))
                    if part == "best":
                        changed[key] = differing
                else:
                    _check_filled(path.with_name(file), played, env)
                    record[part]["return"] = returns_of(played, core.task, core.reward)
        if success:
            record["noise"] = []
        records.setdefault(arm["name"], []).append(record)
    return records, changed


def _judge(scores: dict[str, Any], played: Conversations, env: gym.Env[Any, Any], path: Path) -> int:
    """Puts the verdicts of the task as it is now into the scores; how many are others than before."""
    verdicts = replay(played, env, len(scores.get("conversations", ())))
    check_judged(str(path), played, verdicts)
    differing = sum(now != before for now, before in zip(verdicts.success, scores["success"], strict=True))
    scores.update({"success": verdicts.success, "return": verdicts.returns, "turns": verdicts.turns})
    scores.pop("blame", None)  # whose fault failures were, which are others now
    if verdicts.conversations:
        scores["conversations"] = verdicts.conversations
    return differing


def _check_goals(path: Path, played: Conversations, task: Task, expected: str) -> None:
    found = goals_hash(task, played.goals)
    if found != expected:
        raise ValueError(
            f"{path}: the goals of {task.name} are others by now (SHA-256 {found:.12} instead of {expected:.12}): "
            "the task or its data has changed, so that these conversations can no longer be scored"
        )


def _check_filled(path: Path, played: Conversations, env: gym.Env[Any, Any]) -> None:
    """Refuses conversations of a version that did not keep what they filled into their goals, where they do so."""
    core: Any = env.unwrapped
    if all(kept.filled is not None for kept in played.kept) or core.conversation.partner_factory is not None:
        return
    again: Any = remake(env, reward="sparse")
    for trial, kept in zip(played.goals, played.kept, strict=True):
        say_again(again, trial, kept)
        if in_json(again.unwrapped.transcript.goal) != in_json(core.task.goal(trial[0])):
            raise ValueError(
                f"{path}: conversations of {core.task.name} fill something into their goals that rewards may read, and "
                "an earlier version did not keep it. Score the agents anew: delete the arm.json beside it and repeat "
                "the command of the comparison"
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
