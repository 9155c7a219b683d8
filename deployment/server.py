"""Serves an application until it is told to stop."""

from __future__ import annotations

import errno
import socket
from typing import Any

import uvicorn

from .app import Service

MAX_CONNECTIONS = 1_000
"""At once; a client beyond them is told that the server is busy."""
KEEP_ALIVE = 30
"""Seconds that a connection on which nothing is asked stays open."""


class Server(uvicorn.Server):
    """A server of uvicorn that tells the service when it is to stop.

    Args:
        service: what is served.
    """

    def __init__(self, service: Service):
        self.service = service
        seconds = int(service.limits.stop_seconds) + 5
        super().__init__(
            uvicorn.Config(
                service.app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,  # uvicorn's would close every handler of the process it is called in
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=seconds,
            )
        )

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.service.stop()
        super().handle_exit(sig, frame)


def listen(address: str, port: int) -> socket.socket:
    """A socket that takes connections.

    Raises:
        OSError: if the address or the port cannot be taken, with what to do.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    taken = socket.socket(family)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address, port))
        taken.listen(2048)
    except OSError as e:
        taken.close()
        hint = ": --port 0 takes a free one" if e.errno == errno.EADDRINUSE else ""
        raise OSError(e.errno, f"{address}:{port} cannot be served ({e.strerror}){hint}") from e
    return taken
