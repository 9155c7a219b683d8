"""The scores on an agent's card: on frozen goals, beside the rule and the floors, kept in the agent's folder."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from .. import __version__
from ..agents import load_agent, make_agent
from ..agents.base import Agent
from ..agents.files import EVALUATION_FILE, atomic_write, digest_of
from ..envs import remake
from ..envs.core.make import task_options
from ..envs.speakers import forget_speakers
from ..evaluation.digests import other_side_digests
from ..evaluation.grading import grading
from ..evaluation.rating.judges import judges_in
from ..evaluation.report.efficiency import ceiling_of, folder_efficiency
from ..evaluation.score import FrozenGoals, frozen_goals, score
from ..evaluation.statistics import bootstrap_interval, wilson_interval
from ..evaluation.validate import FLOORS

CEILING = "rule"
TRAINED = "this agent"


def environment_of(agent: Agent, env: gym.Env[Any, Any] | None) -> gym.Env[Any, Any]:
    """The environment given, or else the one that an agent was saved with."""
    return remake(agent.spec, interface=agent.interface) if env is None else env


def measure(
    folder: str | Path,
    env: gym.Env[Any, Any] | None = None,
    num_goals: int = 200,
    step: Callable[[str], None] = lambda doing: None,
    trust: bool = False,
) -> dict[str, Any]:
    """Scores the agent of a folder, the task's rule and its floors on the same test goals, and keeps them there.

    Args:
        folder: that an agent was saved to; gets ``evaluation.json``. Scores that are there already are taken where
            they are of the same agent, goals, version of task and reward, and files of a partner or opponent; what is
            known of the judges in the reward, and of what the training took, is noted anew.
        env: the environment; None is the one the agent was saved with.
        num_goals: how many; all, where the split has fewer.
        step: told who is scored next.
        trust: load it though the folder names code to import or a server to talk to.

    Returns:
        What ``evaluation.json`` holds.

    Raises:
        ValueError: if no agent was saved in ``folder``, or it does not know its environment.
    """
    folder, digest = Path(folder), digest_of(folder)
    forget_speakers()  # a partner that was trained anew since this process read it
    agent = load_agent(folder, env, trust)
    made = environment_of(agent, env)
    frozen = frozen_goals(made, "test", num_goals, seed=0)
    core: Any = made.unwrapped
    task = core.task
    about = {
        "agent_sha256": digest,
        "env": made.spec.id if made.spec else None,
        "options": _options(made.spec),
        "split": frozen.split,
        "goals": len(frozen.goals),
        "goals_sha256": frozen.hash,
        "grading": grading(task, core.reward),
        **(other_side_digests(made.spec.kwargs) if made.spec else {}),
    }
    kept = read_evaluation(folder)
    if kept is not None and all(kept.get(name) == value for name, value in about.items()):
        scored = kept
    else:
        scored = {**about, **_scored(agent, made, frozen, step)}
    rules = [row["success"][0] for name, row in scored["rows"].items() if name == CEILING]
    took = folder_efficiency(folder, made.spec, lambda: ceiling_of(rules, task.ceiling))
    told = {**scored, "judges": judges_in(core.reward), "what_it_took": took}
    if told != kept:
        atomic_write(folder / EVALUATION_FILE, json.dumps(told, indent=2) + "\n")
    return told


def _scored(agent: Agent, made: gym.Env[Any, Any], frozen: FrozenGoals, step: Callable[[str], None]) -> dict[str, Any]:
    """The scores of the agent, the rule and the floors, and when they were taken."""
    players: dict[str, Agent] = {TRAINED: agent}
    for name in dict.fromkeys((CEILING, *FLOORS)):
        if name == agent.name:
            continue
        try:
            players[name] = make_agent(name, made)
        except ValueError:
            continue  # a policy that this task does not bring along
    rows = {}
    for name, player in players.items():
        step(name)
        found = score(player, made, frozen.goals)
        rows[name] = {
            "success": list(wilson_interval(int(found.success.sum()), len(frozen.goals))),
            "return": list(bootstrap_interval(found.returns.astype(float), seed=0)),
            "turns": list(bootstrap_interval(found.turns.astype(float), seed=0)),
        }
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"dialogym": __version__, "date": now.date().isoformat(), "rows": rows}


def _options(spec: EnvSpec | None) -> dict[str, str]:
    """What was asked of an environment beside its id, as text; the reward is told apart."""
    asked = task_options(spec) if spec else {}
    return {name: f"{asked[name]!r:.60}" for name in sorted(asked) if name != "reward"}


def read_evaluation(folder: str | Path) -> dict[str, Any] | None:
    """What :func:`measure` kept in a folder, or None.

    Raises:
        ValueError: for a file that holds anything else.
    """
    path = Path(folder) / EVALUATION_FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
    except ValueError as e:
        raise ValueError(f"{path} holds no scores: {e}") from e
    if not isinstance(found, dict) or not isinstance(found.get("rows"), dict):
        raise ValueError(f"{path} holds no scores: expected an object with rows")
    return found


def is_of(evaluation: dict[str, Any], folder: str | Path) -> bool:
    """Whether scores are of the agent that is in a folder now."""
    return evaluation["agent_sha256"] == digest_of(folder)
