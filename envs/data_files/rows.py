"""Rows: what every kind of data looks like from here, one record at a time, whatever holds them.

A row is a dict of its own; a source of a million rows holds an index of them, not the rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

Row = dict[str, Any]
NUM_LOOKED_AT = 100
"""Rows whose names say which columns there are, where nothing else says it."""
BATCH = 1000
"""Rows that are read at once from a table."""


class RowError(ValueError):
    """A row that cannot be read; says what was expected and what came."""


class Rows(ABC):
    """Records of a file, a table or a list.

    Attributes:
        name: what errors call the source.
        label_names: of each column whose numbers stand for labels, the labels in the order of their numbers.
        has_text_cells: every cell is text, as in CSV, and numbers and lists have to be read from it.
    """

    name: str
    label_names: Mapping[str, Sequence[str]] = {}
    has_text_cells: bool = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def row(self, number: int) -> Row:
        """The row of a number in [0, len).

        Raises:
            RowError: if it cannot be read.
        """

    @abstractmethod
    def __iter__(self) -> Iterator[Row | RowError]:
        """All rows in their order, those that cannot be read as what is wrong with them."""

    @abstractmethod
    def where(self, number: int) -> str:
        """Where a person finds a row: "line 3"."""

    def columns(self) -> list[str]:
        """Names of the columns; where each row has its own, those of the first ``NUM_LOOKED_AT``."""
        found: dict[str, None] = {}
        for row in islice(self, NUM_LOOKED_AT):
            if not isinstance(row, RowError):
                found.update(dict.fromkeys(row))
        return list(found)


class ListRows(Rows):
    """A list of dicts.

    Args:
        rows: the dicts; read, never changed.
        name: what errors call the list.
        place: how errors name a row, of its number from 0.
    """

    def __init__(self, rows: Sequence[Any], name: str = "data", place: str = "data[{}]", first: int = 0):
        self.rows, self.name, self._place, self._first = rows, name, place, first

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, number: int) -> Row:
        return _mapping(self.rows[number])

    def __iter__(self) -> Iterator[Row | RowError]:
        for row in self.rows:
            try:
                yield _mapping(row)
            except RowError as e:
                yield e

    def where(self, number: int) -> str:
        return self._place.format(number + self._first)


def _mapping(row: Any) -> Row:
    if not isinstance(row, Mapping):
        raise RowError(f"expected an object with names and values, got {row!r:.80}")
    return dict(row)


class SeveralRows(Rows):
    """The rows of several files, one file after the other."""

    def __init__(self, files: Sequence[Rows], name: str):
        self.files, self.name = files, name
        self.has_text_cells = all(file.has_text_cells for file in files)
        self._ends = list(accumulate(map(len, files)))

    def __len__(self) -> int:
        return self._ends[-1]

    def _place(self, number: int) -> tuple[Rows, int]:
        """The file that a row stands in, and its number there."""
        file = bisect_right(self._ends, number)
        return self.files[file], number - (self._ends[file - 1] if file else 0)

    def row(self, number: int) -> Row:
        file, there = self._place(number)
        return file.row(there)

    def __iter__(self) -> Iterator[Row | RowError]:
        return chain.from_iterable(self.files)

    def where(self, number: int) -> str:
        file, there = self._place(number)
        return f"{Path(file.name).name}, {file.where(there)}"

    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for file in self.files for column in file.columns()))


class DatasetRows(Rows):
    """A ``Dataset`` of the library ``datasets``, which stays where it is: on the disk, mapped into memory."""

    def __init__(self, dataset: Any, name: str = "data", place: str = "data[{}]", first: int = 0):
        self.dataset = dataset.with_format(None)
        self.name, self._place, self._first = name, place, first
        features = dataset.features or {}
        self.label_names = {
            column: list(feature.names) for column, feature in features.items() if hasattr(feature, "int2str")
        }

    def __len__(self) -> int:
        return len(self.dataset)

    def row(self, number: int) -> Row:
        return self.dataset[number]

    def __iter__(self) -> Iterator[Row | RowError]:
        columns = self.columns()
        for batch in self.dataset.iter(batch_size=BATCH):
            for values in zip(*(batch[column] for column in columns), strict=True):
                yield dict(zip(columns, values, strict=True))

    def where(self, number: int) -> str:
        return self._place.format(number + self._first)

    def columns(self) -> list[str]:
        return list(self.dataset.column_names)


class FrameRows(Rows):
    """A DataFrame of pandas; what it calls missing is None."""

    name = "data"

    def __init__(self, frame: Any):
        named = [name for name in frame.index.names if name is not None and name not in frame.columns]
        frame = frame.reset_index(named) if named else frame
        self.frame = frame.rename(columns=str)
        if not self.frame.columns.is_unique:
            twice = self.frame.columns[self.frame.columns.duplicated()][0]
            raise ValueError(f"data: expected columns of different names, got {twice!r} twice")

    def __len__(self) -> int:
        return len(self.frame)

    def row(self, number: int) -> Row:
        return self._records(self.frame.iloc[number : number + 1])[0]

    def __iter__(self) -> Iterator[Row | RowError]:
        for start in range(0, len(self.frame), BATCH):
            yield from self._records(self.frame.iloc[start : start + BATCH])

    def _records(self, part: Any) -> list[Row]:
        missing = part.isna().to_numpy()
        records = part.to_dict("records")
        for place, column in zip(*missing.nonzero(), strict=True):
            records[place][self.frame.columns[column]] = None
        return records

    def where(self, number: int) -> str:
        return f"data.iloc[{number}]"

    def columns(self) -> list[str]:
        return list(self.frame.columns)
