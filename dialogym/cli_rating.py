"""``dialogym rate`` and ``dialogym train preference``: people compare replies, and a reward is fitted to that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_common import (
    PlayedEnvOption,
    SeedOption,
    SetOption,
    TrustOption,
    console,
    env_for,
    errors,
    options_beside_split,
    options_of,
    player_of,
    reward_of,
)

PREFERENCE = "preference"
"""What `train` calls the reward model of judgements, which is no agent."""


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
    served: Annotated[
        Path | None,
        typer.Option(
            help="Conversations that `dialogym serve` kept: what people were answered is compared with what AGENT_A "
            "would have said."
        ),
    ] = None,
    num_pairs: Annotated[int, typer.Option(min=1, help="How many pairs to sample.")] = 50,
    env: PlayedEnvOption = None,
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
    trust: TrustOption = False,
) -> None:
    """Compare replies of AGENT_A and AGENT_B, blind and side by side; or print a --summary of what was judged."""
    from dialogym.agents.preference.judgements import judgements_file
    from dialogym.evaluation.rating.session import RatingSession

    if summary is not None:
        _summarise(summary)
        return
    if rater is None:
        raise ValueError("expected the name of who judges: give --rater NAME")
    out = judgements_file(out)
    agent_a, agent_b = (None if agent is None else str(Path(agent)) for agent in (agent_a, agent_b))  # no last slash
    kept = pairs if pairs is not None else out.with_suffix(".pairs.jsonl")
    if served is not None and pairs is not None:
        raise ValueError("--served and --pairs exclude each other")
    if pairs is None and kept.is_file():
        what = "--env, --set, --split, --num-pairs and --temperature"
        console.print(f"These pairs were sampled before; for others ({what}), give another --out.", soft_wrap=True)
    elif served is not None:
        _pairs_with_people(
            kept, served, agent_a, agent_b, num_pairs, env_for([agent_a], env, options_of(set_), trust), seed, trust
        )
    elif pairs is None:
        made = env_for([agent_a, agent_b], env, options_beside_split(set_), trust)
        _sample_pairs(kept, (agent_a, agent_b), num_pairs, made, split, temperature, seed, trust)
    named = (agent_a, agent_b) if served is None else (None, None)
    session = RatingSession(_kept_pairs(kept, *named), out, rater, seed)
    console.print(f"{session.total} pairs, kept in {kept}", soft_wrap=True, markup=False)
    if session.mended:
        errors.print(f"The last line of {out} was half written and is removed; that pair is asked again.", markup=False)
    _rate_on_page(session, port) if web else _rate_here(session)


def _sample_pairs(
    path: Path,
    agents: tuple[str | None, str | None],
    num: int,
    env: Any,
    split: str,
    temperature: float,
    seed: int,
    trust: bool,
) -> None:
    from dialogym.agents.preference.judgements import save_pairs
    from dialogym.evaluation.rating.pairs import PairSampler, sampled_at

    first, second = agents
    if first is None or second is None:
        raise ValueError("expected two agents to compare, or --pairs FILE: dialogym rate AGENT_A AGENT_B --rater NAME")
    players = [
        sampled_at(player_of(agent, env, seed, trust=trust), temperature, seed + n)
        for n, agent in enumerate((first, second))
    ]
    found = PairSampler(env, *players, names=(first, second), split=split, seed=seed).sample(num)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_pairs(path, found)


def _pairs_with_people(
    path: Path, served: Path, agent: str | None, other: str | None, num: int, env: Any, seed: int, trust: bool
) -> None:
    from dialogym.agents.preference.judgements import save_pairs
    from dialogym.deployment.pairs import served_pairs

    if agent is None or other is not None:
        raise ValueError(
            "--served compares one agent with those that people talked to: dialogym rate AGENT --served FILE"
        )
    found, num_left_out = served_pairs(served, player_of(agent, env, seed, trust=trust), env, agent, num, seed)
    if num_left_out:
        console.print(
            f"{num_left_out} conversations are left out: {agent} could not have had them, or gave no reply.",
            soft_wrap=True,
            markup=False,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_pairs(path, found)


def _kept_pairs(path: Path, *agents: str | None) -> Any:
    """The pairs of a file; agents that were named must be those they are from."""
    from dialogym.agents.preference.judgements import read_pairs

    pairs = read_pairs(path)
    if None not in agents and {frozenset(pair.agents) for pair in pairs} != {frozenset(agents)}:
        of = ", ".join(sorted({name for pair in pairs for name in pair.agents}))
        raise ValueError(f"{path} holds pairs of {of}, not of {' and '.join(map(str, agents))}: give another --out")
    return pairs


def _rate_here(session: Any) -> None:
    from dialogym.evaluation.rating.terminal import rate as ask

    ask(session, console)


def _rate_on_page(session: Any, port: int) -> None:
    from dialogym.evaluation.rating.web import RatingServer

    try:
        page = RatingServer(session, port)
    except OSError as e:
        raise ValueError(f"port {port} cannot be served ({e}): --port 0 takes a free one") from e
    with page as server:
        console.print(f"Rate at {server.url} (Ctrl-C ends; every answer is saved at once)", soft_wrap=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print(f"\n{session.done} of {session.total} judged, in {session.out}", soft_wrap=True, markup=False)


def _summarise(path: Path) -> None:
    from dialogym.agents.preference.judgements import read_judgements
    from dialogym.evaluation.rating.agreement import summary_tables

    for table in summary_tables(read_judgements(path)):
        console.print(table)


def judge_quality(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Judgements, by people (`dialogym rate`) and by the judge.")
    ],
    judge: Annotated[
        str | None, typer.Option(help="The judge's name among the raters in the files; all others are people.")
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(help="Or a reward that scores the pairs now: a name, such as preference:FOLDER, or JSON."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Or a model that scores them now, as its server calls it.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Of the server of --model.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of the scores of --model; its quality is kept there, for reports.")
    ] = None,
    own: Annotated[
        list[str] | None, typer.Option(help="An agent that is the judge's own model, for self-preference; repeat.")
    ] = None,
) -> None:
    """How good is a judge: agreement with people, bias for a position, for length, for its own replies.

    The quality of --reward preference:FOLDER and of --model with --cache is kept, and reports of comparisons that use
    such a reward say it before any number. Give judgements that the judge did not learn from.
    """
    from dialogym.agents.preference.judgements import read_judgements
    from dialogym.evaluation.rating import judges

    if sum(one is not None for one in (judge, reward, model)) != 1:
        raise ValueError("expected one judge: --judge NAME in the files, --reward REWARD or --model NAME")
    judgements = [one for file in files for one in read_judgements(file, both_orders=True)]
    scorer = None if judge is not None else _scorer(reward, model, base_url, cache)
    name = judge or reward or model
    assert name is not None
    if scorer is not None:
        judgements = [one for one in judgements if one.rater != name] + judges.judged_by(scorer, judgements, name)
    quality = judges.judge_quality(judgements, name, own or ())
    console.print(judges.quality_table(quality))
    if quality.sways:
        console.print(f"Swayed by: {', '.join(quality.sways)}", markup=False, highlight=False)
    parts = () if scorer is None else scorer.parts
    for part in parts:
        kept = judges.save_quality(part.reward, quality) if part.reward.is_judge and len(parts) == 1 else None
        if kept is not None:
            console.print(f"Kept in {kept}", soft_wrap=True, markup=False, highlight=False)


def _scorer(reward: str | None, model: str | None, base_url: str | None, cache: Path | None) -> Any:
    """The reward that judges."""
    from dialogym.rewards import resolve
    from dialogym.rewards.served.judge import Judge

    if model is not None:
        return resolve(Judge(model, base_url, cache=cache))
    assert reward is not None
    return resolve(reward_of(reward))


def train_preference_model(
    data: Path | None, out: Path, options: dict[str, Any], resume: bool, overwrite: bool, seed: int
) -> None:
    """Fits a reward to judgements: what ``dialogym train preference`` does."""
    from dialogym.agents.preference.judgements import read_judgements, split_judgements

    try:
        from dialogym.agents.preference.train import PreferenceConfig, train_preference
    except ImportError as e:
        raise ImportError(f'a preference model needs {e.name}: pip install "dialogym[preference]"', name=e.name) from e
    from dialogym.agents.registry import checked_options
    from dialogym.agents.training.progress import in_short
    from dialogym.evaluation.rating.agreement import pairwise_scores
    from dialogym.rewards.learned.preference import PREFERENCE_FILE

    if data is None or resume:
        raise ValueError(f"{PREFERENCE} takes the judgements, --data FILE, and starts anew every time")
    if (out / PREFERENCE_FILE).is_file() and not overwrite:
        raise FileExistsError(
            f"{out} holds a preference model: train in another folder with --out, or replace it with --overwrite"
        )
    reading = {name: options.pop(name) for name in ("fields", "on_error") if name in options}
    config = PreferenceConfig(**checked_options(PREFERENCE, PreferenceConfig, options))
    judgements = read_judgements(data, **reading)

    def log(row: dict[str, Any]) -> None:
        console.print(in_short(row), soft_wrap=True)

    model = train_preference(judgements, out, config, seed, log)
    _, held_out = split_judgements(judgements, config.validation_share)
    scores = pairwise_scores(model.margins, held_out)
    console.print(
        f"On {scores.num_judgements} held-out judgements, which chose the epoch: pairwise accuracy "
        f"{scores.accuracy.mean:.3f} (95% {scores.accuracy.low:.3f} to {scores.accuracy.high:.3f}), "
        f"loss {scores.loss:.3f} nats, calibration error {scores.calibration_error:.3f}\n"
        f"Saved to {out}; a reward by the name of preference:{out}",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
