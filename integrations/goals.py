"""Goals as text: what the rows of a foreign trainer's dataset say, one goal each."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..evaluation.score import frozen_goals


class Goal(NamedTuple):
    """What a conversation is about.

    Attributes:
        split: of the environment that it is from.
        goal_id: which goal.
        seed: noise seed of the environment: user behaviour, wording and channel noise hang on it.
    """

    split: str
    goal_id: str
    seed: int

    def to_json(self) -> str:
        """The goal as one line of JSON, for a column of text."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: Any) -> Goal:
        """The goal that :meth:`to_json` wrote.

        Raises:
            ValueError: for anything else.
        """
        try:
            goal = cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected a goal as Goal.to_json writes it, got {text!r:.200}") from error
        return goal


def list_goals(env: Any, count: int, split: str = "train", seed: int = 0) -> list[Goal]:
    """``count`` different goals, each under its own noise seed.

    Args:
        env: an environment in any interface, or its id or spec.
        count: how many; a split that has fewer different goals gives those alone.
        split: "train", "validation" or "test".
        seed: of the list; a longer list of the same split and seed begins alike.
    """
    return [Goal(split, *trial) for trial in frozen_goals(env, split, count, seed).goals]
