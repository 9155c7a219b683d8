"""Placeholders filled with the values of the moment, as the user hears them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .database import COLUMNS, DONTCARE, UNKNOWN, Venue
from .tools import TABLE_PLACEHOLDERS, Reservation
from .understanding import PLACEHOLDER, Reader
from .wording import AN, shown_value

_PLACE = re.compile(r"(\ba )?" + PLACEHOLDER.pattern + r"( food\b| people\b)?", re.I)


def fill(
    utterance: str,
    venue: Venue | None,
    reservation: Reservation | None,
    heard: Mapping[str, str],
    reader: Reader,
) -> str:
    """``utterance`` with its placeholders filled; one with nothing to fill it stays.

    Args:
        utterance: what the agent wrote.
        venue: the place at hand, and ``reservation``, the table.
        heard: what the agent heard the user say, by slot.
        reader: knows how values are written, and whether this is a tool call, which gets them as tools take them.
    """
    database, is_call = reader.database, reader.understand(utterance).tool is not None

    def filled(match: re.Match[str]) -> str:
        article, placeholder, after = match[1] or "", match[2].lower(), match[3] or ""
        if placeholder in COLUMNS:
            value = None if venue is None else getattr(venue, placeholder) or UNKNOWN
        elif placeholder in TABLE_PLACEHOLDERS:
            value = None if reservation is None else getattr(reservation, placeholder)
        else:
            value = heard.get(placeholder.removeprefix("said_"))
        if value is None:
            return match[0]
        slot = placeholder.removeprefix("said_")
        if is_call:
            return f"{article}{'any' if value == DONTCARE else database.written(slot, value)}{after}"
        shown = value.upper() if slot == "reference" else shown_value(slot, value, database)
        if after == " people" and value == "1":
            after = " person"
        elif after == " food" and shown.endswith("food"):
            after = ""
        return ("an " if article and AN.match(shown) else article) + shown + after

    return _PLACE.sub(filled, utterance)
