"""A chat-completions server in this process that says what a test wrote down."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What the server sends: a status, a body and headers, after a pause in seconds."""

    status: int = 200
    body: str = "{}"
    headers: tuple[tuple[str, str], ...] = ()
    pause: float = 0.0


def saying(content: Any) -> Answer:
    """A chat completion whose message is ``content``."""
    return Answer(body=json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}))


class Stub:
    """What was asked, and where.

    Attributes:
        requests: the JSON body of each request, and ``headers`` its headers (names as in "Content-Type"), in order of
            arrival.
    """

    def __init__(self, answers: list[Answer] | Callable[[dict[str, Any]], Answer]):
        self.answers = answers
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.lock = threading.Lock()
        self.url = ""

    def answer(self, path: str, headers: dict[str, str], request: dict[str, Any]) -> Answer:
        """The answer to a request: of a list, the next one, the last one for ever."""
        with self.lock:
            self.paths.append(path)
            self.headers.append(headers)
            self.requests.append(request)
            number = len(self.requests) - 1
        return self.answers(request) if callable(self.answers) else self.answers[min(number, len(self.answers) - 1)]


@contextlib.contextmanager
def serving(answers: list[Answer] | Callable[[dict[str, Any]], Answer]) -> Iterator[Stub]:
    """A stub that listens on a free port of 127.0.0.1 until the block ends."""
    stub = Stub(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
            answer = stub.answer(self.path, {name.title(): value for name, value in self.headers.items()}, request)
            time.sleep(answer.pause)
            with contextlib.suppress(ConnectionError):  # the client did not wait
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                body = answer.body.encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, format: str, *arguments: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # five, the default, makes a batch wait for lost connections

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
