"""What a partner did wrong, and whose fault a failed conversation is: rules, no model's opinion.

An agent is tested by its partner's words. A partner that is a language model may say what it does not want, tell all
at once, leave too soon or fall out of its role, and what comes of that says nothing about the agent. So each of its
turns is read as the task reads people, compared with the goal that it was given, and marked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

INVENTED, LEAKED, STOPPED_EARLY, BROKE_ROLE, WITHHELD = "invented", "leaked", "stopped_early", "broke_role", "withheld"
MARKS = {
    INVENTED: "said something that its goal does not hold",
    LEAKED: "told its whole goal at once",
    STOPPED_EARLY: "said goodbye before its goal was met or impossible",
    BROKE_ROLE: "spoke as the other side, about its own part, or of being a model",
    WITHHELD: "did not answer a question that its goal answers, or told nothing of it when asked",
}
"""What may be marked of a turn."""
AGENT, PARTNER, ENVIRONMENT = "agent", "partner", "environment"
SIDES = (AGENT, PARTNER, ENVIRONMENT)
"""Whose fault a failed conversation may be."""


class Mark(NamedTuple):
    """What was wrong with a turn of the partner.

    Attributes:
        turn: agent turns before it; 0 is the opening.
        kind: a key of ``MARKS``.
        what: the value or the words.
    """

    turn: int
    kind: str
    what: str

    def in_json(self) -> dict[str, Any]:
        """As ``info["audit"]`` and saved conversations have it."""
        return self._asdict()


class Verdict(NamedTuple):
    """Of a conversation that is over.

    Attributes:
        marks: what was wrong with the partner's turns, oldest first.
        blame: whose fault it is where it failed, a name of ``SIDES``; None where it succeeded.
    """

    marks: tuple[Mark, ...]
    blame: str | None

    def in_info(self) -> dict[str, Any]:
        """Its entries of ``info``."""
        return {"audit": [mark.in_json() for mark in self.marks], "blame": self.blame}
