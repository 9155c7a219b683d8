"""Fields: what a task reads of a row, under which names it knows it, and how a value becomes what the task wants."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from ...rewards.suggestions import did_you_mean

log = logging.getLogger("dialogym.data")
Kind = type | tuple[type, ...]
KIND_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
_NEAR = 0.75
"""Likeness from which a name is taken for another one misspelt."""
_told: set[str] = set()


class Field(NamedTuple):
    """A field that a task reads.

    Attributes:
        kind: the type, or types, of its values.
        names: others that it goes by, the most usual first; the case of letters, spaces and ``_`` do not matter.
        optional: a row may lack it.
        read: makes the value out of what stands there; raises ValueError with what was expected.
    """

    kind: Kind
    names: tuple[str, ...] = ()
    optional: bool = False
    read: Callable[[Any], Any] | None = None


Fields = Mapping[str, Field]


def plain(name: str) -> str:
    """A name as it is compared: ``"Price Range"`` and ``price_range`` are one."""
    return re.sub(r"[\W_]+", "", str(name)).casefold()


def match_fields(
    columns: Sequence[str], fields: Fields, given: Mapping[str, str] | None = None, source: str = "data"
) -> dict[str, str]:
    """The column that each field is taken from.

    Args:
        columns: the names that there are.
        fields: what is looked for.
        given: columns that the user named, by field.
        source: what errors call the data.

    Raises:
        ValueError: for a required field that no column is known to hold, or a field or column given that there is not,
            with the nearest right name; or if ``given`` is not a mapping of names.
    """
    found = checked_names(given, columns, fields, source)
    free = [column for column in columns if column not in found.values()]
    for optional in (False, True):
        wanted = {name: field for name, field in fields.items() if field.optional == optional}
        known = [(name, name) for name in wanted]  # its own name first, in every field, before any other is guessed
        known += [(name, other) for name, field in wanted.items() for other in field.names]
        for name, other in known:
            if name not in found and (column := _named(other, free, source, name)) is not None:
                found[name] = column
                free.remove(column)
    for name, field in fields.items():
        if name not in found and not field.optional:
            raise ValueError(f"{source}: {missing(name, field, free, columns)}")
    return {name: found[name] for name in fields if name in found}


def missing(name: str, field: Field, free: Sequence[str], columns: Sequence[str]) -> str:
    """What is said where a required field is not there."""
    also = f" (or {', '.join(field.names)})" if field.names else ""
    near = nearest(name, field, free)
    hint = f"; did you mean {near!r}? Then fields={{{name!r}: {near!r}}}" if near else ""
    return f"expected the field {name!r}{also}, got {', '.join(map(repr, columns)) or 'no field'}{hint}"


def nearest(name: str, field: Field, columns: Sequence[str]) -> str | None:
    """The column whose name looks like that of a field, misspelt."""
    by_plain = {plain(column): column for column in columns}
    for known in (name, *field.names):
        near = difflib.get_close_matches(plain(known), by_plain, n=1, cutoff=_NEAR)
        if near:
            return by_plain[near[0]]
    return None


def _named(name: str, columns: Sequence[str], source: str, field: str) -> str | None:
    if name in columns:
        return name
    found = [column for column in columns if plain(column) == plain(name)]
    if len(found) > 1:
        raise ValueError(
            f"{source}: {field!r} could be {' or '.join(map(repr, found))}: say fields={{{field!r}: {found[0]!r}}}"
        )
    return found[0] if found else None


def checked_names(
    given: Mapping[str, str] | None, columns: Sequence[str], fields: Fields, source: str
) -> dict[str, str]:
    """The columns that the user named, if there are such fields and columns; see :func:`match_fields`."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(part, str) for pair in given.items() for part in pair):
        raise ValueError(
            f'fields must be a dict of names, such as {{"{next(iter(fields))}": "column"}}, got {given!r:.120}'
        )
    for name, column in given.items():
        for what, value, known in (("fields of", name, list(fields)), ("columns of", column, list(columns))):
            if value not in known:
                hint = did_you_mean(value, known)
                raise ValueError(
                    f"fields must name {what} {source}, {', '.join(map(repr, known))}, got {value!r}{hint}"
                )
    twice = [column for column in given.values() if list(given.values()).count(column) > 1]
    if twice:
        raise ValueError(f"fields must name a column for each field, got {twice[0]!r} twice")
    return dict(given)


def tell(source: str, found: Mapping[str, str], columns: Sequence[str], fields: Fields, rest: str) -> None:
    """Logs which columns were taken: as a warning where a name was guessed, once for the same source and names."""
    taken = ", ".join(f"{name} from {column!r}" for name, column in found.items())
    extra = [column for column in columns if column not in found.values() and column not in fields]
    kept = f"; {rest}: {', '.join(map(repr, extra))}" if extra else ""
    text = f"{source}: took {taken}{kept}"
    for name, field in fields.items():
        near = nearest(name, Field(field.kind), extra) if name not in found else None
        if near:
            text += f"; did you mean {near!r} for {name!r}? Then fields={{{name!r}: {near!r}}}"
    if text not in _told:
        _told.add(text)
        log.log(logging.WARNING if any(name != column for name, column in found.items()) else logging.INFO, text)


# Values


def as_read(value: Any, field: Field, is_cell: bool, labels: Sequence[str] | None) -> Any:
    """The value of a field, as its task wants it.

    Args:
        value: what stands in the row.
        field: which.
        is_cell: ``value`` is the text of a cell of CSV.
        labels: what the numbers of this column stand for, if anything.

    Raises:
        ValueError: with what was expected and what came.
    """
    if type(value) is str and field.kind is str and field.read is None and value.isascii():
        return value  # nearly always
    value = native(value)
    if labels is not None and isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(labels):
            raise ValueError(f"must be the number of a label in [0, {len(labels)}), got {value}")
        value = labels[value]
    if is_cell and isinstance(value, str):
        value = _cell(value, field.kind)
    if field.read is not None and value is not None:
        value = field.read(value)
    kinds = kinds_of(field.kind)
    if isinstance(value, float) and float not in kinds and int in kinds and value.is_integer():
        value = int(value)  # pandas makes floats of whole numbers where one is missing
    _check_type(value, kinds)
    return value


_NATIVE = frozenset({str, int, float, bool, type(None), list, dict})


def native(value: Any) -> Any:
    """A value in Python's own types: numpy's scalars and arrays, tuples, and what pandas calls missing."""
    if type(value) in _NATIVE:
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, tuple):
        return list(value)
    return value


def kinds_of(kind: Kind) -> tuple[type, ...]:
    """The types of a kind."""
    return kind if isinstance(kind, tuple) else (kind,)


def _cell(text: str, kind: Kind) -> Any:
    """A cell as its field's type where it reads as one, else the text, which the check of types will find."""
    kinds = kinds_of(kind)
    if list in kinds and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split("|") if part.strip()]
    if list in kinds or dict in kinds:
        import json

        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    for number in (int, float):
        if number in kinds:
            try:
                return number(text)
            except ValueError:
                continue
    return text


def _check_type(value: Any, allowed: tuple[type, ...]) -> None:
    is_flag = isinstance(value, bool) and bool not in allowed  # a bool is an int to isinstance
    is_number = float in allowed and isinstance(value, int)
    if is_flag or not (is_number or isinstance(value, allowed)):
        wanted = " or ".join(KIND_NAMES.get(kind, str(kind)) for kind in allowed)
        raise ValueError(f"must be {wanted}, got {'null' if value is None else repr(value):.80}")
    for text in value if isinstance(value, list) else (value,):
        if isinstance(text, str) and not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as e:  # JSON can hold half a character (a lone surrogate), which no text can
                raise ValueError(f"must be text of whole characters, got {text!r:.80}") from e


def label_of(value: Any) -> Any:
    """A label as text: numbers as labels are labels, 1 and 1.0 the same one, and -1, in words, another one."""
    if isinstance(value, bool):
        return str(value).lower()
    label = text_of(value)
    if not isinstance(label, str):
        return label
    label = label.strip()
    return f"minus {label[1:]}" if _NEGATIVE.fullmatch(label) else label


def text_of(value: Any) -> Any:
    """A number as the text of it: a phone number, a name like 1984."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


_NEGATIVE = re.compile(r"-\d+(\.\d+)?")
_FINAL = re.compile(r"####\s*(.+?)\s*$", re.DOTALL)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_AROUND_NUMBER = re.compile(r"^[\s$£€]+|[\s%.]+$")


def number_of(value: Any) -> Any:
    """A number, where it is written as one: ``1,234``, ``$5``.

    Raises:
        ValueError: for a text that is none.
    """
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isdigit():
        return int(value)
    text = _AROUND_NUMBER.sub("", value).replace("\N{MINUS SIGN}", "-")
    try:
        number = Decimal(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text)
    except InvalidOperation as e:
        raise ValueError(f"must be a number, got {value[-80:]!r}") from e
    if number.is_finite() and number == number.to_integral_value() and number.adjusted() < 300:
        return int(number)
    return float(number)


def final_number_of(value: Any) -> Any:
    """The number at the end of a solution, ``... #### 42`` or ``\\boxed{42}``, or that a value is alone.

    Raises:
        ValueError: for a text without one.
    """
    if not isinstance(value, str):
        return value
    final, boxed = _FINAL.search(value), _BOXED.findall(value)
    try:
        return number_of(final[1] if final else boxed[-1] if boxed else value)
    except ValueError:
        raise ValueError(f"must be a number, or end in #### and a number, got {value[-80:]!r}") from None
