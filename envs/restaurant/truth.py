"""What is true of a conversation: whether the user's goal was met, whatever the agent said about it."""

from __future__ import annotations

from .agenda import Agenda
from .database import BOOKING_SLOTS, UNKNOWN
from .goals import Goal
from .tools import Tools


def found(agenda: Agenda, tools: Tools) -> bool:
    """The place at hand fits what the user wants in the end."""
    return agenda.venue is not None and agenda.venue in tools.database.matching(agenda.constraints)


def answered(goal: Goal, agenda: Agenda, tools: Tools) -> bool:
    """Every request was answered, truthfully, about the place at hand."""
    requests = goal["requests"]
    if agenda.venue is None or len(agenda.answers) < len(requests):
        return False
    venue = tools.database.venues[agenda.venue]
    return [agenda.answers.get(slot) for slot in requests] == [getattr(venue, slot) or UNKNOWN for slot in requests]


def booked(agenda: Agenda, tools: Tools) -> bool:
    """A wanted table is booked as wanted, and was confirmed with its reference."""
    table = tools.reservation
    return agenda.booking is None or (
        table is not None
        and agenda.booking_confirmed
        and table.venue == agenda.venue
        and (table.people, table.day, table.time) == tuple([agenda.booking[slot] for slot in BOOKING_SLOTS])
    )


def complete(goal: Goal, agenda: Agenda, tools: Tools) -> bool:
    """The goal is met: a place that fits, true answers to every request, a wanted table booked and confirmed."""
    return agenda.accepted and found(agenda, tools) and answered(goal, agenda, tools) and booked(agenda, tools)


def parts_done(goal: Goal, agenda: Agenda, tools: Tools) -> int:
    """Finished parts of the goal once a place is accepted: the place, and where wanted the answers and the table."""
    if not found(agenda, tools):
        return 0
    has_answers = bool(goal["requests"]) and answered(goal, agenda, tools)
    has_table = goal["booking"] is not None and booked(agenda, tools)
    return 1 + has_answers + has_table
