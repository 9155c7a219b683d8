"""The command line: ``list``, ``rewards``, ``play``, ``rate``, ``train``, ``evaluate``, ``compare``, ``validate``."""

from __future__ import annotations

import difflib
import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import typer
from rich.console import Console
from rich.table import Table

import dialogym  # registers the environments
from dialogym.rewards import EndpointError

app = typer.Typer(
    name="dialogym",
    help="Dialogue and text-generation environments, rewards and agents: how far does SFT get, and what does RL add?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()
errors = Console(stderr=True)

DEFAULT_ENV = "TextDialog-v0"
INTERRUPTED = 130
MISTAKES = (ValueError, TypeError, ImportError, gym.error.Error, FileNotFoundError, NotADirectoryError)
PREFERENCE = "preference"
"""What `train` calls the reward model of judgements, which is no agent."""


class Seat(str, Enum):
    """Which side of the conversation a person takes."""

    agent = "agent"
    user = "user"


class Preset(str, Enum):
    """How thorough a comparison is."""

    quick = "quick"
    full = "full"


def main() -> None:
    """Runs the command line; what a user did wrong is one line, not a traceback."""
    try:
        app()
    except (*MISTAKES, EndpointError) as e:
        errors.print(f"[bold red]Error:[/] {_plain(e)}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        errors.print("Interrupted.")
        raise SystemExit(INTERRUPTED) from None


def _plain(e: Exception) -> str:
    from rich.markup import escape

    return escape(str(e).split(" was raised from the environment creator")[0])


EnvOption = Annotated[str, typer.Option("--env", help="Id of a registered environment, or module:Name-v0.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Keyword argument of the environment, such as noise=0.15; repeat."),
]
ConfigOption = Annotated[
    list[str] | None,
    typer.Option("--config", metavar="KEY=VALUE", help="Setting of the agent, such as learning_rate=3e-4; repeat."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]


@app.command("list")
def list_() -> None:
    """List the environments and the agents."""
    from dialogym.agents import registry

    table = Table("environment", "interfaces", "replies", "ceiling", "floor", title="Environments")
    for id in _our_ids():
        task = _core(gym.make(id, interface="text")).task
        interfaces = "choices, text, tokens" if task.menu else "text, tokens"
        table.add_row(id, interfaces, str(len(task.menu) or "any text"), f"{task.ceiling:g}", f"{task.floor:g}")
    console.print(table)
    table = Table("agent", "plays", "learns", "what it is", title="Agents")
    for row in registry.describe_agents():
        table.add_row(*row)
    console.print(table)


@app.command()
def rewards() -> None:
    """List the rewards that have a name."""
    from dialogym.rewards.registry import describe_reward_kinds, describe_rewards

    table = Table("reward", "what it is", title="Rewards")
    for name, about in [*describe_rewards(), *describe_reward_kinds()]:
        table.add_row(name, about)
    console.print(table)


@app.command()
def play(
    env: EnvOption = DEFAULT_ENV,
    as_: Annotated[
        Seat, typer.Option("--as", help="Your seat: the agent's, or the user's against AGENT.")
    ] = Seat.agent,
    agent: Annotated[
        str, typer.Option(help="Who you talk to with --as user: a name, or a folder of a trained one.")
    ] = ("rule"),
    set_: SetOption = None,
    seed: SeedOption = 0,
) -> None:
    """Talk: as the agent with a simulated user, or as the user with an agent."""
    options = _options(set_)
    if as_ is Seat.user:
        _play_as_user(env, agent, options, seed)
    else:
        _play_as_agent(env, options, seed)


def _play_as_agent(env_id: str, options: dict[str, Any], seed: int) -> None:
    from dialogym.agents.registry import make_agent

    made = _make(env_id, **{"interface": "text", **options})
    person = make_agent("human", made, seed=seed)
    observation, info = made.reset(seed=seed)
    total, ended = 0.0, False
    while not ended:
        observation, reward, terminated, truncated, info = made.step(person.act(observation, info))
        total += float(reward)
        ended = terminated or truncated
    core = _core(made)
    console.print(core.transcript.spoken_messages[-1]["content"])
    verdict = "[green]success[/]" if info["success"] else "[red]no success[/]"
    console.print(
        f"\n{verdict}, return {total:g} after {info['turn']} turns. The user wanted: {dict(core.transcript.goal)}"
    )


def _play_as_user(env_id: str, agent: str, options: dict[str, Any], seed: int) -> None:
    from dialogym.envs import seat_person

    base = _make(env_id, **{"interface": "text", **options})
    player = _player(agent, base, seed)
    core = seat_person(base, player.interface, _ask)
    console.print("[dim]You are the user; say goodbye to end.[/]")
    observation, info = core.reset(seed=seed)
    ended = core.partner is not None and core.partner.over
    while not ended:
        said = len(core.messages)
        observation, _, terminated, truncated, info = core.step(player.act(observation, info))
        for message in core.messages[said:]:
            if message["role"] == "tool":
                console.print(f"[dim]tool: {message['content']}[/]", highlight=False)
        ended = terminated or truncated


def _ask(heard: str) -> str:
    if heard:
        console.print(f"[bold cyan]agent:[/] {heard}", highlight=False)
    return console.input("[bold green]you:[/] ")


@app.command()
def rate(
    agent_a: Annotated[str | None, typer.Argument(help="Name of an agent, or the folder of a trained one.")] = None,
    agent_b: Annotated[
        str | None, typer.Argument(help="Who it is compared with; the same one is sampled twice.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File that the judgements are added to.")] = Path("runs/ratings.jsonl"),
    rater: Annotated[str | None, typer.Option(help="Your name; you go on where you stopped.")] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="File of pairs to judge; without it they are sampled once and kept beside --out."),
    ] = None,
    num_pairs: Annotated[int, typer.Option(min=1, help="How many pairs to sample.")] = 50,
    env: EnvOption = DEFAULT_ENV,
    set_: SetOption = None,
    split: Annotated[str, typer.Option(help="Goals and wordings to sample from: train, validation or test.")] = "train",
    temperature: Annotated[
        float, typer.Option(min=0, help="That language models are sampled at; 0 says the likeliest.")
    ] = 1.0,
    web: Annotated[bool, typer.Option("--web", help="Rate on a web page, served to this machine alone.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes a free one.")] = 8000,
    summary: Annotated[
        Path | None, typer.Option(help="Print what a file of judgements says: win rates, agreement; nothing is rated.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Compare replies of AGENT_A and AGENT_B, blind and side by side; or print a --summary of what was judged."""
    from dialogym.evaluation.rating import RatingSession

    if summary is not None:
        _summarise(summary)
        return
    if rater is None:
        raise ValueError("expected the name of who judges: give --rater NAME")
    kept = pairs if pairs is not None else out.with_suffix(".pairs.jsonl")
    if not kept.is_file() and pairs is None:
        _sample_pairs(kept, (agent_a, agent_b), num_pairs, _make(env, **_options(set_)), split, temperature, seed)
    session = RatingSession(_kept_pairs(kept, agent_a, agent_b), out, rater, seed)
    console.print(f"{session.total} pairs, kept in {kept}", soft_wrap=True)
    if session.mended:
        errors.print(f"The last line of {out} was half written and is removed; that pair is asked again.")
    _rate_on_page(session, port) if web else _rate_here(session)


def _sample_pairs(
    path: Path, agents: tuple[str | None, str | None], num: int, env: Any, split: str, temperature: float, seed: int
) -> None:
    from dialogym.agents.judgements import save_pairs
    from dialogym.evaluation.pairs import PairSampler, sampled_at

    first, second = agents
    if first is None or second is None:
        raise ValueError("expected two agents to compare, or --pairs FILE: dialogym rate AGENT_A AGENT_B --rater NAME")
    players = [sampled_at(_player(agent, env, seed), temperature, seed + n) for n, agent in enumerate((first, second))]
    found = PairSampler(env, *players, names=(first, second), split=split, seed=seed).sample(num)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_pairs(path, found)


def _kept_pairs(path: Path, *agents: str | None) -> Any:
    """The pairs of a file; agents that were named must be those they are from."""
    from dialogym.agents.judgements import read_pairs

    pairs = read_pairs(path)
    if None not in agents and {frozenset(pair.agents) for pair in pairs} != {frozenset(agents)}:
        of = ", ".join(sorted({name for pair in pairs for name in pair.agents}))
        raise ValueError(f"{path} holds pairs of {of}, not of {' and '.join(map(str, agents))}: give another --out")
    return pairs


def _rate_here(session: Any) -> None:
    from dialogym.evaluation.rate_terminal import rate as ask

    ask(session, console)


def _rate_on_page(session: Any, port: int) -> None:
    from dialogym.evaluation.rate_web import RatingServer

    try:
        page = RatingServer(session, port)
    except OSError as e:
        raise ValueError(f"port {port} cannot be served ({e}): --port 0 takes a free one") from e
    with page as server:
        console.print(f"Rate at {server.url} (Ctrl-C ends; every answer is saved at once)", soft_wrap=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print(f"\n{session.done} of {session.total} judged, in {session.out}", soft_wrap=True)


def _summarise(path: Path) -> None:
    from dialogym.agents.judgements import read_judgements
    from dialogym.evaluation.preferences import summary_tables

    for table in summary_tables(read_judgements(path)):
        console.print(table)


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
    validate_goals: Annotated[int, typer.Option(min=0, help="Validation goals to choose the model on; 0: none.")] = 200,
    seed: SeedOption = 0,
) -> None:
    """Train AGENT; Ctrl-C leaves a checkpoint that --resume goes on from.

    `dialogym train preference --data FILE` fits a reward to judgements: `--set reward=preference:FOLDER` uses it.
    """
    from dialogym.agents.registry import make_agent

    if agent == PREFERENCE:
        _train_preference(data, out if out is not None else Path("runs") / PREFERENCE, _options(config), resume, seed)
        return
    if data is not None:
        raise ValueError(f"--data is for {PREFERENCE}, got it for {agent}; conversations for sft: --config data={data}")
    made = _make(env, **_options(set_))
    learner = make_agent(agent, made, seed=seed, **_options(config))
    if not learner.learns:
        raise ValueError(f"{agent} has nothing to learn; evaluate it with `dialogym evaluate {agent}`")
    folder = out if out is not None else Path("runs") / f"{agent}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _learn(learner, made, folder, resume, validate_goals)
    except KeyboardInterrupt:
        errors.print(f"\nInterrupted. Go on with: dialogym train {agent} --out {folder} --resume", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    learner.save(folder / "agent")
    console.print(f"Saved to {folder / 'agent'}; score it with: dialogym evaluate {folder / 'agent'}", soft_wrap=True)


def _train_preference(data: Path | None, out: Path, options: dict[str, Any], resume: bool, seed: int) -> None:
    from dialogym.agents.judgements import read_judgements, split_judgements
    from dialogym.agents.preference import PreferenceConfig, train_preference
    from dialogym.agents.registry import checked_options
    from dialogym.evaluation.preferences import pairwise_scores

    if data is None or resume:
        raise ValueError(f"{PREFERENCE} takes the judgements, --data FILE, and starts anew every time")
    config = PreferenceConfig(**checked_options(PREFERENCE, PreferenceConfig, options))
    judgements = read_judgements(data)

    def log(row: dict[str, Any]) -> None:
        console.print("  ".join(f"{key} {_short(value)}" for key, value in row.items() if key in SHOWN), soft_wrap=True)

    model = train_preference(judgements, out, config, seed, log)
    _, held_out = split_judgements(judgements, config.validation_share)
    scores = pairwise_scores(model.margins, held_out)
    console.print(
        f"On {scores.num_judgements} held-out judgements, which chose the epoch: pairwise accuracy "
        f"{scores.accuracy.mean:.3f} (95% {scores.accuracy.low:.3f} to {scores.accuracy.high:.3f}), "
        f"loss {scores.loss:.3f} nats, calibration error {scores.calibration_error:.3f}\n"
        f"Saved to {out}; a reward by the name of preference:{out}",
        soft_wrap=True,
        highlight=False,
    )


def _learn(learner: Any, made: Any, folder: Path, resume: bool, num_goals: int) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from dialogym.evaluation.score import frozen_goals, score

    def validation(agent: Any) -> float:
        return float(score(agent, made, goals, split="validation").success.mean())

    goals = frozen_goals(made, "validation", num_goals, seed=0).goals if num_goals else []
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[row]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress, (folder / "log.jsonl").open("a" if resume else "w") as file:
        bar = progress.add_task(learner.name, total=None, row="")

        def log(row: dict[str, Any]) -> None:
            file.write(json.dumps(row, default=float) + "\n")
            file.flush()
            shown = "  ".join(f"{key} {_short(value)}" for key, value in row.items() if key in SHOWN)
            share = row.get("progress")
            progress.update(bar, row=shown, total=1.0 if share is not None else None, completed=share or 0)

        learner.learn(
            made, log=log, validate=validation if goals else None, checkpoint=folder / "checkpoint", resume=resume
        )


SHOWN = ("env_turns", "epoch", "success", "return", "validation", "validation_loss", "kl")


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@app.command()
def evaluate(
    agent: Annotated[str, typer.Argument(help="Name of an agent, or the folder of a trained one.")],
    env: EnvOption = DEFAULT_ENV,
    goals: Annotated[int, typer.Option(min=1, help="How many frozen goals.")] = 500,
    split: Annotated[str, typer.Option(help="Which goals and wordings: train, validation or test.")] = "test",
    set_: SetOption = None,
    config: ConfigOption = None,
    seed: SeedOption = 0,
    show: Annotated[int, typer.Option(min=0, help="Print so many conversations.")] = 1,
) -> None:
    """Score an agent on frozen held-out goals, with 95% intervals."""
    from dialogym.evaluation.score import frozen_goals, score
    from dialogym.evaluation.statistics import bootstrap_interval, wilson_interval

    made = _make(env, **_options(set_))
    player = _player(agent, made, seed, _options(config))
    frozen = frozen_goals(made, split, goals, seed=0)
    scores = score(player, made, frozen.goals, split=split)
    table = Table("", "mean", "95% low", "95% high", title=f"{player.name} on {goals} {split} goals of {env}")
    intervals = {
        "success": wilson_interval(int(scores.success.sum()), goals),
        "return": bootstrap_interval(scores.returns.astype(float), seed=0),
        "turns": bootstrap_interval(scores.turns.astype(float), seed=0),
    }
    for name, interval in intervals.items():
        table.add_row(name, f"{interval.mean:.3f}", f"{interval.low:.3f}", f"{interval.high:.3f}")
    console.print(table)
    for conversation in scores.conversations[:show]:
        for message in conversation:
            console.print(f"{message['role']}: {message['content']}", highlight=False, markup=False)


@app.command()
def compare(
    env: EnvOption = DEFAULT_ENV,
    preset: Annotated[
        Preset, typer.Option(help="quick: minutes, one seed; full: three seeds, more goals.")
    ] = Preset.quick,
    out: Annotated[Path, typer.Option(help="Folder for the report; a second call goes on where it stopped.")] = Path(
        "runs/compare"
    ),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trainings at once, one thread each; default: all cores.")
    ] = None,
    set_: SetOption = None,
    seed: SeedOption = 0,
    suite: Annotated[
        bool, typer.Option("--suite", help="Every environment with a small budget, in one table.")
    ] = False,
) -> None:
    """Train and score every agent on the same held-out goals, and write a report."""
    from dialogym.evaluation.compare import compare as run

    if suite:
        _compare_suite(out, jobs, seed)
        return
    _make(env)
    run(env, preset=preset.value, out=out, jobs=jobs, seed=seed, env_kwargs=_options(set_))
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True)


def _compare_suite(out: Path, jobs: int | None, seed: int) -> None:
    from dialogym.evaluation.suite import PICTURE_FILE, TABLE_FILE, compare_suite

    compare_suite(out, jobs=jobs, seed=seed, console=console)
    console.print(f"Table: {out / TABLE_FILE}, picture: {out / PICTURE_FILE}", soft_wrap=True)


@app.command()
def validate(
    env_id: Annotated[str, typer.Argument(help="Id of a registered environment, or module:Name-v0.")],
    set_: SetOption = None,
) -> None:
    """Check that an environment can be trusted: ceiling, floors, determinism, no leaks, difficulty."""
    from dialogym.evaluation.validate import validate as check

    _make(env_id, **_options(set_))
    report = check(env_id, **_options(set_))
    console.print(report.table())
    if not report.passed:
        raise typer.Exit(1)


def _options(pairs: list[str] | None) -> dict[str, Any]:
    """``KEY=VALUE`` arguments as a dict; values are read as JSON where they are, else as text."""
    options: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"expected KEY=VALUE, got {pair!r}")
        try:
            options[key] = json.loads({"True": "true", "False": "false", "None": "null"}.get(value, value))
        except json.JSONDecodeError:
            options[key] = value
    return options


def _make(env_id: str, **options: Any) -> gym.Env[Any, Any]:
    """The environment; an unknown id names the nearest right ones."""
    known = _our_ids()
    if ":" not in env_id and env_id not in gym.registry:
        near = difflib.get_close_matches(env_id, known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no environment {env_id!r}{hint} There are: {', '.join(known)}")
    return gym.make(env_id, **options)


def _our_ids() -> list[str]:
    return sorted(id for id, spec in gym.registry.items() if str(spec.entry_point).startswith("dialogym."))


def _core(env: gym.Env[Any, Any]) -> dialogym.TextEnv:
    core = env.unwrapped
    assert isinstance(core, dialogym.TextEnv)
    return core


def _player(agent: str, env: Any, seed: int, config: dict[str, Any] | None = None) -> Any:
    """The agent of a folder, or of a name and its settings."""
    from dialogym.agents.registry import load_agent, make_agent

    if Path(agent).is_dir():
        if config:
            raise ValueError(f"--config is for an agent made by name; that of {agent} was saved with it")
        return load_agent(agent, env=env)
    if len(Path(agent).parts) > 1:
        raise FileNotFoundError(
            f"expected the name of an agent or the folder of a trained one, got {agent!r}: no folder"
        )
    return make_agent(agent, env, seed=seed, **(config or {}))
