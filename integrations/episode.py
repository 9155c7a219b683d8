"""One conversation at a time, for a trainer of another library that keeps the transcript itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium as gym

from ..envs import remake
from ..envs.core.remake import spec_of, time_limit_of
from ..rewards.transcript import Message, written_line
from .earned import Earned


class Turn(NamedTuple):
    """What came of one reply.

    Attributes:
        messages: what was said since, roles "user", "tool" or "system"; the reply itself is not among them, and there
            are none where nobody answers. Fresh objects.
        reward: of this turn alone.
        terminated: the conversation is over.
        truncated: a limit cut it.
        info: as from ``step`` of the environment ("success", "turn", "goal_id", "task", "reward_terms" ...), but for
            "messages", the transcript of all that has been said.
    """

    messages: list[Message]
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether it was the last turn, for a trainer that knows no difference between the two ends."""
        return self.terminated or self.truncated


class Episode:
    """Conversations with an environment, one after the other; each turn says what is new, and nothing twice.

    The system message, the first messages and every turn's messages, with the replies between them, are the
    environment's transcript.

    Args:
        env: an environment of dialogym in any interface, or its id or spec. It is made again in the text interface,
            with its wrappers.
        **options: keyword arguments of ``gym.make``: split, reward, max_turns, and those of the task.

    Attributes:
        goal_id: what the conversation is about; "" before the first.
        earned: sums of rewards and of their terms so far.
        success: the ground truth; False until the conversation is over.
        turns: replies so far.

    Raises:
        TypeError: for an environment that has no task, or an option that it does not have.
    """

    def __init__(self, env: Any, **options: Any):
        spec = spec_of(env)
        if "task" not in spec.kwargs:
            raise TypeError(f"expected an environment of a dialogym task, got {spec.id}, which has no task")
        if "max_episode_steps" in options:
            raise TypeError(
                "expected max_turns, got max_episode_steps: make that with gym.make and hand it over as env"
            )
        self.env: gym.Env[Any, Any] = remake(env, **{**options, "interface": "text"})
        self.goal_id, self.success, self.turns = "", False, 0
        self.earned = Earned()
        self._num_told = 0  # messages of the transcript that the trainer has

    @property
    def max_turns(self) -> int:
        """Replies after which the conversation is cut."""
        limits = [self.env.unwrapped.step_limit, self.env.spec and time_limit_of(self.env.spec)]  # type: ignore[attr-defined]
        return min(limit for limit in limits if limit is not None)

    @property
    def messages(self) -> list[Message]:
        """All that has been said, the replies included; fresh objects on every read."""
        return self.env.unwrapped.messages  # type: ignore[attr-defined]

    def begin(self, goal_id: str | None = None, seed: int | None = None) -> list[Message]:
        """Starts a conversation, whether or not the last one is over.

        Args:
            goal_id: what it is about; None draws a goal of the split. Conversations with the same one share the goal.
            seed: of everything random: user behaviour, wording, channel noise, and the goal where none is given. The
                same seed again is the same conversation. None goes on with the randomness of the last one.

        Returns:
            What the agent reads before its first reply: the system message (instructions, tools, and what the task
            tells it), then whatever was said. Fresh objects.
        """
        options = None if goal_id is None else {"goal_id": goal_id}
        _, info = self.env.reset(seed=None if seed is None else int(seed), options=options)
        self.earned = Earned()
        self._note(info)
        messages = info["messages"]
        self._num_told = len(messages)
        return messages

    def step(self, text: str) -> Turn:
        """One reply, and what came of it.

        Raises:
            gymnasium.error.ResetNeeded: if no conversation is going on.
            gymnasium.error.InvalidAction: if ``text`` is no str.
        """
        _, reward, terminated, truncated, info = self.env.step(text)
        reward, info = float(reward), dict(info)
        messages = info.pop("messages")
        new = messages[self._num_told + 1 :]  # behind the reply
        self._num_told = len(messages)
        self.earned.add(reward, info["reward_terms"])
        self._note(info)
        return Turn(new, reward, bool(terminated), bool(truncated), info)

    def metrics(self) -> dict[str, float]:
        """How the conversation went, as numbers that a trainer can average.

        Returns:
            "success" (0 or 1), "return", "turns", and "reward_terms/NAME", the sum of each term.
        """
        terms = {f"reward_terms/{name}": value for name, value in self.earned.terms.items()}
        return {"success": float(self.success), "return": self.earned.total, "turns": float(self.turns), **terms}

    def close(self) -> None:
        self.env.close()

    def _note(self, info: dict[str, Any]) -> None:
        self.goal_id, self.success, self.turns = info["goal_id"], bool(info["success"]), info["turn"]


def conversation_ids() -> list[str]:
    """Every environment of a dialogym task that gymnasium knows of, those of users and of bridges too, sorted."""
    return sorted([id for id, spec in gym.registry.items() if "task" in spec.kwargs])


def text_of(messages: Sequence[Message]) -> str:
    """Messages as one text, for a trainer whose observations are texts.

    A system message stands first, as it is. One message from the user is its words; several, or those of a tool, are
    told apart by a ``role: words`` line each, in which line breaks are indented, so that nobody's words look like a
    line of somebody else.
    """
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    if [message["role"] for message in rest] == ["user"]:
        said = rest[0]["content"]
    else:
        said = "".join([written_line(message["role"], message["content"]) for message in rest]).rstrip("\n")
    return "\n\n".join([part for part in [*system, said] if part])
