"""A hub on this machine: so much of the Hugging Face hub's HTTP API as pushing a folder takes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stub"
OWNER = "somebody"
LARGE = (".safetensors",)


class StubHub(ThreadingHTTPServer):
    """Keeps what is committed.

    Attributes:
        repos: name, and files as bytes.
        private: name, and whether only its owner sees it.
        commits: names of the files and message of each commit.
        refuses: status to answer every commit with, instead of taking it.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[tuple[list[str], str]] = []
        self.stored: dict[str, bytes] = {}
        self.refuses: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: StubHub  # type: ignore[assignment]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._say(200, {"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            modes = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular"}
                for one in files
            ]
            self._say(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.url}/store/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._say(200, {"transfer": "basic", "objects": objects}, "application/vnd.git-lfs+json")
        elif "/commit/" in path:
            self._commit(path.split("/api/models/")[1].partition("/commit/")[0], body)
        else:
            self._say(404, {"error": f"the stub has no {path}"})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == name
        self.server.stored[name] = content
        self._say(200, {})

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say(401, {"error": "Invalid username or password."})
        elif self.path == "/api/whoami-v2":
            self._say(200, {"name": OWNER, "type": "user", "auth": {"accessToken": {"role": "write"}}})
        else:
            self._say(404, {"error": f"the stub has no {self.path}"})

    def _create(self, asked: Any) -> None:
        name = f"{asked.get('organization') or OWNER}/{asked['name']}"
        told = {"url": f"{self.server.url}/{name}", "name": name, "id": "0"}
        if name in self.server.repos:
            self._say(409, {"error": "You already created this model repo", **told})
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))  # the newer and the older word
        self.server.repos[name], self.server.private[name] = {}, private
        self._say(200, told)

    def _commit(self, repo: str, body: bytes) -> None:
        if self.server.refuses is not None:
            self._say(self.server.refuses, {"error": "the stub refuses"})
            return
        message, names = "", []
        for line in body.decode().splitlines():
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "header":
                message = value["summary"]
                continue
            names.append(value["path"])
            stored = said["key"] == "lfsFile"
            content = self.server.stored[value["oid"]] if stored else base64.b64decode(value["content"])
            self.server.repos[repo][value["path"]] = content
        self.server.commits.append((names, message))
        self._say(200, {"success": True, "commitOid": "c" * 40, "commitUrl": f"{self.server.url}/{repo}/commit/c"})

    def _say(self, status: int, told: Any, kind: str = "application/json") -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def stub_hub() -> Iterator[StubHub]:
    """A hub that runs until the block ends."""
    with StubHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
