"""Any OpenAI-compatible endpoint, asked with patience: the shared leaf of the judge, the api agent and served samplers.

The ``openai`` package (extra ``api``) asks; pauses and the words of errors are ours. The key travels in one header,
never in a message, a ``repr`` or a redirected request.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, wait
from time import sleep
from typing import Any, TypeVar
from urllib.parse import urlsplit

DEFAULT_BASE_URL = "https://api.openai.com/v1"
BASE_URL_VARIABLE = "OPENAI_BASE_URL"
KEY_VARIABLE = "OPENAI_API_KEY"
MAX_WAIT = 60.0
"""Seconds; the longest pause between two tries. A server that asks for more is not asked again."""
_RETRIED = {408, 409, 425, 429}
T = TypeVar("T")
_jitter = random.Random()  # of pauses alone; the global stream stays where it is


class EndpointError(RuntimeError):
    """An endpoint that could not be asked, or did not answer as it should."""


class PassingError(EndpointError):
    """An error that may be gone at the next try; ``wait`` is what the server asked for, in seconds, or None."""

    def __init__(self, message: str, wait: float | None = None):
        super().__init__(message)
        self.wait = wait


class Endpoint:
    """Asks one model of one server; subclasses say what.

    Args:
        model: as the server calls it.
        base_url: where ``/chat/completions`` and the like are; None takes the environment variable
            ``OPENAI_BASE_URL``, else OpenAI's.
        api_key: None takes the environment variable of the name ``key_variable``; "" sends none, as local servers want
            it. A key given here is pickled with the object; one from the variable is not.
        timeout: seconds that the server may be silent.
        max_retries: tries after the first on a timeout, a lost connection, HTTP 408, 409, 425, 429 and 5xx, and an
            answer that is not what was asked for. Any other HTTP error is raised at once.
        backoff: seconds before the second try, doubled for each further one, up to ``MAX_WAIT``, and cut at random by
            up to a half. A ``Retry-After`` of the server goes before.

    Raises:
        ValueError: for an argument outside its range, or a missing key, with the name of the variable.
        ImportError: without the openai package, with the extra that brings it.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        key_variable: str = KEY_VARIABLE,
        timeout: float = 60.0,
        max_retries: int = 5,
        backoff: float = 1.0,
    ):
        if not model or not isinstance(model, str):
            raise ValueError(f"model must be the name that the server calls it by, got {model!r}")
        if timeout <= 0 or max_retries < 0 or backoff < 0:
            got = f"timeout={timeout}, max_retries={max_retries} and backoff={backoff}"
            raise ValueError(f"expected timeout > 0, max_retries >= 0 and backoff >= 0, got {got}")
        self.model, self.base_url = model, _checked_url(base_url or os.environ.get(BASE_URL_VARIABLE) or None)
        self.timeout, self.max_retries, self.backoff = timeout, max_retries, backoff
        self.key_variable, self._given_key = key_variable, api_key
        self._key()  # what is missing is told now, not in the middle of an episode
        _package()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r}, {self.base_url!r})"

    def patiently(self, ask: Callable[[], T]) -> T:
        """What ``ask`` returns, which is tried again where it raises a :class:`PassingError`.

        Raises:
            EndpointError: when the last try failed, or one that no retry can help.
        """
        for attempt in range(self.max_retries + 1):
            try:
                return ask()
            except PassingError as error:
                if attempt == self.max_retries or (error.wait or 0.0) > MAX_WAIT:
                    tries = f"{attempt + 1} {'try' if attempt == 0 else 'tries'}"
                    asked = f"; it asks to wait {error.wait:.0f} seconds" if error.wait else ""
                    raise EndpointError(f"gave up after {tries}: {error}{asked}") from error
                sleep(self._pause(attempt) if error.wait is None else error.wait)
        raise AssertionError("unreachable")

    def post(self, path: str, body: Mapping[str, Any], timeout: float | None = None) -> Any:
        """One try: the ``httpx.Response`` to a request of any kind, such as "/completions".

        Args:
            path: of the request, after the address.
            body: becomes JSON.
            timeout: seconds to wait for it; None is that of the endpoint.

        Raises:
            EndpointError: where there is none, or it tells an error; a :class:`PassingError` if that may pass.
        """
        import httpx  # of the openai package

        with self._asking(path) as (client, headers):
            options = {"headers": headers, **({} if timeout is None else {"timeout": timeout})}
            return client.post(path, body=dict(body), cast_to=httpx.Response, options=options)

    def unexpected(self, path: str, expected: str, response: Any) -> PassingError:
        """The error that a response is not what was expected."""
        text = self._safe(response.text)  # before it is cut, or half a key may be left
        return PassingError(f"expected {expected} from {self.base_url}{path}, got {text!r:.200}")

    @contextlib.contextmanager
    def _asking(self, path: str) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The client and the headers of one try; its errors are told as ours."""
        openai, key, url = _package(), self._key(), f"{self.base_url}{path}"
        headers = {} if key else {"Authorization": openai.Omit()}
        try:
            yield _client(os.getpid(), self.base_url, key or "none", self.timeout), headers
        except openai.APIStatusError as error:
            raise self._status_error(url, error) from None
        except openai.APIConnectionError as error:  # refused, reset, timed out, cut off
            reason = str(error.__cause__ or "") or error.message
            raise PassingError(self._safe(f"no answer from {url}: {reason}")) from error

    def _pause(self, attempt: int) -> float:
        return min(MAX_WAIT, self.backoff * 2**attempt) * _jitter.uniform(0.5, 1.0)

    def _status_error(self, url: str, error: Any) -> EndpointError:
        code, response = error.status_code, error.response
        said = self._safe(" ".join(response.text.split()) or response.reason_phrase)[:2000]
        hint = f" (the key is that of {self._key_source()})" if code in (401, 403) else ""
        message = f"HTTP {code} from {url}{hint}: {said}"
        if code in _RETRIED or code >= 500:
            return PassingError(message, retry_after(response.headers.get("Retry-After")))
        return EndpointError(message)

    def _key(self) -> str:
        """The key, "" for none; read where it is kept at each request, so that no copy is pickled."""
        key = self._given_key if self._given_key is not None else os.environ.get(self.key_variable, "")
        key = key.strip()
        if not key and self._given_key is None:
            raise ValueError(
                f"expected the key of {self.base_url} in the environment variable {self.key_variable}, got none; "
                'a server that wants no key takes api_key="" (the agent `api`: key_variable="")'
            )
        if not all("!" <= letter <= "~" for letter in key):  # the header's error would show it
            raise ValueError(f"{self._key_source()} must be printable ASCII without spaces; it is not")
        return key

    def _key_source(self) -> str:
        return "api_key" if self._given_key is not None else f"the environment variable {self.key_variable}"

    def _safe(self, message: str) -> str:
        """``message`` without the key, which some servers repeat."""
        key = self._key()
        return message.replace(key, "***") if key else message


class ChatEndpoint(Endpoint):
    """An :class:`Endpoint` of chat completions.

    Args:
        model, base_url, api_key, key_variable, timeout, max_retries, backoff: see :class:`Endpoint`.
        options: further fields of the request, such as ``temperature``; sent as they are.
    """

    PATH = "/chat/completions"

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        key_variable: str = KEY_VARIABLE,
        options: Mapping[str, Any] | None = None,
        timeout: float = 60.0,
        max_retries: int = 5,
        backoff: float = 1.0,
    ):
        super().__init__(model, base_url, api_key, key_variable, timeout, max_retries, backoff)
        self.options = dict(options or {})

    def complete(self, messages: Iterable[Mapping[str, str]]) -> str:
        """What the model says to ``messages``: ``choices[0].message.content``, or its refusal.

        Raises:
            EndpointError: when the last try failed, or one that no retry can help.
        """
        said = [{key: _whole(text) for key, text in message.items()} for message in messages]
        return self.patiently(lambda: self._ask(said))

    def _ask(self, messages: list[Any]) -> str:
        """One try."""
        with self._asking(self.PATH) as (client, headers):
            answer = client.chat.completions.with_raw_response.create(
                model=self.model, messages=messages, extra_body=self.options, extra_headers=headers
            )
        return self._content(answer)

    def _content(self, answer: Any) -> str:
        """What the model said in an answer, as the package reads it."""
        try:
            message = answer.parse().choices[0].message
            content = message.refusal if message.content is None else message.content
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # the package lets any shape pass
            raise self.unexpected(self.PATH, "a chat completion", answer.http_response) from error
        if not isinstance(content, str):
            raise self.unexpected(self.PATH, "a text in the message", answer.http_response)
        return self._safe(content)


def threaded(function: Callable[[Any], T], arguments: Sequence[Any], num_threads: int) -> list[T]:
    """``function`` of each argument, ``num_threads`` at once, in order.

    The first error is raised at once: no more are begun, and nobody waits for those under way.
    """
    if len(arguments) < 2 or num_threads == 1:
        return [function(argument) for argument in arguments]
    futures, running = list[Future[T]](), set[Future[T]]()
    for argument in arguments:
        if len(running) == num_threads:
            running = _waited_for(running, FIRST_COMPLETED)
        futures.append(in_a_thread(function, argument))
        running.add(futures[-1])
    _waited_for(running, FIRST_EXCEPTION)
    return [future.result() for future in futures]


def _waited_for(running: set[Future[T]], until: str) -> set[Future[T]]:
    """Those that still run when the first one, or all, have ended; the error of one is raised."""
    done, others = wait(running, return_when=until)
    for future in done:
        future.result()
    return others


def in_a_thread(function: Callable[..., T], *arguments: Any) -> Future[T]:
    """What ``function`` returns, in a thread of its own, which the end of the program does not wait for.

    For those of a ``ThreadPoolExecutor`` it does wait: who interrupts a program would wait for a silent server.
    """
    future = Future[T]()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name="dialogym-endpoint").start()
    return future


def retry_after(value: str | None) -> float | None:
    """The seconds of a ``Retry-After`` header, a number or a date (RFC 9110, section 10.2.3); None for neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    from email.utils import parsedate_to_datetime  # rarely needed

    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _checked_url(url: str | None) -> str:
    url = DEFAULT_BASE_URL if url is None else url
    if not isinstance(url, str):
        raise TypeError(f"base_url must be a text, got {url!r:.200}")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"base_url must begin with http:// or https://, got {url!r:.200}")
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("base_url must not hold a name or a password: give the key by its environment variable")
    try:
        host, _ = urlsplit(url).hostname, urlsplit(url).port  # a port that is no number raises
    except ValueError as error:
        raise ValueError(f"base_url must be an address, got {url!r:.200}: {error}") from error
    if not host:
        raise ValueError(f"base_url must name a host, got {url!r:.200}")
    return url.rstrip("/").removesuffix("/chat/completions")


def _whole(text: str) -> str:
    """``text`` as UTF-8 can hold it: a half of a surrogate pair becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _package() -> Any:
    """The openai package.

    Raises:
        ImportError: where it is missing, with the extra that brings it.
    """
    try:
        import openai
    except ImportError as error:
        raise ImportError('asking an endpoint needs openai: pip install "dialogym[api]"', name="openai") from error
    return openai


@functools.lru_cache(maxsize=16)
def _client(process: int, base_url: str, key: str, timeout: float) -> Any:
    """The package's client, proxies and all, which keeps its connections.

    It tries once and follows no redirect: the key is for one address only. Each ``process`` has its own, since two must
    not share a connection.
    """
    openai = _package()
    return openai.OpenAI(
        api_key=key,
        base_url=base_url,
        timeout=timeout,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(follow_redirects=False),
    )
