"""Conversations with people, kept as JSON Lines: one conversation a line, in the messages format that ``sft`` reads.

    {"messages": [{"role": "user", "content": "..."}, ...], "spoken": {"4": "..."}, "success": true, "comment": "",
     "id": "...", "agent": "sft", "env": "TextDialog-v0", "began": "2026-01-31T12:00:00+00:00", "seconds": 61.2}

``messages`` are what the agent wrote, as it would imitate it; ``spoken`` is what the person read instead where that
differs, by the place of the message.
``success`` is what the person said at the end: true, false, or null where nobody said anything.

A conversation that was put away and then went on has several lines of one id: the last of them is the whole of it.
"""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..agents.files import append_line, atomic_write
from .talk import Talk

T = TypeVar("T")


class Records:
    """The file that conversations are added to.

    Args:
        path: ends in .jsonl; None keeps nothing.
        about: what stands in every line beside the conversation.

    Attributes:
        mended: the last line was only half written, and is cut off.

    Raises:
        ValueError: for a file of another name, or one that holds anything else.
        OSError: if it cannot be written.
    """

    def __init__(self, path: str | Path | None, about: Mapping[str, Any]):
        self.path, self.about = None if path is None else Path(path), about
        self.mended = False
        if self.path is not None:
            if self.path.suffix != ".jsonl":
                raise ValueError(f"expected a file that ends in .jsonl for the conversations, got {str(path)!r}")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.mended = _mend(self.path)

    def add(self, talk: Talk, success: bool | None = None, comment: str = "") -> bool:
        """Writes a conversation down, and returns when it is on the disk.

        Returns:
            False where nothing is kept: without a file, or of a conversation in which the agent has said nothing and
            that nobody judged.

        Raises:
            OSError: if it could not be written; the file is then as it was.
        """
        messages = talk.messages
        is_kept = success is not None or any(message["role"] == "assistant" for message in messages)
        if self.path is None or not is_kept:
            return False
        began = datetime.datetime.fromtimestamp(talk.began, datetime.timezone.utc)
        kept = {
            "messages": messages,
            "spoken": {
                str(place): heard["content"]
                for place, (message, heard) in enumerate(zip(messages, talk.spoken_messages, strict=True))
                if heard != message
            },
            "success": success,
            "comment": comment,
            "id": talk.id,
            **self.about,
            "began": began.isoformat(timespec="seconds"),
            "seconds": round(time.time() - talk.began, 1),
        }
        append_line(self.path, json.dumps(kept, ensure_ascii=False))
        return True


def read_records(path: str | Path, read: Callable[[dict[str, Any]], T]) -> list[T]:
    """What is read of each conversation that ``dialogym serve`` kept, once of those that have several lines.

    The last line of an id counts, and the last judgement.

    Args:
        path: the file.
        read: what is wanted of a line.

    Raises:
        ValueError: for a line that is no conversation, with its number.
    """
    found: dict[str | int, T] = {}
    judged: dict[str | int, dict[str, Any]] = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                id = record["id"] if isinstance(record.get("id"), str) else number
                if record.get("success") is not None:
                    judged[id] = {name: record[name] for name in ("success", "comment") if name in record}
                found.pop(id, None)
                found[id] = read({**record, **judged.get(id, {})})
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                what = f"expected a conversation that serve kept, got {line.strip():.80}"
                raise ValueError(f"{path}, line {number}: {what}") from e
    return list(found.values())


def _mend(path: Path) -> bool:
    """Cuts off a last line without its end, which a crash in the middle of writing left; True if there was one."""
    with open(path, "ab+") as file:
        file.seek(0)
        content = file.read()
    whole, _, rest = content.rpartition(b"\n")
    for number, line in enumerate(whole.splitlines(), start=1):
        if line.strip() and not _is_record(line):
            raise ValueError(f"{path}, line {number}: expected a conversation with messages, got {line[:80]!r}")
    if not rest:
        return False
    complete = _is_record(rest)
    atomic_write(path, content + b"\n" if complete else whole + b"\n" if whole else b"")
    return not complete


def _is_record(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("messages"), list)
