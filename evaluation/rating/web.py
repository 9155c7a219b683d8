"""Rating pairs on a web page that this machine serves to itself: one HTML file, no framework, nothing from elsewhere.

The server listens on 127.0.0.1 alone. It refuses a request that names another host (a page elsewhere whose name was
pointed here), and one that another page sent; what a rater sees is put on the page as text, never as HTML.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from .session import RatingSession

ADDRESS = "127.0.0.1"
MAX_BODY = 10_000
"""Bytes of an answer; one is about a hundred."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


class RatingServer(ThreadingHTTPServer):
    """Serves a session; ``serve_forever`` until ``shutdown``.

    Args:
        session: what is rated.
        port: 0 takes a free one.

    Attributes:
        url: where the page is.
    """

    daemon_threads = True

    def __init__(self, session: RatingSession, port: int = 0):
        super().__init__((ADDRESS, port), _Handler)
        self.session = session
        self.page = (resources.files("dialogym.evaluation.rating") / "rate.html").read_bytes()

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What the page may be called."""
        return f"{ADDRESS}:{self.server_port}", f"localhost:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: RatingServer  # type: ignore[assignment] (narrower than http.server's)
    timeout = 60  # seconds that a browser may hold a connection without asking anything

    def do_GET(self) -> None:
        if not self._is_ours():
            self._say(HTTPStatus.FORBIDDEN, {"error": "this page is served to this machine alone"})
        elif self.path == "/":
            self._send(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif self.path == "/question":
            self._say(HTTPStatus.OK, self._question())
        else:
            self._say(HTTPStatus.NOT_FOUND, {"error": f"there is / and /question, got {self.path:.80}"})

    def do_POST(self) -> None:
        body = self._body()  # read whatever comes of it: the connection goes on
        if not self._is_ours() or self.headers.get("Content-Type") != "application/json":
            self._say(HTTPStatus.FORBIDDEN, {"error": "answers come from the page itself"})
        elif self.path != "/answer":
            self._say(HTTPStatus.NOT_FOUND, {"error": f"there is /answer, got {self.path:.80}"})
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        try:
            told = json.loads(body)
            if not isinstance(told, dict) or set(told) != {"pair", "side", "seconds"}:
                raise ValueError(f"expected an object with pair, side and seconds, got {body!r:.80}")
            self.server.session.answer(told["pair"], told["side"], told["seconds"])
        except (ValueError, TypeError, RecursionError) as e:  # TypeError is an id that cannot be looked up
            self._say(HTTPStatus.BAD_REQUEST, {"error": str(e)})
        except OSError as e:  # the answer could not be written down; the question stays
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(e)})
        else:
            self._say(HTTPStatus.OK, self._question())

    def _question(self) -> dict[str, Any]:
        session = self.server.session
        question = session.question()
        told = None if question is None else question._asdict()
        return {"question": told, "done": session.done, "total": session.total, "rater": session.rater}

    def _is_ours(self) -> bool:
        """The request names this server as its host, and no other page as its origin."""
        hosts = self.server.hosts
        origins = (None, *(f"http://{host}" for host in hosts))
        return self.headers.get("Host") in hosts and self.headers.get("Origin") in origins

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        return self.rfile.read(min(int(length), MAX_BODY)) if length.isascii() and length.isdigit() else b""

    def _say(self, status: HTTPStatus, told: dict[str, Any]) -> None:
        self._send(status, json.dumps(told).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal belongs to the command."""
