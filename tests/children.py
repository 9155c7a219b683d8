"""Processes that tests start, and interrupt, and leave nothing of."""

from __future__ import annotations

import contextlib
import functools
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

hears_ctrl_c = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
"""For ``preexec_fn``: the child hears Ctrl-C also where whoever started the tests ignores it, as a shell does in the
background and ``nohup`` does."""


def ignores_ctrl_c() -> None:
    """For ``preexec_fn``: the child starts as one in the background does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def child(arguments: Sequence[str], preexec_fn: Any = hears_ctrl_c, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process with its output in pipes; killed, and its pipes closed, at the end."""
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()
