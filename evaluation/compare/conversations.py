"""Conversations as a comparison keeps them: all that a reward is told of every turn, so that others can score them.

A file of JSON lines. The first one is the header: schema, the version of the package, and what all conversations share.
Goals and gold replies are not in it: the task has them by the goals' ids.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import __version__
from ...agents.files import atomic_write
from ...rewards.transcript import Transcript
from ..score import Kept, Scores, Trial

SCHEMA = 1
CONVERSATIONS_FILE, LAST_CONVERSATIONS_FILE = "conversations.jsonl", "conversations-last.jsonl"
"""Of the agent that is reported, and of the one where training stopped."""


@dataclass(frozen=True)
class Conversations:
    """What a file holds.

    Attributes:
        goals: id and noise seed of each conversation.
        kept: of each conversation, in the same order.
        max_turns, num_parts: of the environment that they were played in.
    """

    goals: Sequence[Trial]
    kept: Sequence[Kept]
    max_turns: int
    num_parts: int


def write_conversations(
    path: str | Path, scores: Scores, goals: Sequence[Trial], max_turns: int, num_parts: int
) -> None:
    """Keeps what was played about ``goals``; the file is either written as a whole or not at all."""
    header = {"schema": SCHEMA, "dialogym": __version__, "max_turns": max_turns, "num_parts": num_parts}
    lines: list[Mapping[str, Any]] = [header]
    for (goal_id, noise_seed), kept in zip(goals, scores.kept, strict=True):
        lines.append({"goal_id": goal_id, "noise_seed": noise_seed, **dataclasses.asdict(kept)})
    atomic_write(path, "".join(json.dumps(line) + "\n" for line in lines))


def read_conversations(path: str | Path) -> Conversations:
    """What :func:`write_conversations` wrote.

    Raises:
        FileNotFoundError: where there is no file: a comparison of an older version kept none.
        ValueError: for a file of another schema, or one that is damaged, with the line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.parent} has no {path.name}: it was scored before conversations were kept whole. Score it anew: "
            f"delete its arm.json and repeat the command of the comparison, or train it again"
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    goals, kept = [], []
    number, header = 1, {}
    try:
        header = json.loads(lines[0])
        if header["schema"] == SCHEMA:
            for number, line in enumerate(lines[1:], 2):  # noqa: B007  the error tells it
                row = json.loads(line)
                goals.append((row.pop("goal_id"), row.pop("noise_seed")))
                kept.append(Kept(**row))
            return Conversations(goals, kept, header["max_turns"], header["num_parts"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path}, line {number}: not a conversation: {type(error).__name__}: {error}") from error
    raise ValueError(f"{path}: schema must be {SCHEMA}, got {header['schema']!r}: another version of dialogym wrote it")


def transcripts_of(
    kept: Kept, goal: Mapping[str, Any], references: tuple[str, ...], max_turns: int, num_parts: int
) -> Iterator[Transcript]:
    """The conversation as a reward saw it after each agent turn, first to last."""
    before = 0
    for turn, (num_messages, parts_done) in enumerate(kept.turns, 1):
        filled = kept.filled[turn - 1] if kept.filled else {}
        transcript = Transcript({**goal, **filled}, references, max_turns, num_parts)
        for place, (role, content) in enumerate(kept.messages[:num_messages]):
            transcript.append((role, content), kept.spoken.get(str(place)))
        is_last = turn == len(kept.turns)
        transcript.turn = turn
        transcript.parts_done, transcript.parts_done_now, before = parts_done, parts_done - before, parts_done
        transcript.success, transcript.ended = is_last and kept.success, is_last and kept.ended
        yield transcript
