"""The arms of a comparison: which agents, with how much training, and what is kept of each."""

from __future__ import annotations

import dataclasses
import filecmp
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from ...agents.base import AGENT_FILE, BEST, LAST, Agent
from ...agents.files import atomic_folder, atomic_write, existing_folder
from ...agents.registry import load_agent, make_agent
from ...agents.training.energy import GpuEnergy
from ...agents.training.log import LOG_FILE, joules_of, log_file, read_log
from ...agents.training.progress import Pace
from ...agents.training.stages import keep_stages
from ...envs import make_to_play
from ..contenders import (
    ALGORITHMS,
    BY_NAME,
    CONTENDERS,
    DEMONSTRATIONS,
    LABELLED_TEXTS,
    LABELS,
    MENU,
    PPO,
    RULE,
    TURNS,
    Contender,
    takes_part,
)
from ..score import FrozenGoals, Scores, score, with_noise
from .conversations import CONVERSATIONS_FILE, LAST_CONVERSATIONS_FILE, write_conversations
from .provenance import commit
from .scheduler import Report
from .speech import MAX_REPLIES, measures, spoken

if TYPE_CHECKING:
    from ...agents.language_model.model import LanguageModel

ARM_FILE = "arm.json"
FLUENCY_FILE = "fluency.json"
SPEAKERS = frozenset(contender.agent for contender in CONTENDERS if contender.is_language_model)
"""Agents that are language models."""
NUM_CONVERSATIONS = 3
"""Conversations of each agent that a report shows: those about the first goals of the list."""


@dataclass(frozen=True)
class Preset:
    """How thorough a comparison is.

    Attributes:
        num_goals: test goals.
        num_validation_goals: goals that models are chosen on.
        num_seeds: training seeds.
        env_turns: of each agent that learns by reinforcement; the language models' budget is counted with the turns of
            the demonstrations they started from, so that those from scratch and those from SFT have equally many.
        demonstrations: that SFT imitates.
        demonstration_curve: other numbers of demonstrations, to draw SFT's success against.
        num_noise_seeds: that pass^k is measured over, on ``num_noise_goals`` of the test goals.
        labels: labelled texts that a BERT-like classifier learns from, where the task has labels; 0 leaves it out.
        config: settings of agents, by name in the registry; those by name of a contender go before them.
        name: what reports call it.
        model: folder or name of the pretrained language model that takes part in place of the small one, if any.
        demonstrations_count: whether the turns of the demonstrations count as turns of who starts from them.
        conversations_at_once: that are played side by side when agents are scored.
        is_sized: the numbers are those of one environment, not to be adapted to it any more.
    """

    num_goals: int
    num_validation_goals: int
    num_seeds: int
    env_turns: Mapping[str, int]
    demonstrations: int
    demonstration_curve: tuple[int, ...] = ()
    num_noise_seeds: int = 1
    num_noise_goals: int = 100
    labels: int = 0
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    name: str = "own"
    model: str | None = None
    demonstrations_count: bool = True
    conversations_at_once: int = 128
    is_sized: bool = False


PRESETS: dict[str, Preset] = {
    "quick": Preset(
        num_goals=500,
        num_validation_goals=100,
        num_seeds=1,
        env_turns={"q_learning": 300_000, "sb3_ppo": 150_000, "ppo": 20_000},
        demonstrations=170,
        demonstration_curve=(100, 240),
        num_noise_seeds=4,
        labels=1000,
        name="quick",
    ),
    "full": Preset(
        num_goals=1000,
        num_validation_goals=200,
        num_seeds=3,
        env_turns={"q_learning": 500_000, "sb3_ppo": 400_000, "ppo": 60_000},
        demonstrations=170,
        demonstration_curve=(50, 100, 200, 400),
        num_noise_seeds=4,
        num_noise_goals=250,
        labels=4000,
        name="full",
    ),
}


def with_algorithms(preset: Preset, algorithms: Sequence[str]) -> Preset:
    """``preset`` with other algorithms beside PPO, from the same SFT, with as many turns and their own defaults.

    Args:
        preset: of the small language model.
        algorithms: among ``ALGORITHMS``.

    Raises:
        ValueError: for another algorithm, or a preset without PPO.
    """
    unknown = [name for name in algorithms if name not in ALGORITHMS]
    if unknown:
        raise ValueError(f"also must be among {', '.join(ALGORITHMS)}, got {', '.join(unknown)}")
    if not algorithms:
        return preset
    if preset.model is not None or PPO not in preset.env_turns:
        raise ValueError(f"also puts algorithms beside PPO, and preset {preset.name!r} has none")
    turns = dict.fromkeys(algorithms, preset.env_turns[PPO])
    return dataclasses.replace(preset, env_turns={**preset.env_turns, **turns})


@dataclass(frozen=True)
class Arm:
    """One agent of one seed.

    Attributes:
        name: in reports.
        agent: in the registry.
        seed: of its training.
        trains: False for agents that are scored as they are made.
        config: settings that differ from the agent's defaults.
        start_from: key of the arm whose weights it starts from.
        turns_left: the turns of what it starts from count as its own.
        section: "agents" for the table, "curve" for the curve over the number of demonstrations.
    """

    name: str
    agent: str
    seed: int = 0
    trains: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    start_from: str | None = None
    turns_left: bool = True
    section: str = "agents"

    @property
    def key(self) -> str:
        """What it is called among the jobs, and its folder among the agents."""
        return f"{self.name}/seed-{self.seed}"


def arms_of(preset: Preset, seed: int) -> list[Arm]:
    """Every arm of a preset; those that others wait for, and the long ones, come first."""
    trained = [one for one in _in_turn(CONTENDERS) if one.learns_from is not None and _has_place(one, preset)]
    seeds = range(seed, seed + preset.num_seeds)
    arms = [_arm(one, preset, number) for number in seeds for one in trained if _speaks(one)]
    for one in trained:
        if one.learns_from == DEMONSTRATIONS:
            arms += [
                _curve_arm(one, preset, count, number)
                for count in sorted(preset.demonstration_curve, reverse=True)
                for number in seeds
            ]
    arms += [_arm(one, preset, number) for one in trained if not _speaks(one) for number in seeds]
    return arms + [_arm(one, preset, seed) for one in CONTENDERS if one.learns_from is None and _has_place(one, preset)]


def _speaks(contender: Contender) -> bool:
    return contender.is_language_model or contender.is_pretrained


def _in_turn(contenders: Sequence[Contender]) -> list[Contender]:
    """Those at the end of the table first, for they take longest; before them what they start from."""
    found: dict[str, Contender] = {}
    for one in reversed(contenders):
        if one.starts_from is not None:
            found.setdefault(one.starts_from, BY_NAME[one.starts_from])
        found.setdefault(one.name, one)
    return list(found.values())


def _has_place(contender: Contender, preset: Preset) -> bool:
    """A preset has one language model, small or pretrained; one without turns or texts for an agent leaves it out."""
    if not takes_part(contender, preset.model is not None):
        return False
    if contender.learns_from == TURNS:
        return (contender.turns_of or contender.agent) in preset.env_turns
    return contender.learns_from != LABELLED_TEXTS or preset.labels > 0


def _amount(contender: Contender, preset: Preset) -> int:
    """How much a trained contender learns from, in turns, demonstrations or labelled texts."""
    if contender.learns_from == TURNS:
        return preset.env_turns[contender.turns_of or contender.agent]
    return preset.demonstrations if contender.learns_from == DEMONSTRATIONS else preset.labels


def _arm(contender: Contender, preset: Preset, seed: int) -> Arm:
    config = dict(preset.config.get(contender.name, preset.config.get(contender.agent, {})))
    if contender.learns_from is None:
        return Arm(contender.name, contender.agent, seed, False, config)
    config[contender.learns_from] = _amount(contender, preset)
    before = None if contender.starts_from is None else f"{contender.starts_from}/seed-{seed}"
    return Arm(contender.name, contender.agent, seed, True, config, before, preset.demonstrations_count)


def _curve_arm(contender: Contender, preset: Preset, count: int, seed: int) -> Arm:
    arm = _arm(contender, preset, seed)
    config = {**arm.config, DEMONSTRATIONS: count}
    return dataclasses.replace(arm, name=f"{contender.name}_{count}", config=config, section="curve")


@dataclass(frozen=True)
class Plan:
    """What all arms of a comparison share; it travels to their processes.

    Attributes:
        spec: of the environment, as registered.
        options: keyword arguments of ``gym.make``.
        goals, validation_goals: frozen lists.
        num_noise_seeds, num_noise_goals: of pass^k.
        out: folder of the comparison.
        speech: settings of the small language model that suit the environment; those of an arm come before them.
        judge: folder or name of the language model that fluency is measured with; None is one of the task's own words.
        conversations_at_once: when agents are scored.
    """

    spec: EnvSpec
    options: Mapping[str, Any]
    goals: FrozenGoals
    validation_goals: FrozenGoals
    num_noise_seeds: int
    num_noise_goals: int
    out: Path
    speech: Mapping[str, Any] = field(default_factory=dict)
    judge: str | None = None
    conversations_at_once: int = 128

    def env(self, split: str) -> gym.Env[Any, Any]:
        """The environment, in this process."""
        if self.spec.id not in gym.registry:  # a task of the user's, registered in the parent only
            gym.registry[self.spec.id] = self.spec
        return make_to_play(self.spec.id, **{**self.options, "split": split})

    def folder(self, key: str) -> Path:
        """Where an arm keeps its files."""
        return self.out / "agents" / key


# In the arm's process


def run_arm(arm: Arm, plan: Plan, *, report: Report) -> str:
    """Trains an arm, goes on with what an interrupted one left, scores it, and leaves its record in its folder.

    Returns:
        How it went, in a few words.
    """
    began = time.perf_counter()
    folder = plan.folder(arm.key)
    agent, inherited, log = trained(arm, plan, report)
    last = _last(folder, plan) if arm.trains else None
    record = {
        "arm": dataclasses.asdict(arm),
        "budget": dataclasses.asdict(agent.budget),
        "inherited": inherited,
        "model": model_facts(agent),
        "log": log,
        "best": _scored(agent, arm, plan, report, "scoring", folder / CONVERSATIONS_FILE),
        "last": None
        if last is None
        else _scored(last, arm, plan, report, "scoring the last", folder / LAST_CONVERSATIONS_FILE, in_short=True),
        "noise": _under_noise(agent, plan, report),
        "seconds": time.perf_counter() - began,
        "commit": commit(),
    }
    (plan.out / FLUENCY_FILE).unlink(missing_ok=True)  # of what an earlier run of this arm said
    atomic_write(folder / ARM_FILE, json.dumps(record, allow_nan=False) + "\n")
    if arm.config.get("model") is not None:
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)  # two more copies of a large model
    return f"success {np.mean(record['best']['success']):.3f}"


def trained(arm: Arm, plan: Plan, report: Report) -> tuple[Agent, dict[str, Any] | None, list[dict[str, Any]]]:
    """The agent of an arm after its training, which goes on with what an interrupted one left in the arm's folder.

    Returns:
        The agent, which is also saved in the folder as "agent"; the budget of the arm it starts from, if any; and the
        rows of its log, none for an agent that does not train.
    """
    folder = plan.folder(arm.key)
    folder.mkdir(parents=True, exist_ok=True)
    agent, inherited = _make(arm, plan)
    return agent, inherited, _train(agent, arm, plan, folder, report) if arm.trains else []


def read_record(plan: Plan, key: str) -> dict[str, Any] | None:
    """What ``run_arm`` left, or None where the arm is not finished."""
    path = plan.folder(key) / ARM_FILE
    return json.loads(path.read_text()) if path.is_file() else None


def _make(arm: Arm, plan: Plan) -> tuple[Agent, dict[str, Any] | None]:
    """The agent before training, and the budget of the arm it starts from."""
    config, inherited = dict(arm.config), None
    if arm.agent in SPEAKERS and config.get("model") is None:
        config = {**plan.speech, **config}
    if arm.start_from is not None:
        before = read_record(plan, arm.start_from)
        assert before is not None, f"{arm.key} starts from {arm.start_from}, which is not finished"
        inherited = before["budget"]
        config = {name: value for name, value in config.items() if name not in ("model", "tokenizer")}
        config["init"] = str(plan.folder(arm.start_from) / "agent")  # which has both
        if arm.turns_left:
            config["env_turns"] = max(1, config["env_turns"] - inherited["env_turns"])
    return make_agent(arm.agent, plan.env("train"), seed=arm.seed, **config), inherited


def _train(agent: Agent, arm: Arm, plan: Plan, folder: Path, report: Report) -> list[dict[str, Any]]:
    """Learns, with a log on disk, and saves what it has become; returns the log."""
    checkpoint = folder / "checkpoint"
    resume = existing_folder(checkpoint / LAST) is not None
    env, validation_env = plan.env("train"), plan.env("validation")
    before = read_log(folder / LOG_FILE) if resume and (folder / LOG_FILE).is_file() else []
    pace = Pace(agent.budget, resume, GpuEnergy.of_this_machine(), joules_of(before))

    def validate(candidate: Agent) -> float:
        report({"stage": "validating"})
        goals, size = plan.validation_goals.goals, plan.conversations_at_once
        return float(score(candidate, validation_env, goals, split="validation", batch_size=size).success.mean())

    with log_file(folder / LOG_FILE, resume) as write:

        def log(row: dict[str, Any]) -> None:
            row = pace.measured(row, agent.budget)
            write(row)
            report({"stage": "training", "row": row, "share": _share(row, arm), "left": pace.seconds_left(row)})

        agent.learn(env, log=log, validate=validate, checkpoint=checkpoint, resume=resume)
    rows = read_log(folder / LOG_FILE)
    with atomic_folder(folder / "agent") as draft:
        agent.save(draft)
        keep_stages(draft, rows)
    return rows


def _share(row: Mapping[str, Any], arm: Arm) -> float:
    """How much of the training is over."""
    if row.get("progress") is not None:
        return float(row["progress"])
    return min(1.0, row["env_turns"] / arm.config["env_turns"]) if "env_turns" in arm.config else 0.0


def _last(folder: Path, plan: Plan) -> Agent | None:
    """The agent where training stopped, unless it is the very one that validation chose."""
    best, last = (existing_folder(folder / "checkpoint" / name) for name in (BEST, LAST))
    if best is None or last is None or _same_files(best, last):
        return None
    return load_agent(last, env=plan.env("test"))


def _same_files(best: Path, last: Path) -> bool:
    names = [str(path.relative_to(best)) for path in best.rglob("*") if path.is_file() and path.name != AGENT_FILE]
    return bool(names) and not any(filecmp.cmpfiles(best, last, names, shallow=False)[1:])


def _scored(
    agent: Agent, arm: Arm, plan: Plan, report: Report, stage: str, keep: Path, in_short: bool = False
) -> dict[str, Any]:
    goals = plan.goals.goals

    def progress(num_over: int) -> None:
        report({"stage": stage, "share": num_over / len(goals)})

    scores = score(
        agent, plan.env("test"), goals, split="test", batch_size=plan.conversations_at_once, progress=progress
    )
    core: Any = plan.env("test").unwrapped
    write_conversations(keep, scores, goals, core.max_turns, core.task.num_parts)
    if in_short:
        return _in_numbers(scores)
    report({"stage": "measuring its replies"})
    return {
        **_in_numbers(scores),
        **measures(scores, agent),
        **in_its_own_eyes(agent, arm, plan, scores),
        "replies": scores.replies[:MAX_REPLIES],
        "conversations": scores.conversations[:NUM_CONVERSATIONS],
        "labels": _in_labels(agent, plan, scores),
    }


def _in_numbers(scores: Scores) -> dict[str, Any]:
    return {
        "success": scores.success.astype(int).tolist(),
        "return": scores.returns.tolist(),
        "turns": scores.turns.tolist(),
        "invalid_rate": scores.invalid_rate,
        "blame": scores.blame(),
    }


def in_its_own_eyes(agent: Agent, arm: Arm, plan: Plan, scores: Scores) -> dict[str, Any]:
    """What the agent itself says of its conversations, as it wrote and read them: placeholders are not filled in.

    Returns:
        "estimates", which may tell its success: its critic's values at the beginning, the log-probabilities of its
        tokens; "kl", see :class:`~.speech.Spoken`.
    """
    estimates = {} if scores.values is None else {"value": scores.values.tolist()}
    lm: LanguageModel | None = getattr(agent, "lm", None)
    if lm is None:
        return {"kl": None, "estimates": estimates}
    written = [[{"role": role, "content": content} for role, content in kept.messages] for kept in scores.kept]
    found = spoken(lm, written, _start(agent, lm, arm, plan))
    return {"kl": found.kl, "estimates": {**estimates, "tokens": found.logprobs}}


def _start(agent: Agent, lm: LanguageModel, arm: Arm, plan: Plan) -> LanguageModel | None:
    """What a trained language model started as; None where that was random weights, or where it was not trained."""
    if not arm.trains:
        return None
    from ...agents.language_model.model import LanguageModel

    if getattr(agent.config, "lora_rank", None) is not None:
        return lm.frozen_copy()  # with its adapter off
    folder = arm.config.get("model") if arm.start_from is None else plan.folder(arm.start_from) / "agent"
    return None if folder is None else LanguageModel.load(folder)


def _in_labels(agent: Agent, plan: Plan, scores: Scores) -> dict[str, Any] | None:
    """Accuracy, macro F1 and, of a classifier, calibration; None where the task has no labels."""
    task: Any = plan.env("test").unwrapped.task  # type: ignore[attr-defined]
    if not is_labelled(task):
        return None
    from ..labels import label_scores

    numbers = {label: number for number, label in enumerate(task.labels)}
    said = [task.label_of(conversation[-1]["content"]) for conversation in scores.conversations]
    gold = [numbers[task.references(task.goal(goal_id))[0]] for goal_id, _ in plan.goals.goals]
    classifier = getattr(agent, "classifier", None)
    texts = [conversation[-2]["content"] for conversation in scores.conversations]
    probabilities = None if classifier is None else classifier.probabilities(texts)
    found = label_scores(gold, [numbers.get(label, -1) for label in said], task.labels, probabilities)
    return {"accuracy": found.accuracy, "macro_f1": found.macro_f1, "calibration_error": found.calibration_error}


def is_labelled(task: Any) -> bool:
    """The task's texts have gold labels, so that a classifier can learn them."""
    return hasattr(task, "labelled") and hasattr(task, "label_of")


def _under_noise(agent: Agent, plan: Plan, report: Report) -> list[list[int]]:
    """Outcomes of the first goals under each further noise seed; the first one is in the scores."""
    goals = plan.goals.goals[: plan.num_noise_goals]
    outcomes = []
    for number in range(1, plan.num_noise_seeds):
        report({"stage": "other noise", "share": number / plan.num_noise_seeds})
        again = score(
            agent, plan.env("test"), with_noise(goals, number), split="test", batch_size=plan.conversations_at_once
        )
        outcomes.append(again.success.astype(int).tolist())
    return outcomes


def model_facts(agent: Agent) -> dict[str, Any]:
    """What an agent is, for the provenance."""
    facts: dict[str, Any] = {"interface": agent.interface, "config": _config(agent)}
    lm = getattr(agent, "lm", None)
    if lm is not None:
        facts["class"] = type(lm.forward.base).__name__
        facts["parameters"] = int(lm.num_parameters)
    return facts


def _config(agent: Agent) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(agent.config), default=repr))


def _contender(arm: Arm) -> Contender:
    """Whose arm it is: of a row of the table, or of the curve that belongs to one."""
    return BY_NAME[arm.name if arm.section == "agents" else arm.name.rpartition("_")[0]]


def unfit(arms: Sequence[Arm], env: gym.Env[Any, Any]) -> dict[str, str]:
    """Arms that this environment has no place for, by name, and why."""
    task: Any = getattr(env.unwrapped, "task", None)
    reasons: dict[str, str] = {}
    lacks = {
        MENU: None if task.menu else "has no menu of replies",
        RULE: None if RULE in task.policies else "has no rule policy to play or to imitate",
        LABELS: None if is_labelled(task) else "has no labelled texts",
    }
    for arm in arms:
        for need in sorted(_contender(arm).needs):
            if lacks[need] is not None:
                reasons[arm.name] = f"{task.name} {lacks[need]}"
    for arm in arms:
        if arm.start_from is not None and arm.start_from.partition("/")[0] in reasons:
            reasons[arm.name] = f"it starts from {arm.start_from.partition('/')[0]}, which is left out"
    return reasons
