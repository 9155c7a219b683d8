"""The thread that plays: it has the agent answer in all conversations that wait, side by side."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from gymnasium.error import InvalidAction

from ..agents.base import Agent
from .talk import Answer, CannotReplay, Talk

MAX_BATCH = 64
"""Conversations that the agent answers in at once."""
MAX_TOOL_CALLS = 10
"""Of one reply."""


REMEMBERED = 2 << 30
"""Bytes of what a language model has read in conversations that wait for people."""


class AgentFailed(RuntimeError):
    """The agent gave no reply."""


class Job:
    """What is to be said in a conversation, up to a reply of the agent.

    Args:
        talk: the conversation.
        script: what the person says, and what the agent answered where that is history; a script without words goes on
            where the agent failed.

    Attributes:
        future: the last reply.
        script: what is left of it.
    """

    def __init__(self, talk: Talk, script: Sequence[tuple[str, str | None]]):
        self.talk, self.future = talk, Future[Answer]()
        self.script = deque(script)
        self._expected: str | None = None
        self._num_calls = 0

    def begin(self) -> bool:
        """The person says what comes next; True where the agent is to act."""
        self._num_calls = 0
        if self.script:
            words, self._expected = self.script.popleft()
            self.talk.hear(words)
        return not self._is_over()

    def take(self, action: Any) -> bool:
        """The agent acts; True where it is to act again."""
        try:
            heard = self.talk.take(action, self._expected)
        except InvalidAction as e:
            raise AgentFailed(f"the agent failed: {e}") from e
        if heard is None:
            self._num_calls += 1
            if self._num_calls > MAX_TOOL_CALLS and not self.talk.over:
                raise AgentFailed(f"the agent used its tools {MAX_TOOL_CALLS} times without a reply")
            return not self._is_over()
        if self.script:
            return self.begin()
        self._answer(heard, self.talk.is_cut)
        return False

    def _is_over(self) -> bool:
        if self.talk.over and self.script:
            raise CannotReplay("the history goes on after the end of the conversation")
        if self.talk.over:
            self._answer("")
        return self.talk.over

    def _answer(self, heard: str, is_cut: bool = False) -> None:
        self.future.set_result(Answer(heard, self.talk.over, tuple(self.talk.tools), is_cut))


class Worker(threading.Thread):
    """Plays one job after the other, and those that come meanwhile beside them.

    The agent, and a conversation in which it is to answer, are touched by this thread alone.

    Args:
        agent: who answers.
        max_batch: conversations at once.
    """

    def __init__(self, agent: Agent, max_batch: int = MAX_BATCH):
        super().__init__(daemon=True, name="dialogym-agent")
        self.agent, self.max_batch = agent, max_batch
        remember = getattr(agent, "remember", None)
        if remember is not None:
            remember(REMEMBERED)
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    def submit(self, job: Job) -> Future[Answer]:
        """Has a job played; what it throws is in its future."""
        self._inbox.put(job)
        return job.future

    def stop(self) -> None:
        """Ends the thread when all that was asked for is done."""
        self._inbox.put(None)

    def run(self) -> None:
        active: list[Job] = []
        stopped = False
        while not stopped or active:
            for item in self._arrived(wait=not active):
                if item is None:
                    stopped = True
                elif self._goes_on(item, item.begin):
                    active.append(item)
            active = self._round(active)

    def _arrived(self, wait: bool) -> list[Job | None]:
        """What has been asked for meanwhile."""
        found = [self._inbox.get()] if wait else []
        try:
            while True:
                found.append(self._inbox.get_nowait())
        except queue.Empty:
            return found

    def _round(self, active: list[Job]) -> list[Job]:
        """One turn of the agent in the conversations that have waited longest; those in which it is to act again."""
        now, later = active[: self.max_batch], active[self.max_batch :]
        again = []
        for job, action in zip(now, self._actions(now), strict=True):
            if isinstance(action, BaseException):
                job.future.set_exception(AgentFailed(f"the agent failed: {type(action).__name__}: {action}"))
            elif self._goes_on(job, lambda job=job, action=action: job.take(action)):
                again.append(job)
        return [*later, *again]

    def _actions(self, jobs: Sequence[Job]) -> list[Any]:
        """The agent's action for each; an exception where it has none, however it fares in the others.

        One that would end the thread, such as SystemExit, is the agent's failure too: others are still to be answered.
        """
        if not jobs:
            return []
        try:
            observations, infos = zip(*(job.talk.seen for job in jobs if job.talk.seen), strict=True)
            actions = list(self.agent.act_batch(list(observations), list(infos)))
            if len(actions) != len(jobs):
                raise ValueError(f"expected {len(jobs)} actions, got {len(actions)}")
            return actions
        except BaseException as e:
            return [e] if len(jobs) == 1 else [self._actions([job])[0] for job in jobs]

    def _goes_on(self, job: Job, part: Callable[[], bool]) -> bool:
        try:
            return part()
        except Exception as e:
            job.future.set_exception(e)
            return False
