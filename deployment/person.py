"""A person's seat where the task has none of its own: words come from the person, and the rest stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..envs import Partner, PartnerFactory, Streams, Task
from ..rewards.transcript import Line


class PlainPerson(Partner):
    """Says what a person says, and ends when the person does.

    The agent has the brief that the task's own partner opens with, in its system message; there is no ground truth.

    Args:
        brief: lines before the person's first words.
        ask: given what the agent said, what the person answers.
    """

    __slots__ = ("ask", "brief")

    def __init__(self, brief: list[Line], ask: Callable[[str], str]):
        self.brief, self.ask = brief, ask

    def open(self) -> list[Line]:
        return [*self.brief, ("user", self.ask(""))]

    def hear(self, utterance: str) -> list[Line]:
        return [("user", self.ask(utterance))]


def seat(task: Task, interface: str, ask: Callable[[str], str]) -> PartnerFactory:
    """What puts a person on the partner's side of a task: in the task's own seat, or else in a plain one.

    Args:
        task: of the environment.
        interface: that the agent plays.
        ask: given what the agent said, what the person answers.

    Raises:
        ValueError: if there is no seat of its own and the agent chooses from a menu, whose summary nobody would keep.
    """
    if type(task).person is not Task.person:
        return lambda task, goal, streams, split: task.person(streams, split, ask)
    if interface != "text":
        raise ValueError(
            f"{task.name} has no seat for a person that keeps a summary: expected an agent that plays 'text', got one "
            f"that plays {interface!r}"
        )

    def plain(task: Task, goal: Mapping[str, Any], streams: Streams, split: str) -> Partner:
        opening = task.partner(goal, streams, split).open()
        return PlainPerson([line for line in opening if line[0] == "system"], ask)

    return plain
