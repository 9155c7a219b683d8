"""Tasks about a list of items: reviews, riddles, word lists; ours or those of a user's own file.

An :class:`ItemTask` draws its goals from such a list and keeps the splits apart by the content of the items.
:func:`read_items` reads a user's file and says which line is wrong.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from ...rewards.files import package_file as package_file
from ...rewards.files import utf8_text
from ...rewards.transcript import Line
from .streams import Stream
from .task import SPLITS, Partner, Task

T = TypeVar("T")
Item = Mapping[str, Any]
Kind = type | tuple[type, ...]
KIND_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def read_items(
    path: str | Path,
    required: Mapping[str, Kind],
    optional: Mapping[str, Kind] | None = None,
    check: Callable[[dict[str, Any]], str | None] | None = None,
) -> list[dict[str, Any]]:
    """The items of a user's file: JSON Lines (``.jsonl``, an object per line) or CSV (``.csv``, with a header).

    Args:
        path: the file, UTF-8, with or without a byte order mark.
        required: field names and the type of each; in a CSV file numbers are read as such, and a list is separated by
            ``|``.
        optional: fields that may be missing; other fields are an error, since they are likely misspelt.
        check: what else must hold: returns what is wrong with an item in words, or None.

    Raises:
        ValueError: for an unreadable file, with the name of the file, the line, what was expected and what came.
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    text = utf8_text(path)
    readers = {".jsonl": _json_lines, ".csv": _csv_lines}
    ending = path.suffix.lower()
    if ending not in readers:
        raise ValueError(f"{path}: expected a file that ends in .jsonl or .csv, got {path.suffix or 'no ending'}")
    kinds = {**required, **(optional or {})}
    items = []
    for where, item in readers[ending](path, text, kinds):
        _check_fields(where, item, required, kinds)
        wrong = check(item) if check is not None else None
        if wrong:
            raise ValueError(f"{where}: {wrong}")
        items.append(item)
    if not items:
        raise ValueError(f"{path}: expected at least one item with {', '.join(required)}, got none")
    return items


def _json_lines(path: Path, text: str, kinds: Mapping[str, Kind]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would also cut at U+2028 inside a string
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            item = json.loads(line)
        except json.JSONDecodeError as e:
            raise ValueError(f"{where}: expected JSON, got {line!r:.80} ({e})") from e
        if not isinstance(item, dict):
            raise ValueError(f"{where}: expected an object with {', '.join(kinds)}, got {line!r:.80}")
        found.append((where, item))
    return found


def _csv_lines(path: Path, text: str, kinds: Mapping[str, Kind]) -> list[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    found = []
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            raise ValueError(
                f"{where}: expected {len(reader.fieldnames or ())} columns as in the header, got {row!r:.120}"
            )
        found.append((where, {name: _parsed(value, kinds.get(name, str)) for name, value in row.items()}))
    return found


def _parsed(value: str, kind: Kind) -> Any:
    """A cell as its field's type where it reads as one, else the text, which the check of types will find."""
    kinds = _kinds(kind)
    if list in kinds:
        return [part.strip() for part in value.split("|") if part.strip()]
    for number in (int, float):
        if number in kinds:
            try:
                return number(value)
            except ValueError:
                continue
    return value


def _check_fields(where: str, item: dict[str, Any], required: Mapping[str, Kind], kinds: Mapping[str, Kind]) -> None:
    for name in required:
        if name not in item:
            raise ValueError(f"{where}: expected the field {name!r}, got {', '.join(map(repr, item)) or 'no field'}")
    for name, value in item.items():
        if name not in kinds:
            raise ValueError(f"{where}: expected the fields {', '.join(kinds)}, got {name!r}")
        allowed = _kinds(kinds[name])
        is_flag = isinstance(value, bool) and bool not in allowed  # a bool is an int to isinstance
        is_number = float in allowed and isinstance(value, int)
        if is_flag or not (is_number or isinstance(value, allowed)):
            wanted = " or ".join(KIND_NAMES.get(kind, str(kind)) for kind in allowed)
            raise ValueError(f"{where}: {name} must be {wanted}, got {value!r:.80}")
        _check_text(where, name, value)


def _check_text(where: str, name: str, value: Any) -> None:
    """JSON can hold half a character (a lone surrogate), which no text can."""
    for text in value if isinstance(value, list) else [value]:
        try:
            str(text).encode()
        except UnicodeEncodeError as e:
            raise ValueError(f"{where}: {name} must be text of whole characters, got {text!r:.80}") from e


def _kinds(kind: Kind) -> tuple[type, ...]:
    return kind if isinstance(kind, tuple) else (kind,)


def full_path(path: str | Path | None) -> str | None:
    """The path of a user's file from the root on, so that it is found from another folder too; None stays None."""
    return None if path is None else str(Path(path).resolve())


def changed_at(path: str | None) -> int:
    """When a user's file last changed, in ns: what is read from it is kept under this too. 0 for None.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    return 0 if path is None else Path(path).stat().st_mtime_ns


def read_once(read: Callable[[str | None], T]) -> Callable[[str | None], T]:
    """``read`` of a user's file, None being ours: once per process, and once more whenever the file has changed."""

    @functools.lru_cache(maxsize=8)
    def version(path: str | None, changed: int) -> T:
        return read(path)

    @functools.wraps(read)
    def latest(path: str | None = None) -> T:
        return version(path, changed_at(path))

    return latest


def shipped_file(file: str) -> Any:
    """A data file of ours, in ``envs/data``."""
    return resources.files("dialogym.envs.data") / file


class ItemTask(Task):
    """A task whose goals are the items of a list; the number of an item is its goal id.

    A subclass calls ``super().__init__(items)`` and gives ``partner``. Items are split by a hash of ``content``, so
    that the same item twice never stands on both sides.

    Args:
        items: what there is; read, never changed.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, items: Sequence[Item]):
        if not items:
            raise ValueError(f"{self.name} needs at least one item, got none")
        self.items = items

    @functools.cached_property
    def _numbers(self) -> dict[str, list[int]]:
        """Numbers of the items of each split."""
        numbers: dict[str, list[int]] = {split: [] for split in SPLITS}
        for number, item in enumerate(self.items):
            numbers[self.split_of(item)].append(number)
        return numbers

    def numbers_of(self, split: str) -> list[int]:
        """Numbers of the items of a split.

        Raises:
            ValueError: if the split has none.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        if not self._numbers[split]:
            count = len(self.items)
            raise ValueError(
                f"{self.name}: none of the {count} items fell into the split {split!r} (8 of 10 go to train, 1 to "
                f"validation, 1 to test, by a hash of their content): give more items"
            )
        return self._numbers[split]

    def draw_goal(self, rng: random.Random) -> Item:
        return self.items[rng.randrange(len(self.items))]

    def goal(self, goal_id: str) -> Item:
        """The item of a number.

        Raises:
            ValueError: if ``goal_id`` is not the text of a number of an item.
        """
        if isinstance(goal_id, str) and goal_id.isascii() and goal_id.isdigit() and int(goal_id) < len(self.items):
            return self.items[int(goal_id)]
        raise ValueError(f"a goal id of {self.name} is the text of a number in [0, {len(self.items)}), got {goal_id!r}")

    def sample_goal(self, seed: int, split: str) -> tuple[str, Item]:
        numbers = self.numbers_of(split)
        number = numbers[Stream(seed).randrange(len(numbers))]
        return str(number), self.items[number]

    def goal_ids(self, split: str, count: int, seed: int = 0) -> list[str]:
        """A frozen list of ``count`` items of a split: each once before any comes again."""
        numbers = list(self.numbers_of(split))
        Stream(seed).shuffle(numbers)
        return [str(numbers[place % len(numbers)]) for place in range(count)]

    def reference(self, observation: Any, info: Mapping[str, Any]) -> str:
        """The gold reply, as a policy: what the best labelled data would say. It reads the goal, which no agent may."""
        return self.references(self.goal(info["goal_id"]))[0]


class OneReply(Partner):
    """A conversation of one agent turn: an instruction, the text it is about, and the verdict on the reply.

    Args:
        instruction: the partner's system message; empty where the task's ``instructions`` say all there is to say.
        prompt: the user's message.
        accepts: the ground truth: whether a reply succeeds; no lambda, since environments are pickled.
    """

    def __init__(self, instruction: str, prompt: str, accepts: Callable[[str], bool]):
        self.instruction, self.prompt, self.accepts = instruction, prompt, accepts

    def open(self) -> list[Line]:
        asked: list[Line] = [("user", self.prompt)]
        return [("system", self.instruction), *asked] if self.instruction else asked

    def hear(self, utterance: str) -> list[Line]:
        self.over = True
        self.success = self.accepts(utterance)
        return []
