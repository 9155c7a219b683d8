"""JSON Lines, JSON and CSV as rows: an index of where each record stands in the file, and the record when it is asked
for. They need no library, and an error knows the line."""

from __future__ import annotations

import codecs
import csv
import json
import re
from abc import abstractmethod
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .rows import ListRows, Row, RowError, Rows

_MAX_CELL = 2**31 - 1
_decode = json.JSONDecoder().decode
_BETWEEN = re.compile(r"[\s,]*")
_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


class IndexedFile(Rows):
    """Records that stand one after the other in a UTF-8 file, with or without a byte order mark.

    The file is read once from end to end, to find where each record begins and ends; later a record is read when it is
    asked for.

    Args:
        path: of the file.
        name: what errors call it, where that is not its path.

    Raises:
        ValueError: for a file that is not UTF-8, with the line.
    """

    def __init__(self, path: Path, name: str | None = None):
        self.path, self.name = path.resolve(), name or str(path)  # is read again, maybe from another folder
        self._changed = path.stat().st_mtime_ns
        self._starts, self._ends, self._lines = array("Q"), array("Q"), array("L")
        with path.open("rb") as file:
            begin = file.read(3)
            for mark, encoding in _ENCODINGS.items():
                if begin.startswith(mark):
                    raise ValueError(f"{self.name}: expected UTF-8 text, got {encoding}: save it as UTF-8")
            file.seek(3 if begin == codecs.BOM_UTF8 else 0)
            self._scan(file)

    @abstractmethod
    def _scan(self, file: BinaryIO) -> None:
        """Notes where each record stands, from where the file is."""

    @abstractmethod
    def _parsed(self, text: str) -> Row:
        """The record of its text; a RowError says what is wrong with it."""

    def _note(self, start: int, end: int, line: int) -> None:
        self._starts.append(start)
        self._ends.append(end)
        self._lines.append(line)

    def _decoded(self, line: bytes, number: int) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError as e:
            shown = line[max(0, e.start - 10) : e.start + 10]
            raise ValueError(
                f"{self.name}, line {number}: expected UTF-8 text, got a byte that is none in {shown!r}: "
                f"save it as UTF-8"
            ) from e

    def __len__(self) -> int:
        return len(self._starts)

    def row(self, number: int) -> Row:
        with self.path.open("rb") as file:
            if self.path.stat().st_mtime_ns != self._changed:
                raise ValueError(f"{self.name} has changed since it was read: make the environment again")
            return self._parsed(self._text(file, number))

    def __iter__(self) -> Iterator[Row | RowError]:
        with self.path.open("rb") as file:
            for number in range(len(self)):
                try:
                    yield self._parsed(self._text(file, number))
                except RowError as e:
                    yield e

    def _text(self, file: BinaryIO, number: int) -> str:
        file.seek(self._starts[number])
        return file.read(self._ends[number] - self._starts[number]).decode()

    def where(self, number: int) -> str:
        return f"line {self._lines[number]}"


class JsonLines(IndexedFile):
    """An object on each line; empty lines count for nothing."""

    def _scan(self, file: BinaryIO) -> None:
        start = file.tell()
        for number, line in enumerate(file, start=1):  # ends at \n alone: str.splitlines() would also cut at U+2028
            end = start + len(line)
            if self._decoded(line, number).strip():
                self._note(start, end, number)
            start = end

    def _parsed(self, text: str) -> Row:
        return _object(text)


class JsonArray(IndexedFile):
    """A list of objects, ``[{...}, {...}]``, which may be written over many lines."""

    def _scan(self, file: BinaryIO) -> None:
        start = file.tell()
        text = self._decoded(file.read(), 1)
        place = text.index("[") + 1
        start, line, counted = start + len(text[:place].encode()), 1 + text.count("\n", 0, place), place
        decode = json.JSONDecoder().raw_decode
        while (place := _BETWEEN.match(text, place).end()) < len(text) and text[place] != "]":  # type: ignore[union-attr]
            try:
                _, end = decode(text, place)
            except json.JSONDecodeError as e:
                raise ValueError(f"{self.name}, line {e.lineno}: expected JSON ({e.msg}, column {e.colno})") from e
            start += len(text[counted:place].encode())
            line += text.count("\n", counted, place)
            stop = start + len(text[place:end].encode())
            self._note(start, stop, line)
            line += text.count("\n", place, end)
            start, place, counted = stop, end, end
        if not text[place:].startswith("]"):
            raise ValueError(f"{self.name}: expected a list of objects that ends with ], got a file that ends before")

    def _parsed(self, text: str) -> Row:
        return _object(text)


def json_rows(path: Path, name: str | None = None) -> Rows:
    """The rows of a ``.json`` file: a list of objects, JSON Lines by that name, or an object that holds one table.

    Arguments are those of :class:`IndexedFile`.

    Raises:
        ValueError: for anything else.
    """
    name = name or str(path)
    with path.open("rb") as file:
        first_line = b""
        while not first_line.strip() and (line := file.readline()):
            first_line = line.removeprefix(codecs.BOM_UTF8)
    if first_line.lstrip().startswith(b"["):
        return JsonArray(path, name)
    try:
        json.loads(first_line)
    except ValueError:
        return _json_table(path, name)
    lines = JsonLines(path, name)
    return lines if len(lines) > 1 else _json_table(path, name, lines)


def _json_table(path: Path, name: str, lines: Rows | None = None) -> Rows:
    """Rows of ``{"data": [{...}, ...]}``, ``{"text": [...], ...}``, or ``{"text": {"0": ..., ...}, ...}`` (pandas)."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as e:
        raise ValueError(f"{name}: expected JSON, a list of objects or an object on each line ({e})") from e
    tables = [value for value in whole.values() if _is_table(value)] if isinstance(whole, dict) else []
    if len(tables) == 1 and tables[0][0].keys() & {"role", "from"}:  # one conversation
        return ListRows([whole], name, "item {}", first=1)
    if len(tables) == 1:
        return ListRows(tables[0], name, "item {}", first=1)
    columns = list(whole.values()) if isinstance(whole, dict) else []
    if columns and all(isinstance(column, dict) for column in columns):
        columns = [list(column.values()) for column in columns]
    if (
        columns
        and all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns)
        and not tables
    ):
        rows = [dict(zip(whole, values, strict=True)) for values in zip(*columns, strict=True)]
        return ListRows(rows, name, "item {}", first=1)
    if lines is not None and isinstance(whole, dict):
        return lines
    shown = f"an object with {', '.join(map(repr, whole))}" if isinstance(whole, dict) else repr(whole)
    raise ValueError(f"{name}: expected a list of objects or an object on each line, got {shown:.120}")


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _object(text: str) -> Row:
    try:
        found = _decode(text)
    except json.JSONDecodeError as e:
        raise RowError(f"expected JSON, got {text.strip()!r:.80} ({e.msg}, column {e.colno})") from e
    except RecursionError as e:
        raise RowError(f"expected JSON, got {text.strip()!r:.80}, which is nested too deeply") from e
    if not isinstance(found, dict):
        raise RowError(f"expected an object with names and values, got {text.strip()!r:.80}")
    return found


class Csv(IndexedFile):
    """A table with a header, separated by commas, or by what separates the header (``;``, tab)."""

    has_text_cells = True

    def __init__(self, path: Path, name: str | None = None, delimiter: str | None = None):
        self._delimiter = delimiter
        super().__init__(path, name)

    def _scan(self, file: BinaryIO) -> None:
        csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))  # a long document is one cell
        position, number = file.tell(), 0

        def lines() -> Iterator[str]:
            nonlocal position, number
            for line in file:
                number += 1
                position += len(line)
                yield self._decoded(line, number)

        first = file.readline()
        self._dialect = _dialect(self._decoded(first, 1), self._delimiter)
        file.seek(position)
        reader = csv.reader(lines(), **self._dialect)
        try:
            header = next(reader, None)
        except csv.Error as e:
            raise ValueError(f"{self.name}, line 1: expected CSV with a header ({e})") from e
        self._header = [name.strip() for name in header or []]
        twice = [name for name in self._header if name and self._header.count(name) > 1]
        if twice:
            raise ValueError(f"{self.name}, line 1: expected columns of different names, got {twice[0]!r} twice")
        while True:
            start, first_line = position, number + 1
            cells = self._next(reader)
            if cells is None:
                return
            if cells:
                self._note(start, position, first_line)

    def _next(self, reader: Any) -> list[str] | None:
        """The cells of the next record; None at the end, and an empty cell for a record that cannot be read."""
        try:
            return next(reader, None)
        except csv.Error:
            return [""]  # is read again, and told, as a row

    def columns(self) -> list[str]:
        return [name for name in self._header if name]

    def _parsed(self, text: str) -> Row:
        try:
            cells = next(csv.reader([text], **self._dialect), [])
        except csv.Error as e:
            raise RowError(f"expected CSV, got {text.strip()!r:.80} ({e})") from e
        if len(cells) != len(self._header):
            raise RowError(
                f"expected {len(self._header)} columns as in the header ({', '.join(map(repr, self._header)):.120}), "
                f"got {len(cells)}: {text.strip()!r:.120}"
            )
        return {name: cell for name, cell in zip(self._header, cells, strict=True) if name}


def _dialect(header: str, delimiter: str | None) -> dict[str, Any]:
    """How a table is written, as its header shows: a comma unless only another mark is there."""
    if delimiter is None:
        marks = [mark for mark in (",", ";", "\t") if mark in header]
        delimiter = marks[0] if marks else ","
    return {"delimiter": delimiter, "skipinitialspace": f"{delimiter} " in header, "strict": True}
