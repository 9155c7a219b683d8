"""Our environments in AgileRL: conversations of many turns under its GRPO, PPO and REINFORCE for language models.

Needs ``agilerl``, whose ``RolloutHarness`` puts the tokens together. This file imports nothing of it: it takes any
object with ``reset`` and ``step``::

    RolloutHarness.local(ConversationEnv("TextDialog-v0", num_goals=256), tokenizer, max_turns=20)

In a manifest, ``entrypoint: dialogym.integrations.agilerl:ConversationEnv`` with ``env_config: {env: TextDialog-v0}``.
"""

from __future__ import annotations

from typing import Any

from ..rewards.served.chat import SILENCE
from .episode import Episode, text_of
from .goals import Goal, list_goals


class ConversationEnv:
    """Conversations with an environment, one after the other, as AgileRL's rollouts play them.

    Observation: what was said since the last reply, as :func:`~dialogym.integrations.episode.text_of` writes it; before
        the first reply the instructions as well, since AgileRL takes a system prompt once for all conversations.
    Info: as from our environments ("success", "goal_id", "task", "reward_terms" ...), without the transcript; and
        "rubric_scores", the terms of the turn and its success, which AgileRL adds up over the conversation and logs as
        "reward_terms/NAME" and "reward_success".

    Args:
        env: an environment of dialogym in any interface, or its id or spec.
        num_goals: how many goals there are to train on, each a row of a dataset to AgileRL, which goes through them in
            epochs; with 0 the seed of each group draws its goal.
        num_eval_goals: how many there are to evaluate on, always the same in the same order, each under its own seed.
        eval_split: which split they are of.
        seed: of both lists.
        **options: keyword arguments of ``gym.make``; its ``split`` is that of the training.

    Attributes:
        max_turns: replies after which the environment itself cuts a conversation; give it to AgileRL's
            ``RolloutHarness`` as well, whose smaller one would cut from outside, unknown to the reward.
        dataset_size: how many goals there are to train on.
        rubric_components: what stands in "rubric_scores".
    """

    system_prompt = ""

    def __init__(
        self,
        env: Any,
        num_goals: int = 0,
        num_eval_goals: int = 16,
        eval_split: str = "validation",
        seed: int = 0,
        **options: Any,
    ):
        if num_goals < 0 or num_eval_goals < 1:
            raise ValueError(
                f"num_goals must be at least 0 and num_eval_goals at least 1, got {num_goals} and {num_eval_goals}"
            )
        self._training = self._episode = Episode(env, **options)
        self._options = {**options, "split": eval_split}
        self._evaluation: Episode | None = None  # made when first wanted
        split = self._training.env.unwrapped.split  # type: ignore[attr-defined]
        self._goals = list_goals(self._training.env, num_goals, split, seed) if num_goals else []
        self._num_eval_goals, self._seed = num_eval_goals, seed
        self._eval_goals: list[Goal] = []
        self._next_eval = 0
        self.max_turns, self.dataset_size = self._training.max_turns, len(self._goals)
        terms = self._training.env.unwrapped.reward.names  # type: ignore[attr-defined]
        self.rubric_components = (*[f"terms/{name}" for name in terms], "success")

    def reset(
        self, seed: int | None = None, row_index: int | None = None, evaluation: bool | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Starts a conversation.

        Args:
            seed: of everything random: the same for a whole group, and the goal too where no row is given.
            row_index: which goal.
            evaluation: whether it is one of the goals to evaluate on; without a row, the next of them.

        Raises:
            IndexError: for a row that there is none of.
        """
        if evaluation:
            messages = self._begin_evaluation(seed, row_index)
        else:
            self._episode = self._training
            goal = None if row_index is None else _row(self._goals, row_index)
            if goal is None:
                messages = self._episode.begin(seed=seed)
            else:
                messages = self._episode.begin(goal.goal_id, goal.seed if seed is None else seed)
        goal_id = self._episode.goal_id
        return text_of(messages) or SILENCE, {"goal_id": goal_id, "task": goal_id}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """One reply, and what came of it."""
        turn = self._episode.step(action)
        info = turn.info
        terms = {f"terms/{name}": value for name, value in info["reward_terms"].items()}
        info["rubric_scores"] = {**terms, "success": float(info["success"])}
        said = text_of(turn.messages) or SILENCE
        return said, turn.reward, turn.terminated, turn.truncated, info

    def close(self) -> None:
        self._training.close()
        if self._evaluation is not None:
            self._evaluation.close()

    def _begin_evaluation(self, seed: int | None, row_index: int | None) -> Any:
        if self._evaluation is None:
            self._evaluation = Episode(self._training.env, **self._options)
            split = self._options["split"]
            self._eval_goals = list_goals(self._evaluation.env, self._num_eval_goals, split, self._seed)
        self._episode = self._evaluation
        if row_index is None:
            row_index = self._next_eval
            self._next_eval = (self._next_eval + 1) % len(self._eval_goals)
        goal = _row(self._eval_goals, row_index)
        return self._episode.begin(goal.goal_id, goal.seed if seed is None else seed)


def _row(goals: list[Goal], row_index: int) -> Goal:
    if not 0 <= row_index < len(goals):
        raise IndexError(f"row_index must be in [0, {len(goals)}), got {row_index}")
    return goals[row_index]
