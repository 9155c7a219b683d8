"""Items: the rows of a user's data as a task reads them, checked one by one, and told all at once what is wrong."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

from . import fields as names
from .fields import Fields, as_read, match_fields, native, tell
from .rows import Row, RowError, Rows
from .sources import open_rows

IN_MEMORY = 10_000
"""So many items are kept as objects; of more, only where they stand."""
SHOWN_PROBLEMS = 10
ON_ERROR = ("raise", "skip")
Check = Callable[[dict[str, Any]], str | None]


class Problems:
    """What is wrong with rows: the first ``SHOWN_PROBLEMS`` of it, and how often something is."""

    def __init__(self, rows: Rows):
        self.rows = rows
        self.count = 0
        self.shown: list[str] = []

    def note(self, number: int, wrong: object) -> None:
        """Takes in what is wrong with the row of a number."""
        self.count += 1
        if len(self.shown) < SHOWN_PROBLEMS:
            self.shown.append(f"{self.rows.where(number)}: {wrong}")

    def told(self) -> str:
        """All of it, as an error says it."""
        name = self.rows.name
        if self.count == 1:
            place = self.shown[0]
            return place if place.startswith(name) else f"{name}, {place}"
        first = f"; the first {SHOWN_PROBLEMS}" if self.count > SHOWN_PROBLEMS else ""
        lines = "".join(f"\n  {line}" for line in self.shown)
        some = f"{self.count:,} of {len(self.rows):,} rows"
        return f"{name}: {some} are wrong (on_error='skip' leaves them out){first}:{lines}"


class Items(Sequence[dict[str, Any]]):
    """The items of a user's data; of many, each is read when it is asked for.

    Attributes:
        fields: the column that each field was taken from.
        source: what the data is called.
        num_skipped: rows that were left out because something is wrong with them.
        complete: the fields that every item has.
        longest: characters in the fields of the longest item.
        numbers: of the items of each split, for each kind of task that has found them.
    """

    def __init__(self, rows: Rows, fields: Fields, found: Mapping[str, str], check: Check | None = None):
        self.source, self.fields, self.num_skipped = rows.name, dict(found), 0
        self.complete: frozenset[str] = frozenset(found)
        self._rows, self._check = rows, check
        self._columns = set(found.values())
        self._others = self._columns | fields.keys()  # names that no other column keeps
        self._plan = [
            (name, field, found.get(name), rows.label_names.get(found.get(name, ""))) for name, field in fields.items()
        ]
        self.numbers: dict[Any, Any] = {}
        self.longest = 0
        self._kept: Sequence[int] = range(len(rows))
        self._items: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, number: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, number: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, number: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if self._items is not None:
            return self._items[number]
        if isinstance(number, slice):
            return [self[one] for one in range(len(self))[number]]
        return self._again(self._rows.row(self._kept[number]))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._items is not None:
            yield from self._items
            return
        kept = iter(self._kept)
        wanted = next(kept, None)
        for number, row in enumerate(self._rows):
            if number == wanted:
                assert not isinstance(row, RowError)
                yield self._again(row)
                wanted = next(kept, None)

    def _again(self, row: Row) -> dict[str, Any]:
        """The item of a row that was found right before."""
        item = self.item(row)
        if self._check is not None:
            self._check(item)  # which may change it
        return item

    def item(self, row: Row) -> dict[str, Any]:
        """The fields of a row under their own names, and whatever else it holds under its.

        Raises:
            ValueError: with the field, what was expected and what came.
        """
        item: dict[str, Any] = {}
        for name, field, column, labels in self._plan:
            value = row.get(column) if column is not None else None
            if value is None or (isinstance(value, float) and value != value):
                if field.optional:
                    continue
                if column not in row:
                    free = [other for other in row if other not in self._columns]
                    raise ValueError(names.missing(column or name, field, free, list(row)))
            try:
                item[name] = as_read(value, field, self._rows.has_text_cells, labels)
            except ValueError as e:
                called = name if name == column else f"{name} (the column {column!r})"
                raise ValueError(f"{called} {e}") from None
        for column, value in row.items():
            if column not in self._others:
                labels = self._rows.label_names.get(column)
                is_label = labels is not None and isinstance(value, int) and 0 <= value < len(labels)
                item[column] = labels[value] if labels is not None and is_label else native(value)
        return item

    def keep(self, kept: array[int], items: list[dict[str, Any]] | None) -> None:
        """Leaves out all rows but these, and holds the items themselves where they are given."""
        self.num_skipped = len(self._rows) - len(kept)
        self._kept = range(len(self._rows)) if not self.num_skipped else kept
        self._items = items


def _num_characters(value: Any) -> int:
    """How many characters the texts in a value have."""
    if isinstance(value, str):
        return len(value)
    return sum(map(_num_characters, value)) if isinstance(value, list) else 0


def load_items(
    data: Any,
    fields: Fields,
    given: Mapping[str, str] | None = None,
    on_error: str = "raise",
    check: Check | None = None,
    once: Check | None = None,
) -> Items:
    """The items of a user's data; every row is read and checked once.

    Args:
        data: whatever :func:`open_rows` takes.
        fields: what a task reads of a row; what else there is is kept under its own name.
        given: columns by field, where the user named them.
        on_error: "raise", or "skip" to leave out rows with which something is wrong, and log how many.
        check: what else must hold: returns what is wrong with an item in words, or None. It may change the item, and is
            called whenever the item is read again.
        once: the same, called once for each row, in their order: what hangs on the rows before.

    Raises:
        ValueError: for data that cannot be read, with its name, the row, the field, what was expected and what came: of
            the first ``SHOWN_PROBLEMS`` rows, and how many there are.
        FileNotFoundError, ImportError: as :func:`open_rows`.
    """
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error must be one of {', '.join(ON_ERROR)}, got {on_error!r}")
    rows = open_rows(data)
    wanted = ", ".join(name for name, field in fields.items() if not field.optional)
    if not len(rows):
        raise ValueError(f"{rows.name}: expected at least one item with {wanted}, got none")
    columns = rows.columns()
    if not columns:
        _tell_first(rows)
    found = match_fields(columns, fields, given, rows.name)
    items = Items(rows, fields, found, check)
    problems, kept, in_memory = Problems(rows), array("L"), [] if len(rows) <= IN_MEMORY else None
    complete, longest = set(found), 0
    for number, row in enumerate(rows):
        if isinstance(row, RowError):
            problems.note(number, row)
            continue
        try:
            item = items.item(row)
        except ValueError as e:
            problems.note(number, e)
            continue
        wrong = (check(item) if check is not None else None) or (once(item) if once is not None else None)
        if wrong:
            problems.note(number, wrong)
            continue
        kept.append(number)
        longest = max(longest, _num_characters([item[name] for name in found if name in item]))
        if complete and not complete <= item.keys():
            complete &= item.keys()
        if in_memory is not None:
            in_memory.append(item)
    if problems.count and (on_error == "raise" or not kept):
        raise ValueError(problems.told())
    items.keep(kept, in_memory)
    items.complete, items.longest = frozenset(complete), longest
    tell(rows.name, found, columns, fields, "kept as facts")
    if problems.count:
        names.log.warning(
            "%s: left out %s of %s rows with which something is wrong, the first being %s",
            rows.name, f"{problems.count:,}", f"{len(rows):,}", problems.shown[0],
        )  # fmt: skip
    return items


def _tell_first(rows: Rows) -> None:
    """Raises for data of which none of the first rows can be read."""
    problems = Problems(rows)
    for number, row in enumerate(rows):
        if isinstance(row, RowError):
            problems.note(number, row)
    raise ValueError(problems.told() if problems.count else f"{rows.name}: expected names and values, got empty rows")
