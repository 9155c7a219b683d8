"""A server in a thread, agents whose replies are known, and requests as they are on the wire."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym

from dialogym.agents.base import Agent, CutShort
from dialogym.deployment.app import Service
from dialogym.deployment.limits import Limits
from dialogym.deployment.records import Records
from dialogym.deployment.server import Server, listen
from dialogym.deployment.talk import Host

TOKEN = "a-token"
ENV = "TextDialog-v0"


class Echo(Agent):
    """Says what the person said last, with the number of its words; slowly, fails or uses tools when it is told to."""

    name = "echo"
    batches: list[int]

    def __init__(self, env: Any = ENV, seed: int = 0, config: Any = None):
        super().__init__(env, seed, config)
        self.batches, self.failures, self.gate = [], 0, threading.Event()
        self.gate.set()

    def act(self, observation: Any, info: Any) -> str:
        last = info["messages"][-1]
        if any("loop" in message["content"] for message in info["messages"] if message["role"] == "user"):
            return "search(area=north)"
        if last["role"] == "tool":
            return f"I found this: {last['content']}"
        said = last["content"]
        if "slow" in said:
            time.sleep(0.3)
        if "fail" in said:
            self.failures += 1
            raise RuntimeError("no idea")
        if "cut" in said:
            return CutShort("I was about to")
        if "search" in said:
            return "search(food=italian, area=north)"
        return f"{len(info['messages']) - 1}: you said {said!r}"

    def act_batch(self, observations: Any, infos: Any) -> list[Any]:
        self.gate.wait(20)
        self.batches.append(len(infos))
        return super().act_batch(observations, infos)


class Served(NamedTuple):
    """A server that runs."""

    service: Service
    server: Server
    port: int
    agent: Agent
    kept: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> Any:
        """The official client."""
        import openai

        return openai.OpenAI(**{"base_url": f"{self.url}/v1", "api_key": TOKEN, "max_retries": 0, **options})

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of a request; a body of bytes is sent as it is."""
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, data, {name: value for name, value in sent.items() if value})
            response = connection.getresponse()
            content = response.read()
        return response.status, json.loads(content) if content[:1] == b"{" else content

    def complete(self, messages: Any, **more: Any) -> tuple[int, Any]:
        """Status and JSON of a chat completion."""
        return self.ask("POST", "/v1/chat/completions", {"model": "echo", "messages": messages, **more})

    def lines(self) -> list[dict[str, Any]]:
        """What was kept."""
        return [json.loads(line) for line in self.kept.read_text().splitlines()] if self.kept.is_file() else []


@contextlib.contextmanager
def serving(kept: Any, agent: Agent | None = None, env: Any = ENV, **options: Any) -> Iterator[Served]:
    """A server of an agent, on a free port, until the block ends."""
    made = gym.make(env) if isinstance(env, str) else env
    agent = Echo(made) if agent is None else agent
    records = Records(kept, {"agent": agent.name, "env": made.spec.id})
    service = Service(
        Host(agent, made), **{"name": agent.name, "records": records, "token": TOKEN, "env": made.spec.id, **options}
    )
    server = Server(service)
    with contextlib.closing(listen("127.0.0.1", 0)) as socket:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield Served(service, server, socket.getsockname()[1], agent, kept)
        finally:
            service.stop()
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def wait_until(condition: Any, seconds: float = 20) -> None:
    """Returns when a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def said(*contents: str) -> list[dict[str, str]]:
    """Messages of user and assistant in turn."""
    return [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]


def quick(**limits: Any) -> Limits:
    """Limits that no test waits for."""
    return Limits(**{"requests_per_minute": 1_000_000, "stop_seconds": 5, **limits})
