"""The command line: ``list``, ``rewards``, ``play``, ``rate``, ``train``, ``evaluate``, ``compare``, ``validate``,
``transfer``, ``partners``, ``aggregate``, ``rescore``, ``judge-quality``, ``export``, ``model``, ``serve``, ``card``,
``push``."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from . import __version__
from .cli_card import card, push
from .cli_common import (
    DEFAULT_ENV,
    INTERRUPTED,
    ConfigOption,
    EnvOption,
    LogOption,
    PlayedEnvOption,
    SeedOption,
    SetOption,
    TrainingSeedOption,
    TrustOption,
    console,
    core_of,
    env_for,
    errors,
    families,
    known_ids,
    make_env,
    options_beside_split,
    options_of,
    player_of,
    task_of,
)
from .cli_export import export
from .cli_model import model
from .cli_partners import partners
from .cli_rating import PREFERENCE, judge_quality, rate, train_preference_model
from .cli_scores import aggregate, rescore
from .cli_serve import serve
from .cli_transfer import transfer
from .envs import Task, bridged_ids, spec_of, task_class
from .rewards import EndpointError
from .rewards.suggestions import did_you_mean

app = typer.Typer(
    name="dialogym",
    help="Dialogue and text-generation environments, rewards and agents: how far does SFT get, and what does RL add?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
MAX_VALUE_CHARS = 80
"""Of a value of a goal, as it is shown."""
BAR_WIDTH = 16
"""Of a progress bar, in characters: there is room for what stands beside it."""
AGENT, CHECKPOINT = "agent", "checkpoint"
"""In the folder of a training."""
MISTAKES = (ValueError, TypeError, ImportError, gym.error.Error, OSError, FloatingPointError)


class Seat(str, Enum):
    """Which side of the conversation a person takes."""

    agent = "agent"
    user = "user"


class PresetName(str, Enum):
    """How thorough a comparison is."""

    quick = "quick"
    full = "full"
    pretrained = "pretrained"


def main() -> None:
    """Runs the command line; what a user did wrong is one line, not a traceback."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as nohup and a shell's background start it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path.append(os.getcwd())  # where the module of `module:Name-v0` is looked for too
    try:
        app()
    except (*MISTAKES, EndpointError) as e:
        errors.print(f"[bold red]Error:[/] {_plain(e)}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        errors.print("Interrupted.")
        raise SystemExit(INTERRUPTED) from None


def _plain(e: Exception) -> str:
    if isinstance(e, (FileExistsError, NotADirectoryError)) and e.filename:
        taken = next((path for path in (Path(e.filename), *Path(e.filename).parents) if path.is_file()), None)
        if taken is not None:
            return escape(f"expected a folder, got the file {str(taken)!r}")
    return escape(str(e).split(" was raised from the environment creator")[0])


def _show_version(asked: bool) -> None:
    if asked:
        console.print(f"dialogym {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Dialogue and text-generation environments, rewards and agents: how far does SFT get, and what does RL add?"""


@app.command("list")
def list_(
    family: Annotated[
        str | None, typer.Argument(help="Another project, such as reasoning_gym: all of its tasks instead.")
    ] = None,
) -> None:
    """List the environments and the agents, or all tasks of another project."""
    from dialogym.agents import registry

    if family is not None:
        _list_family(family)
        return
    caption = "Every one has the interfaces text and tokens, and one with a menu also choices."
    table = Table("environment", "menu", "ceiling", "floor", "extras", title="Environments", caption=caption)
    for id in known_ids():
        task = task_of(id)
        menu = f"{len(task.menu)} replies" if task.menu else "–"
        table.add_row(id, menu, f"{task.ceiling:g}", f"{task.floor:g}", task.extras or "–")
    console.print(table)
    for name, count in families().items():
        console.print(f"{name}/*: {count} tasks, see `dialogym list {name}`", highlight=False)
    table = Table("agent", "plays", "learns", "what it is", title="Agents")
    for row in registry.describe_agents():
        table.add_row(*row)
    console.print(table)


def _list_family(family: str) -> None:
    """A table of the tasks of another project, with the keyword arguments of each where it is installed."""
    from inspect import signature

    table = Table("environment", "keyword arguments", title=f"{family}/*")
    for id in bridged_ids(family):
        try:
            arguments = ", ".join(signature(task_class(id)).parameters)
        except ImportError as error:
            table.caption, arguments = escape(str(error)), ""
        except ValueError as error:
            arguments = str(error)
        table.add_row(id, escape(arguments))
    console.print(table)


@app.command()
def rewards() -> None:
    """List the rewards that have a name."""
    from dialogym.rewards.registry import describe_reward_kinds, describe_rewards

    table = Table("reward", "what it is", title="Rewards")
    for name, about in [*describe_rewards(), *describe_reward_kinds()]:
        table.add_row(escape(name), escape(about))
    console.print(table)


@app.command()
def play(
    env: EnvOption = DEFAULT_ENV,
    as_: Annotated[
        Seat,
        typer.Option(
            "--as",
            help="Your seat: the agent's, or the user's against AGENT, in TextDialog-v0 or a task of your own that "
            "gives `person`.",
        ),
    ] = Seat.agent,
    agent: Annotated[
        str, typer.Option(help="Who you talk to with --as user: a name, or a folder of a trained one.")
    ] = ("rule"),
    set_: SetOption = None,
    seed: SeedOption = 0,
    trust: TrustOption = False,
) -> None:
    """Talk: as the agent with a simulated user, or as the user with an agent."""
    options = options_of(set_)
    if as_ is Seat.user:
        _play_as_user(env, agent, options, seed, trust)
    else:
        _play_as_agent(env, options, seed)


def _play_as_agent(env_id: str, options: dict[str, Any], seed: int) -> None:
    from dialogym.agents.registry import make_agent

    made = make_env(env_id, **{"interface": "text", **options})
    person = make_agent("human", made, seed=seed)
    observation, info = made.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        observation, reward, terminated, truncated, info = made.step(person.act(observation, info))
        total += float(reward)
        ended = terminated or truncated
    core = core_of(made)
    console.print(Text(core.transcript.spoken_messages[-1]["content"]))
    verdict = "[green]success[/]" if info["success"] else "[red]no success[/]"
    wanted = escape(goal_in_words(core.transcript.goal))
    console.print(f"\n{verdict}, return {total:g} after {info['turn']} turns. The user wanted: {wanted}")


def goal_in_words(goal: Mapping[str, Any]) -> str:
    """What a goal holds in words and numbers, each value at most ``MAX_VALUE_CHARS`` long; objects are left out."""
    shown = {name: repr(value) for name, value in goal.items() if _is_plain(value)}
    return ", ".join(
        f"{name}: {value if len(value) <= MAX_VALUE_CHARS else value[: MAX_VALUE_CHARS - 3] + '...'}"
        for name, value in shown.items()
    )


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, list):  # a named tuple is an object
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def _play_as_user(env_id: str, agent: str, options: dict[str, Any], seed: int, trust: bool) -> None:
    from dialogym.envs import seat_person

    base = make_env(env_id, **{"interface": "text", **options})
    if type(core_of(base).task).person is Task.person:
        raise ValueError(
            f"{env_id} has no seat for a person on the user's side: --as user is for {DEFAULT_ENV}, or a task of your "
            "own that gives `person`"
        )
    player = player_of(agent, base, seed, trust=trust)
    core = seat_person(base, player.interface, _ask)
    console.print("[dim]You are the user; say goodbye to end.[/]")
    observation, info = core.reset(seed=seed)
    ended = core.partner is not None and core.partner.over
    while not ended:
        said = len(core.messages)
        observation, _, terminated, truncated, info = core.step(player.act(observation, info))
        for message in core.messages[said:]:
            if message["role"] == "tool":
                console.print(Text(f"tool: {message['content']}", "dim"))
        ended = terminated or truncated


def _ask(heard: str) -> str:
    if heard:
        console.print("[bold cyan]agent:[/]", Text(heard))
    return console.input("[bold green]you:[/] ")


app.command()(rate)
app.command()(export)
app.command()(model)
app.command()(transfer)
app.command()(partners)
app.command()(aggregate)
app.command()(rescore)
app.command()(serve)
app.command()(card)
app.command()(push)
app.command("judge-quality")(judge_quality)


@app.command()
def train(
    agent: Annotated[
        str, typer.Argument(help="Name of a learning agent, see `dialogym list`; or preference: a model of judgements.")
    ],
    env: EnvOption = DEFAULT_ENV,
    out: Annotated[Path | None, typer.Option(help="Folder for the agent, its log and its checkpoint.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="For preference: the judgements, a file that `dialogym rate` wrote.")
    ] = None,
    set_: SetOption = None,
    config: ConfigOption = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out.")] = False,
    overwrite: Annotated[
        bool, typer.Option(help="Begin anew in a folder that holds a training, which is lost.")
    ] = False,
    validate_goals: Annotated[int, typer.Option(min=0, help="Validation goals to choose the model on; 0: none.")] = 200,
    log: LogOption = None,
    seed: TrainingSeedOption = 0,
) -> None:
    """Train AGENT; Ctrl-C leaves a checkpoint that --resume goes on from. docs/agents.md lists the settings of each.

    `dialogym train preference --data FILE` fits a reward to judgements: `--set reward=preference:FOLDER` uses it.
    """
    from dialogym.agents.registry import make_agent
    from dialogym.agents.training.log import LOG_FILE, read_log
    from dialogym.agents.training.stages import keep_stages
    from dialogym.agents.training.trackers import check_trackers
    from dialogym.deployment.card import write_card

    trackers = list(dict.fromkeys(name.strip() for names in log or [] for name in names.split(",")))
    check_trackers(trackers)
    if resume and overwrite:
        raise ValueError("expected --resume, which goes on, or --overwrite, which begins anew, got both")
    if agent == PREFERENCE:
        if trackers:
            raise ValueError(f"--log is for agents, got it for {PREFERENCE}, which prints its few epochs")
        folder = out if out is not None else Path("runs") / PREFERENCE
        train_preference_model(data, folder, options_of(config), resume, overwrite, seed)
        return
    if data is not None:
        raise ValueError(f"--data is for {PREFERENCE}, got it for {agent}; conversations for sft: --config data={data}")
    folder = out if out is not None else Path("runs") / f"{agent}-{seed}"
    if resume:
        _check_checkpoint(folder)
    elif not overwrite:
        _check_untrained(folder)
    made = make_env(env, **options_of(set_))
    split = getattr(made.unwrapped, "split", "train")
    if split != "train":
        raise ValueError(
            "split must be 'train' where agents learn: validation goals choose the model, test goals score it; "
            f"got {split!r}"
        )
    learner = make_agent(agent, made, seed=seed, **options_of(config))
    if not learner.learns:
        raise ValueError(f"{agent} has nothing to learn; evaluate it with `dialogym evaluate {agent}`")
    if learner.notice:
        console.print(learner.notice, soft_wrap=True, markup=False, highlight=False)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _learn(learner, made, folder, resume, validate_goals, trackers)
    except KeyboardInterrupt:
        again = [part for part in sys.argv[1:] if part not in ("--resume", "--overwrite")]
        if out is None:
            again += ["--out", str(folder)]
        errors.print(f"\nInterrupted. Go on with: dialogym {shlex.join(again)} --resume", soft_wrap=True, markup=False)
        raise typer.Exit(INTERRUPTED) from None
    learner.save(folder / AGENT)
    keep_stages(folder / AGENT, read_log(folder / LOG_FILE))
    write_card(folder / AGENT)
    again = _evaluate_command(folder / AGENT, env, set_)
    console.print(f"Saved to {folder / AGENT}; score it with: {again}", soft_wrap=True, markup=False, highlight=False)


def _check_checkpoint(folder: Path) -> None:
    """Tells who wants to go on with a training that was interrupted before its first checkpoint that it begins anew.

    Raises:
        FileNotFoundError: where no training was begun, or its checkpoint is gone and its agent is there.
    """
    from dialogym.agents.base import LAST
    from dialogym.agents.files import existing_folder
    from dialogym.agents.training.log import LOG_FILE

    if existing_folder(folder / CHECKPOINT / LAST) is not None:
        return
    if existing_folder(folder / AGENT) is not None:
        raise FileNotFoundError(f"no checkpoint in {folder} to go on from, beside the trained agent")
    if not (folder / LOG_FILE).is_file():
        beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
        others = {one.name: str(one) for one in beside if one != folder and (one / CHECKPOINT).is_dir()}
        raise FileNotFoundError(f"no checkpoint in {folder} to go on from{did_you_mean(folder.name, others)}")
    console.print(f"No checkpoint in {folder}: beginning anew.", soft_wrap=True, markup=False, highlight=False)


def _check_untrained(folder: Path) -> None:
    """Raises FileExistsError where a training has left an agent, or a checkpoint, that another one would replace."""
    from dialogym.agents.base import LAST
    from dialogym.agents.files import existing_folder

    for name, what in ((AGENT, "a trained agent"), (f"{CHECKPOINT}/{LAST}", "the checkpoint of a training")):
        if existing_folder(folder / name) is not None:
            raise FileExistsError(
                f"{folder} holds {what}: go on from it with --resume, train in another folder with --out, or replace "
                "it with --overwrite"
            )


def _evaluate_command(agent: Path, env_id: str, pairs: list[str] | None) -> str:
    """What scores an agent in the environment that it was trained in."""
    words = ["dialogym", "evaluate", str(agent)]
    words += ["--env", env_id] if env_id != DEFAULT_ENV else []
    words += [word for pair in pairs or [] for word in ("--set", pair)]
    return shlex.join(words)


def _learn(learner: Any, made: Any, folder: Path, resume: bool, num_goals: int, trackers: Sequence[str] = ()) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from dialogym.agents.training.energy import GpuEnergy
    from dialogym.agents.training.log import LOG_FILE, joules_of, log_file, read_log
    from dialogym.agents.training.progress import Pace, TimeLeftColumn, in_short, over_at, words_column
    from dialogym.agents.training.trackers import open_trackers
    from dialogym.evaluation.score import frozen_goals, score

    def validation(agent: Any) -> float:
        return float(score(agent, made, goals, split="validation").success.mean())

    goals = frozen_goals(made, "validation", num_goals, seed=0).goals if num_goals else []
    path = folder / LOG_FILE
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=BAR_WIDTH),
        TimeElapsedColumn(),
        TimeLeftColumn(),
        words_column("row"),
    )
    before = (read_log(path) if path.is_file() else []) if resume else None
    pace = Pace(learner.budget, resume, GpuEnergy.of_this_machine(), joules_of(before or []))
    with (
        open_trackers(trackers, folder, _settings(learner), before) as track,
        Progress(*columns, console=console, expand=True) as progress,
        log_file(path, resume) as write,
    ):
        bar = progress.add_task(learner.name, total=None, row="", over_at=None)

        def log(row: dict[str, Any]) -> None:
            row = pace.measured(row, learner.budget)
            write(row)
            track(row)
            share, over = row.get("progress"), over_at(pace.seconds_left(row))
            total = 1.0 if share is not None else None
            progress.update(bar, row=in_short(row), total=total, completed=share or 0, over_at=over)

        learner.learn(
            made, log=log, validate=validation if goals else None, checkpoint=folder / CHECKPOINT, resume=resume
        )


def _settings(learner: Any) -> dict[str, Any]:
    """What a tracker shows beside a training; of data that is an object only what it is."""
    env = None if learner.spec is None else learner.spec.id
    settings = {field.name: getattr(learner.config, field.name) for field in dataclasses.fields(learner.config)}
    shown = {name: value if _is_plain(value) else f"a {type(value).__name__}" for name, value in settings.items()}
    return {"agent": learner.name, "env": env, "seed": learner.seed, **shown}


@app.command()
def evaluate(
    agent: Annotated[str, typer.Argument(help="Name of an agent, or the folder of a trained one.")],
    env: PlayedEnvOption = None,
    goals: Annotated[int, typer.Option(min=1, help="How many frozen goals; all, where the split has fewer.")] = 500,
    split: Annotated[str, typer.Option(help="Which goals and wordings: train, validation or test.")] = "test",
    set_: SetOption = None,
    config: ConfigOption = None,
    seed: TrainingSeedOption = 0,
    show: Annotated[int, typer.Option(min=0, help="Print so many conversations.")] = 1,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the numbers into this file too.")] = None,
    trust: TrustOption = False,
) -> None:
    """Score an agent on frozen held-out goals, with 95% intervals over goals.

    They are of this very agent: another training run may turn out differently (compare --preset full has three). Of a
    folder it is told what the training took to come to 0.5, 0.8 and 0.9 of the rule's success on the same goals.

    --config is for an agent made by name (docs/agents.md lists the settings of each); a folder holds those it was
    trained with, but a language model may play with another temperature, max_reply_tokens or device.
    """
    from dialogym.agents.files import atomic_write, check_writable
    from dialogym.evaluation.blame import in_words as blame_in_words
    from dialogym.evaluation.grading import grading
    from dialogym.evaluation.report.results import interval_json
    from dialogym.evaluation.score import frozen_goals, score
    from dialogym.evaluation.statistics import bootstrap_interval, wilson_interval

    if json_ is not None:
        if json_.is_dir():
            raise IsADirectoryError(f"--json must be a file, got the folder {json_}")
        json_.parent.mkdir(parents=True, exist_ok=True)
        check_writable(json_.parent)
    made = env_for([agent], env, options_beside_split(set_), trust)
    settings = options_of(config)
    player = player_of(agent, made, seed, settings, trust)
    frozen = frozen_goals(made, split, goals, seed=0)
    scores, count = score(player, made, frozen.goals, split=split), len(frozen.goals)
    table = Table(
        "", "mean", "95% low", "95% high", title=f"{player.name} on {count} {split} goals of {spec_of(made).id}"
    )
    intervals = {
        "success": wilson_interval(int(scores.success.sum()), count),
        "return": bootstrap_interval(scores.returns.astype(float), seed=0),
        "turns": bootstrap_interval(scores.turns.astype(float), seed=0),
    }
    table.caption = "intervals over goals, of this agent and not of another training run"
    for name, interval in intervals.items():
        table.add_row(name, f"{interval.mean:.3f}", f"{interval.low:.3f}", f"{interval.high:.3f}")
    _tell_judges(made)
    console.print(table)
    blamed = scores.blame()
    if blamed is not None:
        console.print(blame_in_words(blamed), soft_wrap=True, highlight=False)
    _tell_bias(scores, made, [goal_id for goal_id, _ in frozen.goals])
    took = _what_it_took(Path(agent), made, frozen) if Path(agent).is_dir() else None
    if json_ is not None:
        core = core_of(made)
        told = {
            "agent": player.name, "env": spec_of(made).id, "split": split, "goals": count, "goals_sha256": frozen.hash,
            "config": settings,
            "grading": grading(core.task, core.reward),
            **{name: interval_json(interval) for name, interval in intervals.items()},
            "blame": blamed, "what_it_took": took,
        }  # fmt: skip
        atomic_write(json_, json.dumps(told, indent=1) + "\n")
    for conversation in scores.conversations[:show]:
        for message in conversation:
            console.print(f"{message['role']}: {message['content']}", highlight=False, markup=False)


def _what_it_took(folder: Path, made: gym.Env[Any, Any], frozen: Any) -> dict[str, Any] | None:
    """Prints and returns what the agent's training took to come near the rule's success on the same goals."""
    from dialogym.agents.registry import make_agent
    from dialogym.evaluation.contenders import RULE
    from dialogym.evaluation.report.efficiency import ceiling_of, efficiency_rows, folder_efficiency
    from dialogym.evaluation.score import score

    def ceiling() -> float:
        task = core_of(made).task
        with_rule = RULE in task.policies
        rules = (
            [score(make_agent(RULE, made), made, frozen.goals, split=frozen.split).success.mean()] if with_rule else []
        )
        return ceiling_of(rules, task.ceiling)

    found = folder_efficiency(folder, made.spec, ceiling)
    if found is None:
        return None
    if "unknown" in found:
        console.print(f"What its training took is not known: {found['unknown']}.", soft_wrap=True, markup=False)
        return found
    head, *body = efficiency_rows({(): found}, ())
    table = Table(*head, title=f"What its training took, until a share of the rule's success of {found['ceiling']:.3f}")
    for row in body:
        table.add_row(*row)
    console.print(table)
    return found


def _tell_bias(scores: Any, made: gym.Env[Any, Any], goal_ids: Sequence[str]) -> None:
    """Whether the agent knows when it succeeds, where it has a critic, and the slices of the goals where it differs."""
    from dialogym.evaluation import calibration as known

    said = [next((text for role, text in kept.messages if role == "user"), "") for kept in scores.kept]
    task = core_of(made).task
    facts = [known.facts_of(task.goal(goal_id), text) for goal_id, text in zip(goal_ids, said, strict=True)]
    tables = {}
    rows = known.success_by_slices(scores.success, known.slices_of(facts))
    tables[f"Slices of the goals that differ from the others, of {len(rows)}"] = known.slice_rows(
        known.told_slices(rows)
    )
    if scores.values is not None and 0 < scores.success.mean() < 1:
        scaled = known.ScaledEstimates.of(scores.values, goal_ids)
        judged = known.calibration(scaled.as_probabilities(scores.success), scores.success, scaled=scaled)
        tables["Does it know?"] = known.calibration_rows({"its critic": judged})
    for title, (head, *body) in tables.items():
        if body:
            table = Table(*head, title=title)
            for row in body:
                table.add_row(*map(escape, row))
            console.print(table)


def _tell_judges(made: gym.Env[Any, Any]) -> None:
    """Says how good the judges in a reward are, before any number that rests on them."""
    from dialogym.evaluation.rating.judges import in_words, judges_in

    for judge in judges_in(made.unwrapped.reward):  # type: ignore[attr-defined]
        console.print(in_words(judge), soft_wrap=True, markup=False, highlight=False)


@app.command()
def compare(
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            show_default=DEFAULT_ENV,
            help="Id of a registered environment, or module:Name-v0; repeat with --suite.",
        ),
    ] = None,
    preset: Annotated[
        PresetName,
        typer.Option(
            help="quick: minutes, one seed; full: three seeds, more goals; pretrained: with LoRA on --model, as it is, "
            "after SFT, after RL and after both."
        ),
    ] = PresetName.quick,
    out: Annotated[Path, typer.Option(help="Folder for the report; a second call goes on where it stopped.")] = Path(
        "runs/compare"
    ),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trainings at once, one thread each; default: all cores.")
    ] = None,
    set_: SetOption = None,
    seed: TrainingSeedOption = 0,
    suite: Annotated[
        bool, typer.Option("--suite", help="Every environment with a small budget, or those of --env, in one table.")
    ] = False,
    seeds: Annotated[
        int, typer.Option(min=1, help="For --suite: training runs of each agent; a later call may ask for more.")
    ] = 1,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="With --suite: a look at all of it in about ten minutes on two cores, with an eighth of the training; "
            "it shows no more than that everything runs. Without: --preset quick.",
        ),
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="For --preset pretrained: folder of a chat model, or its name on the hub.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run this agent now, with what it starts from; later calls add others. Repeat."),
    ] = None,
    amount: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="For --preset pretrained: how much of what, such as updates=10; repeat."
        ),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ALGORITHM",
            help="Another algorithm that starts from SFT, with as many turns as PPO: reinforce, a2c, grpo or rloo; "
            "repeat. A later call may add it.",
        ),
    ] = None,
) -> None:
    """Train and score floors, the rule, Q-learning, PPO and language models (SFT, RL, both), and write a report.

    RL is PPO; --also puts another algorithm beside it. All are scored on the same held-out goals. Noise, wordings or
    partners that differ between training and testing are for `transfer`.
    """
    if quick and preset is not PresetName.quick:
        raise ValueError(
            f"--quick is for the small language model, got it beside --preset {preset.value}: type one of the two"
        )
    _check_preset(preset, model, amount)
    if suite:
        if set_ is not None or preset is PresetName.full:
            raise ValueError("--suite compares every environment as it is: --set and --preset full are not for it")
        _compare_suite(out, env, jobs, seed, _preset_for(preset, model, amount), only, seeds, also, quick)
        return
    if seeds != 1:
        raise ValueError("--seeds is for --suite; --preset full has three")
    if len(env or ()) > 1:
        raise ValueError(f"several --env are for --suite, got {', '.join(env or ())}")
    (env_id,) = env or (DEFAULT_ENV,)
    make_env(env_id)
    from dialogym.evaluation.compare.arms import PRESETS, with_algorithms
    from dialogym.evaluation.compare.run import compare as run

    own = _preset_for(preset, model, amount)
    chosen = with_algorithms(PRESETS[preset.value] if own is None else own(env_id), also or ())
    run(env_id, preset=chosen, out=out, jobs=jobs, seed=seed, env_kwargs=options_of(set_), only=only)
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True, markup=False)


def _check_preset(preset: PresetName, model: str | None, amounts: list[str] | None) -> None:
    """Refuses what does not go together, and a pretrained model that cannot be trained, before anything runs."""
    if preset is PresetName.pretrained:
        from dialogym.evaluation.compare.pretrained import check_model, pretrained_preset

        check_model(model)
        pretrained_preset(model, DEFAULT_ENV, options_of(amounts))
    elif model is not None or amounts is not None:
        raise ValueError(f"--model and --amount are for --preset {PresetName.pretrained.value}")


def _preset_for(preset: PresetName, model: str | None, amounts: list[str] | None) -> Callable[[str], Any] | None:
    """What makes the preset of an environment; None where it is the same for all."""
    if preset is not PresetName.pretrained:
        return None
    from dialogym.evaluation.compare.pretrained import pretrained_preset

    return lambda env_id: pretrained_preset(model, env_id, options_of(amounts))


def _compare_suite(
    out: Path,
    env_ids: list[str] | None,
    jobs: int | None,
    seed: int,
    preset: Callable[[str], Any] | None,
    only: list[str] | None,
    num_seeds: int,
    also: list[str] | None,
    quick: bool,
) -> None:
    from dialogym.evaluation.compare.small import quick_look
    from dialogym.evaluation.suite import PICTURE_FILE, TABLE_FILE, compare_suite

    if quick:
        preset = functools.partial(quick_look, num_seeds=num_seeds)
    elif preset is not None and num_seeds != 1:
        raise ValueError(f"--seeds is for the small model; with --preset pretrained it is --amount seeds={num_seeds}")
    compare_suite(out, env_ids, jobs, seed, preset, console=console, only=only, num_seeds=num_seeds, also=also or ())
    console.print(f"Table: {out / TABLE_FILE}, picture: {out / PICTURE_FILE}", soft_wrap=True, markup=False)


@app.command()
def validate(
    env_id: Annotated[str, typer.Argument(help="Id of a registered environment, or module:Name-v0.")],
    set_: SetOption = None,
) -> None:
    """Check that an environment can be trusted: ceiling, floors, determinism, no leaks, difficulty."""
    from dialogym.evaluation.validate import validate as check

    make_env(env_id, **options_of(set_))
    report = check(env_id, **options_of(set_))
    console.print(report.table())
    if not report.passed:
        raise typer.Exit(1)
