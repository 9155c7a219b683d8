"""Out again: conversations and preferences in TRL's conversational formats, which its trainers and ``datasets`` read.

https://huggingface.co/docs/trl/dataset_formats: language modelling (``messages``), prompt and completion, preference.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...rewards.files import atomic_write
from ...rewards.transcript import Message
from .conversations import Preference

ENDINGS = (".jsonl", ".parquet")


def message_rows(conversations: Iterable[Sequence[Message]]) -> Iterator[dict[str, Any]]:
    """A row ``{"messages": [...]}`` for each conversation."""
    for messages in conversations:
        yield {"messages": [dict(message) for message in messages]}


def completion_rows(conversations: Iterable[Sequence[Message]]) -> Iterator[dict[str, Any]]:
    """A row ``{"prompt": [...], "completion": [...]}`` for each turn of the assistant: what came before it, and it.

    Turns that are not to be imitated, those with a weight of 0, stand in prompts alone.
    """
    for messages in conversations:
        for place, message in enumerate(messages):
            if message["role"] == "assistant" and message.get("weight") != 0:
                before = [{"role": earlier["role"], "content": earlier["content"]} for earlier in messages[:place]]
                yield {"prompt": before, "completion": [dict(message)]}


def preference_rows(preferences: Iterable[Preference]) -> Iterator[dict[str, Any]]:
    """A row ``{"prompt": [...], "chosen": [...], "rejected": [...]}`` for each preference."""
    for messages, chosen, rejected in preferences:
        yield {
            "prompt": [dict(message) for message in messages],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
        }


def export_file(path: str | Path) -> Path:
    """The path, if rows can be written there.

    Raises:
        ValueError: for another ending than those of ``ENDINGS``.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"expected a file that ends in {' or '.join(ENDINGS)}, got {str(path)!r}")
    return path


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Writes rows as JSON Lines, or as Parquet where the file ends so; how many.

    Raises:
        ValueError: for no rows, or another ending.
        ImportError: for Parquet without ``datasets``, with the extra that brings it.
    """
    path = export_file(path)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    if not lines:
        raise ValueError("there is nothing to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".parquet":
        try:
            datasets = importlib.import_module("datasets")
        except ImportError as e:
            raise ImportError(
                f'{path} needs the library datasets: pip install "dialogym[data]"', name="datasets"
            ) from e
        datasets.Dataset.from_list([json.loads(line) for line in lines]).to_parquet(path)
    else:
        atomic_write(path, "\n".join(lines) + "\n")
    return len(lines)
