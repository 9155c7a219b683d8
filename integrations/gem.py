"""Our environments as GEM's: ``gem.make``, ``gem.make_vec``, and its wrappers around them.

Needs ``gem-llm``. An observation is what was said since the last reply, as one text; GEM's own ``ObservationWrapper``
puts the conversation together. Liu et al. (2025), https://arxiv.org/abs/2510.01051.
"""

from __future__ import annotations

import copy
import importlib
from typing import Any

try:
    gem: Any = importlib.import_module("gem")  # a type checker takes "import gem" for this file
except ImportError as error:
    raise ImportError('playing in GEM needs gem-llm: pip install "dialogym[gem]"') from error

from .episode import Episode, conversation_ids, text_of


class ConversationEnv(gem.Env):  # pyright: ignore[reportAttributeAccessIssue]
    """Conversations with an environment, one after the other, as GEM plays them.

    Observation: what was said since the last reply, as :func:`~dialogym.integrations.episode.text_of` writes it; before
        the first reply the instructions as well.
    Action: the agent's next utterance.
    Info: as from our environments ("success", "goal_id", "task", "reward_terms" ...), without the transcript. That of
        ``reset`` has "last_episode" too, the metrics and goal of the conversation before, if there was one: a vector
        environment of GEM's resets in the step that ends a conversation, and keeps nothing else of it.

    Args:
        env: an environment of dialogym in any interface, or its id or spec.
        seed: what the first conversation is reset with, where ``reset`` is given none; ``gem.make_vec`` gives each row
            its own.
        goal_id: what all conversations are about; None draws a goal for each.
        **options: keyword arguments of ``gym.make``.
    """

    def __init__(self, env: Any, seed: int | None = None, goal_id: str | None = None, **options: Any):
        super().__init__()
        self._episode = Episode(env, **options)
        self._seed, self._goal_id = seed, goal_id

    def reset(self, seed: int | None = None) -> tuple[str, dict[str, Any]]:
        """Starts a conversation; the same seed is the same goal, partner and wording.

        The global random state is left alone, unlike in GEM's own environments.
        """
        episode = self._episode
        last = {"goal_id": episode.goal_id, **episode.metrics()} if episode.turns else None
        messages = episode.begin(self._goal_id, self._seed if seed is None else seed)
        self._seed = None  # later conversations go on with the randomness of the first
        info = {"goal_id": episode.goal_id, "task": episode.goal_id}
        return text_of(messages), info if last is None else {**info, "last_episode": last}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """One reply, and what came of it."""
        turn = self._episode.step(action)
        return text_of(turn.messages), turn.reward, turn.terminated, turn.truncated, turn.info

    def sample_random_action(self) -> str:
        """Something that can be said."""
        return self._episode.env.action_space.sample()

    def spawn(self, same_state: bool = False, **options: Any) -> ConversationEnv:
        """Another environment like this one.

        Args:
            same_state: in the same place of the same conversation.
            **options: what shall be different about it; a conversation that has begun cannot differ.

        Raises:
            ValueError: for options with ``same_state``.
        """
        if same_state and options:
            raise ValueError(f"with same_state=True nothing can differ, got {', '.join(options)}")
        if same_state:
            task = self._episode.env.unwrapped.task  # type: ignore[attr-defined]
            return copy.deepcopy(self, {id(task): task})  # which holds data, no conversation
        kept = {"seed": self._seed, "goal_id": self._goal_id}
        return type(self)(self._episode.env, **{**kept, **options})

    def close(self) -> None:
        self._episode.close()


def register(*env_ids: str, **options: Any) -> list[str]:
    """Registers environments with GEM, each as "dialogym:" and its id.

    Args:
        *env_ids: none takes every environment of dialogym that gymnasium knows of.
        **options: keyword arguments that ``gem.make`` passes on by default.

    Returns:
        The ids that ``gem.make`` takes.

    Raises:
        ValueError: from GEM, for an id that is registered already.
    """
    names = []
    for env_id in env_ids or conversation_ids():
        names.append(f"dialogym:{env_id}")
        gem.register(names[-1], ConversationEnv, env=env_id, **options)  # pyright: ignore[reportArgumentType]
    return names
