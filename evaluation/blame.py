"""Whose fault failed conversations are, counted by the audit of the partner's turns (``envs/core/audit.py``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..envs.core.audit import MARKS, SIDES

SAYS = {
    "partner": "it left too soon, fell out of its role, left a plain question unanswered, or stood by something that "
    "its goal does not hold",
    "environment": "that is not so, and the channel garbled something that was never put right, though the agent had "
    "looked for something",
    "agent": "neither holds: a wrong that was put right, or a goal that was told at once, is no excuse",
}
"""What it takes for a failure to be laid to each side."""


def blame_of(audits: Sequence[tuple[Sequence[Mapping[str, Any]] | None, str | None]]) -> dict[str, Any] | None:
    """How many conversations failed, by whose fault, and in how many the partner did what wrong.

    Args:
        audits: marks and blame of each conversation; None in place of marks where the partner is not audited.

    Returns:
        {"conversations", "failed", "agent", "partner", "environment": counts, "marks": {kind: conversations with it}};
        None where no partner was audited.
    """
    found = [(marks, blame) for marks, blame in audits if marks is not None]
    if not found:
        return None
    blamed = Counter(blame for _, blame in found if blame is not None)
    marked = Counter(kind for marks, _ in found for kind in {mark["kind"] for mark in marks})
    return {
        "conversations": len(found),
        "failed": sum(blamed.values()),
        **{side: blamed[side] for side in SIDES},
        "marks": {kind: marked[kind] for kind in MARKS},
    }


def added(counts: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """The counts of several runs in one; None where there are none."""
    known = [one for one in counts if one is not None]
    if not known:
        return None
    total = {name: sum(one[name] for one in known) for name in ("conversations", "failed", *SIDES)}
    return {**total, "marks": {kind: sum(one["marks"].get(kind, 0) for one in known) for kind in MARKS}}


def in_words(counts: Mapping[str, Any]) -> str:
    """Counts as one sentence or two."""
    failed, total = counts["failed"], counts["conversations"]
    said = f"{failed} of {total} conversations failed"
    if failed:
        said += ", by the fault of " + ", ".join(f"the {side} in {counts[side]}" for side in SIDES)
    marks = [f"{kind.replace('_', ' ')} in {number}" for kind, number in counts["marks"].items() if number]
    return f"{said}. The partner {', '.join(marks) if marks else 'did nothing wrong'}."
