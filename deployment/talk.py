"""One conversation of an agent with a person, which waits wherever the person is to speak."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from ..agents.base import Agent, CutShort, in_interface
from ..envs import TextEnv
from ..envs.core.conversation import whole_characters
from ..envs.core.text_env import check_choice, check_utterance
from ..rewards.transcript import Message
from .person import seat


class ToolUse(NamedTuple):
    """A call of a tool, and what it gave."""

    call: str
    result: str


class Answer(NamedTuple):
    """What a person hears.

    Attributes:
        content: the agent's reply, placeholders filled; "" where the conversation is over.
        over: nothing more can be said.
        tools: that were used for it.
        is_cut: the reply ended at its longest length, the agent's or the environment's.
    """

    content: str
    over: bool = False
    tools: tuple[ToolUse, ...] = ()
    is_cut: bool = False


class CannotReplay(ValueError):
    """A history is not one that this agent could have had."""


class Host:
    """Begins conversations of one agent with people, in the environment that it plays.

    Args:
        agent: who they talk to.
        env: the environment, in any interface; its tools are used between two replies.
        max_turns: agent turns of a conversation, calls of tools among them.
        seed: of everything random; a conversation hangs on this and its first words.

    Raises:
        ValueError: if no person can take the partner's seat.
    """

    def __init__(self, agent: Agent, env: Any, max_turns: int = 1000, seed: int = 0):
        self.agent, self.max_turns, self.seed = agent, max_turns, seed
        core = in_interface(env, agent.interface).unwrapped
        if not isinstance(core, TextEnv):
            raise ValueError(f"expected an environment of a dialogym task, got {env!r:.80}")
        self._core = core
        seat(core.task, agent.interface, lambda heard: "")

    @property
    def task(self) -> Any:
        """What the conversations are about."""
        return self._core.task

    def environment(self, ask: Any) -> TextEnv:
        """The environment with a person on the partner's side, who is asked by ``ask``."""
        core = self._core
        return TextEnv(
            core.task,
            self.agent.interface,
            reward="sparse",
            split=core.split,
            max_turns=self.max_turns,
            prompt=core.conversation.instructions,
            partner_factory=seat(core.task, self.agent.interface, ask),
        )


class Talk:
    """One conversation. Not for two threads at once.

    Args:
        host: who begins it.
        id: of the conversation.

    Attributes:
        over: it has ended.
        seen: observation and info of the agent's next turn.
        tools: that were used since the person spoke.
        is_cut: the last reply ended at its longest length.
        began: when, in seconds since the epoch.
    """

    def __init__(self, host: Host, id: str):
        self.id, self.host, self.began = id, host, time.time()
        self.over = self.is_cut = False
        self.seen: tuple[Any, dict[str, Any]] | None = None
        self.tools: list[ToolUse] = []
        self._words: deque[str] = deque()
        self._held: Any = None
        self._said = ""
        self._core = host.environment(lambda heard: self._words.popleft())

    def hear(self, words: str) -> None:
        """The person speaks: first of all, or in answer to the agent's reply."""
        self._words.append(words)
        self.tools = []
        if self.seen is None:
            digest = blake2b(f"{self.host.seed}/{words}".encode(), digest_size=4).digest()
            self.seen = self._core.reset(seed=int.from_bytes(digest, "little"))
            assert self._core.partner is not None
            self.over = self._core.partner.over
        else:
            held, self._held, self._said = self._held, None, ""
            self._step(held)

    def take(self, action: Any, expected: str | None = None) -> str | None:
        """The agent's turn: what the person hears of it, or None where it is not for the person, but a tool.

        Args:
            action: a reply, or the number of one.
            expected: what the agent said here once, which it says again.

        Raises:
            CannotReplay: if it cannot have said that.
            gymnasium.error.InvalidAction: for an action that the environment does not take.
        """
        words, heard = self._heard(action)
        if self._words or not self._is_for_person(words):
            self._step(action, heard)
            return None
        if expected is not None and heard != expected:
            action, words, heard = self._action_for(expected)
        self._held, self._said = action, words
        too_long = isinstance(action, str) and len(action) > self._core.task.max_reply_chars
        self.is_cut = too_long or isinstance(action, CutShort)
        return heard

    def _action_for(self, expected: str) -> tuple[Any, str, str]:
        """The action that the person hears as ``expected``, its words, and what is heard."""
        core = self._core
        choices: Sequence[Any] = range(len(core.task.menu)) if core.interface == "choices" else [expected]
        for choice in choices:
            words, heard = self._heard(choice)
            if heard == expected and self._is_for_person(words):
                return choice, words, heard
        raise CannotReplay(f"the agent cannot have said {expected!r:.80}: the history is of another conversation")

    def _heard(self, action: Any) -> tuple[str, str]:
        """The words of an action, and what the person hears of them."""
        core = self._core
        assert core.partner is not None
        if core.interface == "choices":
            words = core.partner.phrase(check_choice(action, len(core.task.menu)))
        else:
            words = check_utterance(action)
        words = whole_characters(words[: core.task.max_reply_chars])
        spoken = core.partner.spoken(words)
        return words, words if spoken is None else spoken if isinstance(spoken, str) else spoken()

    def _is_for_person(self, words: str) -> bool:
        partner = self._core.partner
        assert partner is not None
        return partner.answers(words)

    def _step(self, action: Any, call: str = "") -> None:
        num_before = len(self._core.transcript)
        observation, _, terminated, truncated, info = self._core.step(action)
        self.seen, self.over = (observation, info), terminated or truncated
        results = [one["content"] for one in self._core.messages[num_before:] if one["role"] == "tool"]
        self.tools += [ToolUse(call, result) for result in results]

    # What is kept of it

    @property
    def messages(self) -> list[Message]:
        """The conversation as the agent wrote it, placeholders and calls of tools among it."""
        return [*self._core.messages, *self._waiting(self._said)]

    @property
    def spoken_messages(self) -> list[Message]:
        """The conversation as people read it."""
        heard = self._heard(self._held)[1] if self._held is not None else ""
        return [*self._core.transcript.spoken_messages, *self._waiting(heard)]

    def _waiting(self, content: str) -> list[Message]:
        """The reply that the person has not answered."""
        return [{"role": "assistant", "content": content}] if self._held is not None else []
