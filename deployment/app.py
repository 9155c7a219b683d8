"""The server: OpenAI's chat completions, the page for people, and what guards both."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Collection
from importlib import resources
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from .desk import Conflict, Desk, NoSuchConversation, TooBusy
from .limits import Limits, RateLimiter
from .records import Records
from .requests import ChatRequest, Judgement, Refused, wrong
from .talk import Answer, CannotReplay, Host
from .worker import AgentFailed, Job, Worker

_log = logging.getLogger(__name__)
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
CLOSE = {"Connection": "close"}
"""Of a response to a body that was not read to its end."""
SIGN_OF_LIFE = 5.0
"""Seconds between two comments in a stream in which nothing else happens."""
SWEEP = 30.0
"""Seconds between two looks for conversations that fell silent."""
_PIECES = re.compile(r"\s*\S+|\s+\Z")


class Service:
    """The application, with what it keeps.

    Args:
        host: begins conversations.
        name: that the agent goes by, as a model.
        records: where conversations are kept.
        token: that a request has to have; None asks for none.
        limits: of what is taken; None takes the defaults.
        local: it is served to this machine alone: requests that name another host are refused, which pages elsewhere
            make whose name was pointed here.
        public_names: other names of this machine, such as "chat.example" or "chat.example:8443", at which a proxy hands
            requests on; also of the pages whose requests are taken.
        env: id of the environment.

    Attributes:
        app: for a server of ASGI.
        stopping: set when the server is told to stop.
    """

    def __init__(
        self,
        host: Host,
        *,
        name: str,
        records: Records,
        token: str | None,
        limits: Limits | None = None,
        local: bool = True,
        public_names: Collection[str] = (),
        env: str = "",
    ):
        limits = Limits() if limits is None else limits
        self.public_names = frozenset(name.lower() for name in public_names)
        self._public_hosts = {_host(name) for name in self.public_names} - {""}
        self.name, self.token, self.limits, self.local = name, token, limits, local
        self.env, self.created = env, int(time.time())
        self.worker = Worker(host.agent)
        self.desk = Desk(host, self.worker, records, limits)
        self.rate = RateLimiter(limits.requests_per_minute)
        self.stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.page = (resources.files("dialogym.deployment") / "chat.html").read_text()
        self.app = FastAPI(
            title="dialogym",
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,
            lifespan=self._lifespan,
        )
        self.app.add_exception_handler(Refused, _refusal)  # type: ignore[arg-type]  # Starlette's type is wider
        self.app.add_exception_handler(HTTPException, _no_such_path)  # type: ignore[arg-type]
        self.app.middleware("http")(self._guard)
        self.app.api_route("/", methods=["GET", "HEAD"])(self._page)
        self.app.api_route("/health", methods=["GET", "HEAD"])(self._health)
        self.app.get("/v1/models")(self._models)
        self.app.get("/v1/models/{name:path}")(self._model)
        self.app.post("/v1/chat/completions")(self._complete)
        self.app.post("/conversations/{id}/judgement")(self._judge)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self.worker.start()
        sweeper = asyncio.create_task(self._sweep())
        yield
        sweeper.cancel()
        self.worker.stop()
        await self.desk.put_all_away()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(SWEEP, self.limits.idle_seconds))
            self.desk.put_away_idle()

    def stop(self) -> None:
        """Says that the server is to stop, so that replies come to an end; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.stopping.set)

    # Who may ask

    async def _guard(self, request: Request, call_next: Any) -> Response:
        try:
            self._check(request)
            response = await call_next(request)
        except Refused as refused:
            response = await _refusal(request, refused)
        except Exception:
            _log.exception("a request broke")
            response = await _refusal(request, Refused(500, "the server failed: its log says how"))
        for header, value in HEADERS.items():
            response.headers.setdefault(header, value)
        return response

    def _check(self, request: Request) -> None:
        """Raises Refused for a request that another page or host sent, that comes too soon, or has no token."""
        named = request.headers.get("host", "")
        if self.local and not _is_local(named, self._public_hosts):
            raise Refused(
                403,
                f"this server is for its own machine alone, got a request for {named!r:.80}: "
                "`dialogym serve --public-name` gives it the name of a proxy",
            )
        origin = request.headers.get("origin")
        if origin is not None and _netloc(origin) not in (named, *self.public_names):
            raise Refused(403, "requests of other pages are refused")
        if request.scope["path"] in ("/", "/health"):
            return
        wait = self.rate.wait(request.client.host if request.client else "")
        if wait:
            per_minute = self.limits.requests_per_minute
            raise Refused(
                429,
                f"expected at most {per_minute} requests a minute: try again in {wait:.1f} seconds",
                "rate_limit_exceeded",
                {"Retry-After": str(int(wait) + 1)},
            )
        if self.token is not None and not _has_token(request, self.token):
            raise Refused(
                401,
                "expected the token of this server as `Authorization: Bearer TOKEN`",
                "invalid_api_key",
                {"WWW-Authenticate": "Bearer"},
            )

    async def _read(self, request: Request, kind: type[M]) -> M:
        """The body of a request.

        Raises:
            Refused: for one that is too large, too slow or not what it should be.
        """
        sent = request.headers.get("content-type", "")
        if sent.partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, f"expected Content-Type: application/json, got {sent!r:.80}")
        try:
            body = await asyncio.wait_for(self._body(request), self.limits.body_seconds)
        except asyncio.TimeoutError:
            seconds = self.limits.body_seconds
            raise Refused(408, f"expected the body within {seconds:g} seconds", headers=CLOSE) from None
        try:
            told = json.loads(body)
            json.dumps(told, ensure_ascii=False).encode()  # half a surrogate pair is no text
            return kind.model_validate(told)
        except ValidationError as e:
            raise wrong(e) from None
        except (ValueError, RecursionError) as e:
            raise Refused(400, f"expected JSON: {e}") from None

    async def _body(self, request: Request) -> bytes:
        limit, body = self.limits.body_bytes, bytearray()
        too_large = Refused(413, f"expected a body of at most {limit} bytes", headers=CLOSE)
        if int(request.headers.get("content-length", 0)) > limit:
            raise too_large
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
        return bytes(body)

    # What there is

    async def _page(self) -> Response:
        return HTMLResponse(self.page)

    async def _health(self) -> dict[str, Any]:
        if not self.worker.is_alive():
            raise Refused(503, "the agent has stopped: the server has to be started anew")
        return {"status": "stopping" if self.stopping.is_set() else "ok"}

    async def _models(self) -> dict[str, Any]:
        return {"object": "list", "data": [self._described()]}

    async def _model(self, name: str) -> dict[str, Any]:
        if name != self.name:
            raise self._no_such_model(name)
        return self._described()

    def _no_such_model(self, name: str) -> Refused:
        return Refused(404, f"there is the model {self.name!r}, got {name!r:.80}", "model_not_found", param="model")

    def _described(self) -> dict[str, Any]:
        known = {"id": self.name, "object": "model", "created": self.created, "owned_by": "dialogym"}
        is_kept = self.desk.records.path is not None
        return {**known, "env": self.env, "message_chars": self.limits.message_chars, "kept": is_kept}

    async def _complete(self, request: Request) -> Response:
        asked = await self._read(request, ChatRequest)
        if asked.model != self.name:
            raise self._no_such_model(asked.model)
        asked.check()
        said = asked.said(self.limits)
        try:
            id, job = self.desk.ask(said, asked.conversation)
        except (TooBusy, Conflict) as e:
            raise _refused(e) from e
        if asked.stream:
            usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
            return StreamingResponse(self._stream(id, job, usage), media_type="text/event-stream")
        answer = await self._answer(job)
        message = {"role": "assistant", "content": answer.content, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(answer)}
        return JSONResponse(
            {**self._head("chat.completion"), "choices": [choice], "usage": None, **_beside(id, answer)}
        )

    async def _stream(self, id: str, job: Job, usage: bool) -> AsyncIterator[str]:
        """The events of a stream. A reply is handed out when it is whole: only then is it known to be no tool call."""
        head = self._head("chat.completion.chunk")

        def event(delta: dict[str, Any], reason: str | None = None, **beside: Any) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            return _event({**head, "choices": [choice], **beside})

        yield event({"role": "assistant", "content": ""})
        waited = asyncio.ensure_future(self._answer(job))
        try:
            while not (await asyncio.wait({waited}, timeout=SIGN_OF_LIFE))[0]:
                yield ": still answering\n\n"
            answer = waited.result()
        except Refused as refused:
            yield _event(refused.body)
            return
        finally:
            waited.cancel()
        for piece in _PIECES.findall(answer.content):
            yield event({"content": piece})
        yield event({}, _reason(answer), **_beside(id, answer))
        if usage:
            yield _event({**head, "choices": [], "usage": None})
        yield "data: [DONE]\n\n"

    async def _judge(self, id: str, request: Request) -> dict[str, Any]:
        judgement = await self._read(request, Judgement)
        try:
            return {"saved": await self._in_time(self.desk.judge(id, judgement.success, judgement.comment))}
        except NoSuchConversation as e:
            raise Refused(404, str(e)) from e
        except OSError as e:
            raise Refused(500, f"nothing was saved: {e}") from e
        except Conflict as e:
            raise _refused(e) from e

    def _head(self, kind: str) -> dict[str, Any]:
        id = f"chatcmpl-{time.time_ns():x}"
        return {"id": id, "object": kind, "created": int(time.time()), "model": self.name, "system_fingerprint": None}

    async def _answer(self, job: Job) -> Answer:
        """What the agent answers.

        Raises:
            Refused: if that is nothing, with the reason.
        """
        try:
            return await self._in_time(self.desk.answer(job))
        except (CannotReplay, AgentFailed) as e:
            raise _refused(e) from e
        except Refused:
            raise
        except Exception as e:  # of the environment, say; the conversation cannot go on
            _log.exception("a conversation broke")
            raise Refused(500, f"the conversation broke: {e}", "conversation_failed") from e

    async def _in_time(self, awaited: Awaitable[T]) -> T:
        """What is awaited, unless it takes too long or the server has to stop before.

        Raises:
            Refused: if it does.
        """
        task = asyncio.ensure_future(awaited)
        stopped = asyncio.ensure_future(self._stopped())
        try:
            await asyncio.wait({task, stopped}, timeout=self.limits.reply_seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            task.cancel()
            stopped.cancel()
        if self.stopping.is_set():
            raise Refused(503, "the server is stopping, and the reply was not done in time", "stopping")
        raise Refused(504, f"there was no reply within {self.limits.reply_seconds:g} seconds: ask again", "timeout")

    async def _stopped(self) -> None:
        """Returns when the server has been told to stop and the time that replies have then is over."""
        await self.stopping.wait()
        await asyncio.sleep(self.limits.stop_seconds)


def _refused(e: Exception) -> Refused:
    """How a client is told."""
    if isinstance(e, TooBusy):
        return Refused(429, str(e), "rate_limit_exceeded", {"Retry-After": "1"})
    if isinstance(e, AgentFailed):
        return Refused(500, str(e), "agent_failed")
    return Refused(409 if isinstance(e, Conflict) else 400, str(e))


def _reason(answer: Answer) -> str:
    """Why a reply ended, in OpenAI's words."""
    return "length" if answer.is_cut else "stop"


def _beside(id: str, answer: Answer) -> dict[str, Any]:
    """What an answer tells beside OpenAI's fields."""
    tools = [{"call": use.call, "result": use.result} for use in answer.tools]
    return {"conversation": id, "over": answer.over, "tools": tools}


def _event(told: dict[str, Any]) -> str:
    return f"data: {json.dumps(told)}\n\n"


async def _refusal(request: Request, refused: Refused) -> Response:
    return JSONResponse(refused.body, refused.status, refused.headers)


async def _no_such_path(request: Request, error: HTTPException) -> Response:
    allowed = (error.headers or {}).get("Allow")
    expected = f"expected {allowed}" if allowed else "expected a path such as /v1/chat/completions or /v1/models"
    told = Refused(error.status_code, f"{error.detail}: {expected}, got {request.method} {request.url.path:.80}")
    return JSONResponse(told.body, told.status, error.headers)


def _is_local(named: str, public_hosts: Collection[str]) -> bool:
    """Whether a host is this machine by name; its port may be another one, where a tunnel leads here."""
    try:
        host = _host(named)
        return host == "localhost" or host in public_hosts or ip_address(host).is_loopback
    except ValueError:
        return False


def _host(named: str) -> str:
    """A host without its port; a ValueError where it is malformed."""
    return urlsplit(f"//{named}").hostname or ""


def _netloc(origin: str) -> str | None:
    """Host and port of an origin; None where it is malformed."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _has_token(request: Request, token: str) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
