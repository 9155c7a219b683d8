"""Our environments as TextArena's, for its agents and wrappers to play alone.

Needs ``textarena``. Guertler et al. (2025), https://arxiv.org/abs/2504.11442.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

try:
    textarena: Any = importlib.import_module("textarena")  # a type checker takes "import textarena" for this file
except ImportError as error:
    raise ImportError('playing in TextArena needs textarena: pip install "dialogym[textarena]"') from error

from ..rewards.transcript import Message
from .episode import Episode, Turn, conversation_ids

AGENT, USER, TOOL = 0, 1, 2
"""Who speaks in TextArena's terms; instructions are the game's."""
SPEAKERS = {AGENT: "Agent", USER: "User", TOOL: "Tool"}
SENDERS = {"user": USER, "tool": TOOL, "system": textarena.GAME_ID}


class ConversationEnv(textarena.Env):
    """One conversation as a game for one player.

    TextArena's loop pays at the end: ``close`` returns the return of the conversation. The reward of each turn, its
    terms and success are in the info of ``step``, and how it went in the info of ``close``.

    An observation is what TextArena's games give: messages since the last one, the agent's own reply included, each
    with who said it and what kind of message it is. TextArena's ``LLMObservationWrapper`` makes one text of all that
    was said. It forgets nothing at a reset, so that the next conversation would be read behind the last one: make a
    wrapped environment anew for each.

    Args:
        env: an environment of dialogym in any interface, or its id or spec.
        **options: keyword arguments of ``gym.make``.
    """

    def __init__(self, env: Any, **options: Any):
        self._episode = Episode(env, **options)
        self.state = textarena.SinglePlayerState(num_players=1, max_turns=self._episode.max_turns)
        self.state.reset(role_mapping=dict(SPEAKERS))

    def reset(self, num_players: int = 1, seed: int | None = None, goal_id: str | None = None) -> None:
        """Starts a conversation.

        Args:
            num_players: 1.
            seed: of everything random, the goal included where none is given.
            goal_id: what it is about.

        Raises:
            ValueError: for another number of players.
        """
        if num_players != 1:
            raise ValueError(f"a conversation has one player, got num_players={num_players}")
        messages = self._episode.begin(goal_id, seed)
        self.state.reset(role_mapping=dict(SPEAKERS))  # it is given no seed: it would set the global random state
        self._tell(messages)

    def step(self, action: str) -> tuple[bool, dict[str, Any]]:
        """One reply.

        Returns:
            Whether the conversation is over, and the turn's info: that of our environments without the transcript, with
            "reward", "terminated" and "truncated".
        """
        turn = self._episode.step(action)
        own = textarena.ObservationType.PLAYER_ACTION
        self.state.add_observation(message=action, observation_type=own, from_id=AGENT)
        self._tell(turn.messages)
        ends = {"terminated": turn.terminated, "truncated": turn.truncated}
        self.state.step_info = {**turn.info, "reward": turn.reward, **ends}
        if turn.ended:
            self._end(turn)
        return self.state.step()

    def close(self) -> tuple[dict[int, float] | None, dict[int, dict[str, Any]]]:
        """Ends the game.

        Returns:
            The return of the conversation, by player, or None while it is not over; and by player "success", "goal_id",
            "task", "return", "turns", "reward_terms" (sums) and what TextArena's games tell: "reason", "turn_count",
            "invalid_move".
        """
        return self.state.close()

    def _tell(self, messages: Sequence[Message]) -> None:
        kinds = textarena.ObservationType
        for message in messages:
            kind = kinds.PROMPT if message["role"] == "system" else kinds.GAME_MESSAGE
            sender = SENDERS.get(message["role"], USER)
            self.state.add_observation(message=message["content"], observation_type=kind, from_id=sender)

    def _end(self, turn: Turn) -> None:
        episode = self._episode
        reason = "the turn limit" if turn.truncated else "success" if episode.success else "no success"
        self.state.set_outcome(reward=episode.earned.total, reason=reason)
        self.state.game_info[AGENT].update(
            {
                "success": episode.success,
                "goal_id": episode.goal_id,
                "task": episode.goal_id,
                "return": episode.earned.total,
                "turns": episode.turns,
                "reward_terms": dict(episode.earned.terms),
            }
        )


def register(*env_ids: str, **options: Any) -> list[str]:
    """Registers environments with TextArena, each as "dialogym/" and its id, under ``LLMObservationWrapper``.

    Args:
        *env_ids: none takes every environment of dialogym that gymnasium knows of.
        **options: keyword arguments that ``textarena.make`` passes on by default.

    Returns:
        The ids that ``textarena.make`` takes.

    Raises:
        ValueError: from TextArena, for an id that is registered already.
    """
    names = []
    for env_id in env_ids or conversation_ids():
        names.append(f"dialogym/{env_id}")
        read: Any = [textarena.wrappers.LLMObservationWrapper]
        textarena.register(names[-1], ConversationEnv, default_wrappers=read, env=env_id, **options)
    return names
