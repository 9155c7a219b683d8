"""Our environments in SkyRL's gym, and so in SkyRL's trainer: turn rewards, Ray, several nodes.

Needs ``skyrl-gym``. Each row of the dataset (:func:`goal_rows`) is a goal; SkyRL plays it ``n_samples_per_prompt``
times, so that a group shares its goal and its noise seed. Register where the trainer runs, inside its Ray task::

    skyrl_gym.register(id="dialogym", entry_point="dialogym.integrations.skyrl:ConversationEnv")
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

try:
    from skyrl_gym.envs.base_text_env import (  # pyright: ignore[reportMissingImports]
        BaseTextEnv,
        BaseTextEnvStepOutput,
    )
except ImportError as error:
    raise ImportError('playing in SkyRL needs skyrl-gym: pip install "dialogym[skyrl]"') from error

from ..rewards.served.chat import chat_messages
from .episode import Episode
from .goals import Goal, list_goals

ENV_CLASS = "dialogym"
"""What the rows of :func:`goal_rows` say that they are to be played by."""


class ConversationEnv(BaseTextEnv):
    """The conversation of one row.

    What a tool says comes as the user's words after "tool:", and messages of one side in a row come as one, so that
    every chat template takes the conversation.

    Args:
        env_config: of SkyRL's configuration, which has nothing to say here.
        extras: the row, but for its prompt: "env" (the id), "goal" and "options" as :func:`goal_rows` writes them; and
            "max_turns" of SkyRL's generator, which ends the conversation where that is below the environment's own.

    Raises:
        ValueError: for extras that are no row of :func:`goal_rows`.
    """

    def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None):
        super().__init__()
        row = extras or {}
        missing = [name for name in ("env", "goal") if name not in row]
        if missing:
            raise ValueError(f"expected a row of goal_rows, got one without {', '.join(missing)}")
        self._goal = Goal.from_json(row["goal"])
        options = json.loads(row.get("options") or "{}")
        self._episode = Episode(row["env"], **options, split=self._goal.split)
        if row.get("max_turns", self._episode.max_turns) < self._episode.max_turns:
            self._episode = Episode(row["env"], **{**options, "max_turns": row["max_turns"]}, split=self._goal.split)
        self.max_turns = self._episode.max_turns

    def init(self, prompt: list[dict[str, str]]) -> tuple[list[dict[str, str]], dict[str, Any]]:
        """Begins the conversation about the row's goal.

        Args:
            prompt: of the row, which says the same.

        Returns:
            System and user message before the first reply; and what it is about.
        """
        messages = self._episode.begin(self._goal.goal_id, self._goal.seed)
        return chat_messages(messages), {"goal_id": self._goal.goal_id, "task": self._goal.goal_id}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """One reply: "observations" is what was said since, "reward" that of the turn, "metadata" our info."""
        turn = self._episode.step(action)
        self.turns = self._episode.turns
        new = [] if turn.ended and not turn.messages else chat_messages(turn.messages)
        ends = {"terminated": turn.terminated, "truncated": turn.truncated}
        return BaseTextEnvStepOutput(
            observations=new, reward=turn.reward, done=turn.ended, metadata={**turn.info, **ends}
        )

    def get_metrics(self) -> dict[str, Any]:
        """Success, return, turns, and the sum of each term of the reward; SkyRL logs their means."""
        return self._episode.metrics()

    def close(self) -> None:
        self._episode.close()


def goal_rows(env: str, count: int, split: str = "train", seed: int = 0, **options: Any) -> list[dict[str, Any]]:
    """``count`` different goals as the rows of a dataset; write them as JSON Lines or Parquet.

    Args:
        env: the id of an environment.
        count: how many; a split that has fewer different goals gives those alone.
        split: "train", "validation" or "test".
        seed: of the list; a longer list of the same split and seed begins alike.
        **options: keyword arguments of ``gym.make`` that JSON can say.

    Returns:
        Rows of "prompt" (messages before the first reply, for SkyRL to measure), "env_class", "env", "goal", "options".

    Raises:
        TypeError: for an environment that is no id, an option that JSON cannot say, or one that there is none of.
    """
    if not isinstance(env, str):
        raise TypeError(f"env must be an id, since a row is text, got {env!r:.200}")
    written = json.dumps(options)
    episode = Episode(env, **options, split=split)
    rows = []
    for goal in list_goals(episode.env, count, split, seed):
        prompt = chat_messages(episode.begin(goal.goal_id, goal.seed))
        row = {"env_class": ENV_CLASS, "env": env, "goal": goal.to_json(), "options": written}
        rows.append({"prompt": prompt, **row})
    return rows
