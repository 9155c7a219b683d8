"""Which conversation a request goes on with, and who has had which answer.

A request holds the whole conversation, as the API has it. The conversation it goes on with is found by its id, if the
request names one, or else by what was said in it; one that is not known is played again from its history: the agent
uses its tools as it would, and says what the history says it said, under the id that it had. A conversation that was
named once is found by its name alone: others may have said the same.

All of this runs in the event loop; the agent plays in the worker's thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from .limits import Limits
from .records import Records
from .talk import Answer, Host, Talk
from .worker import AgentFailed, Job, Worker

_log = logging.getLogger(__name__)

_ISSUED = re.compile(r"[A-Za-z0-9_-]{22}")
"""The form of an id, of 16 random bytes."""

Said = tuple[tuple[str, str], ...]
"""Role and content of each message, user and assistant in turn."""


class TooBusy(RuntimeError):
    """Too many replies are waited for."""


class Conflict(RuntimeError):
    """The conversation is not where the request takes it to be."""


class NoSuchConversation(LookupError):
    """There is none of that id, or it was ended."""


class Entry:
    """A conversation, and how far the people's side of it knows it.

    Attributes:
        said: what was said, the answer included once there is one.
        asked: the last request, which ``job`` answers.
        used: when it was last spoken in, in seconds of the monotonic clock.
        is_named: whoever speaks in it names it.
    """

    def __init__(self, talk: Talk, is_named: bool = False):
        self.talk, self.is_named = talk, is_named
        self.said: Said = ()
        self.asked: Said = ()
        self.job: Job | None = None
        self.used = time.monotonic()

    @property
    def is_answering(self) -> bool:
        """The agent has not answered yet."""
        return self.job is not None and not self.job.future.done()

    @property
    def has_failed(self) -> bool:
        """The agent gave no answer, and may be asked again."""
        return self.job is not None and self.job.future.done() and self.job.future.exception() is not None


class Desk:
    """Takes what people say to the worker.

    Args:
        host: begins conversations.
        worker: plays them.
        records: where they are kept when they are over.
        limits: of their number.
    """

    def __init__(self, host: Host, worker: Worker, records: Records, limits: Limits):
        self.host, self.worker, self.records, self.limits = host, worker, records, limits
        self._entries: OrderedDict[str, Entry] = OrderedDict()  # the one that was silent longest first
        self._known: dict[bytes, set[str]] = {}  # conversations by what was said in them
        self._waiting = 0
        # One thread, so that the lines of a conversation stand in their order.
        self._writer = concurrent.futures.ThreadPoolExecutor(1, "dialogym-records")

    def __len__(self) -> int:
        """Conversations that are kept in mind."""
        return len(self._entries)

    def ask(self, asked: Said, id: str | None) -> tuple[str, Job]:
        """The id of the conversation in which something is asked, and its answer, under way or there.

        Args:
            asked: the whole conversation; the last message is the person's.
            id: of the conversation; None finds it by what was said. One that is not known begins another, such as "";
                one that was issued, and has a history, names it again.

        Raises:
            TooBusy: if too many wait.
            Conflict: if another answer is waited for in this conversation, or it is over.
        """
        if self._waiting >= self.limits.waiting:
            raise TooBusy(f"{self._waiting} replies are waited for: ask again later")
        entry = self._entry_for(asked, id)
        assert entry.job is not None
        return entry.talk.id, entry.job

    async def answer(self, job: Job) -> Answer:
        """What the agent answers. Whoever waits may be cancelled; the agent goes on.

        Raises:
            CannotReplay: if the history cannot be one of this agent.
            AgentFailed: if the agent did.
        """
        self._waiting += 1
        try:
            return await asyncio.shield(asyncio.wrap_future(job.future))
        finally:
            self._waiting -= 1

    def _entry_for(self, asked: Said, id: str | None) -> Entry:
        entry = None if id is None else self._entries.get(id)
        if entry is not None:
            entry.is_named = True
            self._unlist(entry)
        if entry is not None and asked == entry.asked and not entry.has_failed:
            return self._touch(entry)  # asked again: the same answer
        if entry is not None and entry.is_answering:
            raise Conflict("the agent is still answering in this conversation")
        if entry is not None and entry.said and asked[:-1] == entry.said:
            return self._ask(entry, asked, [(asked[-1][1], None)])
        if entry is not None and asked == entry.asked:
            return self._ask(entry, asked, [])
        if id is None and len(asked) > 1:
            found = self._known.get(fingerprint(asked[:-1]))
            if found:
                return self._ask(self._entries[next(iter(found))], asked, [(asked[-1][1], None)])
        if entry is not None and entry.has_failed and len(asked) > 1 and asked[:-1] == entry.asked[:-1]:
            self._put_away(entry)  # the person says something else instead: it is played again without what failed
        return self._ask(self._new(id, has_history=len(asked) > 1), asked, script(asked))

    def _ask(self, entry: Entry, asked: Said, words: list[tuple[str, str | None]]) -> Entry:
        if entry.talk.over:
            raise Conflict("this conversation is over: begin another")
        self._unlist(entry)
        entry.asked, entry.said = asked, ()
        entry.job = Job(entry.talk, words)
        loop, future = asyncio.get_running_loop(), self.worker.submit(entry.job)
        future.add_done_callback(lambda future: _call(loop, self._note, entry, asked, future))
        return self._touch(entry)

    def _note(self, entry: Entry, asked: Said, future: concurrent.futures.Future[Answer]) -> None:
        """Notes what was said, so that who goes on with it is recognised; or that nothing can be said any more."""
        assert entry.job is not None
        error, id = future.exception(), entry.talk.id
        if error is not None and entry.job.script:
            self._forget(entry)
        elif error is not None and not isinstance(error, AgentFailed):  # the environment broke
            self._put_away(entry)
        elif error is None and self._entries.get(id) is entry and not future.result().over:
            entry.said = (*asked, ("assistant", future.result().content))
            if not entry.is_named:
                self._known.setdefault(fingerprint(entry.said), set()).add(id)

    def _unlist(self, entry: Entry) -> None:
        key = fingerprint(entry.said)
        ids = self._known.get(key, set())
        ids.discard(entry.talk.id)
        if not ids:
            self._known.pop(key, None)

    def _touch(self, entry: Entry) -> Entry:
        entry.used = time.monotonic()
        self._entries.move_to_end(entry.talk.id)
        return entry

    def _new(self, id: str | None, has_history: bool) -> Entry:
        """A new conversation, in whose place one that is silent is put away where there are too many.

        It has the id that it was named by, where that can be its own: without a history it is another conversation.
        """
        chosen = secrets.token_urlsafe(16)
        if id is not None and has_history and id not in self._entries and _ISSUED.fullmatch(id):
            chosen = id
        if len(self._entries) >= self.limits.conversations:
            silent = next((entry for entry in self._entries.values() if not entry.is_answering), None)
            if silent is None:
                raise TooBusy(f"{len(self._entries)} conversations are going on: ask again later")
            self._put_away(silent)
        entry = Entry(Talk(self.host, chosen), is_named=id is not None)
        self._entries[entry.talk.id] = entry
        return entry

    # The end of a conversation

    async def judge(self, id: str, success: bool, comment: str = "") -> bool:
        """Ends a conversation with what the person says of it; False where nothing is kept.

        Raises:
            NoSuchConversation: if there is none of that id.
            Conflict: if the agent is still answering in it.
            OSError: if it could not be written down; it goes on then.
        """
        entry = self._entries.get(id)
        if entry is None:
            raise NoSuchConversation("there is no such conversation, or it was ended before")
        if entry.is_answering:
            raise Conflict("the agent is still answering in this conversation")
        self._forget(entry)
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.shield(
                loop.run_in_executor(self._writer, self.records.add, entry.talk, success, comment)
            )
        except OSError:
            self._entries.setdefault(id, entry)
            raise

    def put_away_idle(self) -> None:
        """Writes down the conversations in which nobody has spoken for long, and forgets them."""
        before = time.monotonic() - self.limits.idle_seconds
        for entry in [one for one in self._entries.values() if one.used < before and not one.is_answering]:
            self._put_away(entry)

    async def put_all_away(self) -> None:
        """Writes down and forgets every conversation, as far as it has come."""
        await asyncio.gather(*[self._put_away(entry) for entry in list(self._entries.values())])
        self._writer.shutdown(wait=False)

    def _put_away(self, entry: Entry) -> asyncio.Future[None]:
        self._forget(entry)
        return asyncio.get_running_loop().run_in_executor(self._writer, self._write, entry.talk)

    def _write(self, talk: Talk) -> None:
        try:
            self.records.add(talk)
        except Exception as e:
            _log.error("a conversation is lost: %s", e)

    def _forget(self, entry: Entry) -> None:
        self._unlist(entry)
        if self._entries.get(entry.talk.id) is entry:
            del self._entries[entry.talk.id]


def script(asked: Said) -> list[tuple[str, str | None]]:
    """What the person says, and what the agent answered: None to the last."""
    words = [content for _, content in asked[::2]]
    answers = [content for _, content in asked[1::2]]
    return list(zip(words, [*answers, None], strict=True))


def fingerprint(said: Sequence[tuple[str, str]]) -> bytes:
    """Equal for equal conversations, and for no others."""
    return blake2b(repr(tuple(said)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    """Calls a function in an event loop, from another thread, unless the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)
