"""Goals as the dataset of a TRL trainer: one row a goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from ..goals import Goal, list_goals


def goal_dataset(env: Any, count: int, split: str = "train", seed: int = 0) -> Dataset:
    """``count`` different goals, each under its own noise seed.

    TRL repeats a row ``num_generations`` times: a group is conversations about one goal under one seed.

    Args:
        env: an environment in any interface, or its id or spec.
        count: how many; a split that has fewer different goals gives those alone.
        split: "train", "validation" or "test".
        seed: of the list; a longer list of the same split and seed begins alike.

    Returns:
        Columns "prompt" (str, the goal for :class:`Rollout` to read; TRL hands it on as it is), "goal_id" and "seed".
    """
    goals = list_goals(env, count, split, seed)
    return Dataset.from_dict(
        {
            "prompt": [goal.to_json() for goal in goals],
            "goal_id": [goal.goal_id for goal in goals],
            "seed": [goal.seed for goal in goals],
        }
    )


def read_goals(prompts: Sequence[Any]) -> list[Goal]:
    """The goals in the prompts of a batch.

    Raises:
        ValueError: for a prompt that :func:`goal_dataset` did not write, or goals of several splits.
    """
    goals = [_read(prompt) for prompt in prompts]
    splits = sorted({goal.split for goal in goals})
    if len(splits) > 1:
        raise ValueError(f"the goals of a batch must be of one split, got {', '.join(splits)}")
    return goals


def _read(prompt: Any) -> Goal:
    try:
        return Goal.from_json(prompt)
    except ValueError as error:
        raise ValueError(f"prompt must be a goal of goal_dataset, got {prompt!r:.200}") from error
