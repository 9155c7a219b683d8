"""``dialogym export``: conversations and judgements for other people's trainers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_common import (
    ConfigOption,
    PlayedEnvOption,
    SetOption,
    TrustOption,
    console,
    env_for,
    options_beside_split,
    options_of,
    player_of,
)

DEMONSTRATIONS = "demonstrations"
"""What `export` calls the conversations that ``sft`` imitates, which are of no agent."""
NUM = 100
"""Conversations that are played unless `--num` says another number."""


class Format(str, Enum):
    """Formats of TRL."""

    messages = "messages"
    prompt_completion = "prompt-completion"
    preference = "preference"


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="Whose conversations: an agent's (a name, or the folder of a trained one), or demonstrations (the "
            "rule's, as sft imitates them); or a file of judgements, preferences or conversations."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write, .jsonl or .parquet.")],
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="messages: a conversation a row; prompt-completion: a turn of the agent a row; preference: prompt, "
            "chosen and rejected, of judgements. Default: preference for judgements, else messages.",
        ),
    ] = None,
    env: PlayedEnvOption = None,
    set_: SetOption = None,
    config: ConfigOption = None,
    num: Annotated[
        int | None,
        typer.Option(min=1, show_default=str(NUM), help="Conversations to play; all goals, where the split has fewer."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(show_default="train", help="Goals and wordings to play: train, validation or test.")
    ] = None,
    flaw_rate: Annotated[
        float,
        typer.Option(min=0, max=1, help="Of demonstrations: turns with a random reply instead."),
    ] = 0.0,
    successful: Annotated[
        bool, typer.Option("--successful", help="Of an agent, only conversations that succeed.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, show_default="0", help="Seed of everything random.")] = None,
    trust: TrustOption = False,
) -> None:
    """Write conversations or judgements in TRL's conversational formats, which `datasets` and `data=` read.

    Tool calls and results are messages in words, as the environment speaks them.
    """
    from dialogym.envs.data_files.export import completion_rows, export_file, message_rows, preference_rows, write_rows

    export_file(out)
    if _is_file(source):
        playing = {
            "env": env,
            "set": set_,
            "config": config,
            "num": num,
            "split": split,
            "flaw-rate": flaw_rate or None,
            "successful": successful or None,
            "seed": seed,
        }
        _refuse_to_play(source, [f"--{name}" for name, value in playing.items() if value is not None])
        preferences, ties = _preferences(source)
        if preferences is not None:
            if format_ not in (None, Format.preference):
                raise ValueError(f"{source} holds judgements: --format must be preference, got {format_.value}")
            count = write_rows(out, preference_rows(preferences))
            left_out = f"; {ties} ties are left out" if ties else ""
            said = f"Wrote {count} preferences to {out}{left_out}"
            console.print(said, soft_wrap=True, markup=False, highlight=False)
            return
    if format_ is Format.preference:
        raise ValueError(f"--format preference needs a file of judgements or preferences, got {source!r}")
    conversations = _conversations(
        source, env, set_, config, num or NUM, split or "train", flaw_rate, successful, seed or 0, trust
    )
    rows = (completion_rows if format_ is Format.prompt_completion else message_rows)(conversations)
    count = write_rows(out, rows)
    said = f"Wrote {count} rows of {len(conversations)} conversations to {out}"
    console.print(said, soft_wrap=True, markup=False, highlight=False)


def _is_file(source: str) -> bool:
    from dialogym.envs.data_files.sources import BUILDERS, HUB

    return source.startswith(HUB) or Path(source).suffix.lower() in BUILDERS or Path(source).is_file()


def _refuse_to_play(source: str, options: Sequence[str]) -> None:
    """Raises ValueError for options of playing beside a file, of which nothing is played."""
    from dialogym.envs.data_files import open_rows

    if options:
        open_rows(source)  # what is wrong with the file is told first
        raise ValueError(f"{source} is a file, of which all is written: {', '.join(options)} is for what is played")


def _preferences(source: str) -> tuple[Any, int]:
    """The preferences of a file, and how many ties it has beside them; None where it holds conversations."""
    from dialogym.agents.preference.judgements import preferences_of, read_judgements
    from dialogym.envs.data_files import holds_preferences, load_preferences, open_rows

    if holds_preferences(source):
        return load_preferences(source), 0
    if {"first", "second", "choice"} <= set(open_rows(source).columns()):
        judgements = read_judgements(source)
        preferences = preferences_of(judgements)
        return preferences, len(judgements) - len(preferences)
    return None, 0


def _conversations(
    source: str,
    env: str | None,
    set_: list[str] | None,
    config: list[str] | None,
    num: int,
    split: str,
    flaw_rate: float,
    successful: bool,
    seed: int,
    trust: bool,
) -> Sequence[Any]:
    from dialogym.agents.language_model.demonstrations import demonstrate
    from dialogym.envs.data_files import load_conversations
    from dialogym.evaluation.score import frozen_goals, score

    if _is_file(source):
        return load_conversations(source)
    made = env_for([source], env, options_beside_split(set_), trust)
    if source == DEMONSTRATIONS:
        if successful or config:
            raise ValueError("--successful and --config are for an agent, not for demonstrations")
        return demonstrate(made, num, flaw_rate, seed, split).conversations
    if flaw_rate:
        raise ValueError(f"--flaw-rate is for {DEMONSTRATIONS}, got it for {source}")
    player = player_of(source, made, seed, options_of(config), trust)
    scores = score(player, made, frozen_goals(made, split, num, seed=seed).goals, split=split)
    kept = [
        talk for talk, success in zip(scores.conversations, scores.success, strict=True) if success or not successful
    ]
    if not kept:
        raise ValueError(f"none of the {len(scores.success)} conversations of {source} succeeded")
    return kept
