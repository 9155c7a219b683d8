"""Files: those that installed packages bring, and those that are either the old ones or the new ones, never half."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_APPENDING = threading.Lock()


def package_file(package: str, file: str, extra: str) -> Any:
    """A data file inside an installed package, without importing the package; has ``read_text`` and ``open``.

    Raises:
        ImportError: if the package is missing, with the extra that brings it.
    """
    from importlib.util import find_spec

    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f'this needs the data of {package}: pip install "dialogym[{extra}]"', name=package)
    return Path(next(iter(spec.submodule_search_locations))).joinpath(file)


def atomic_write(path: str | Path, content: str | bytes) -> None:
    """Writes a file beside ``path`` and renames it onto ``path``, so that a reader never sees half of it."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(draft, path)


def show_weights(folder: str | Path) -> None:
    """Lets those read the weights in a folder, and below, who may read the configuration beside them.

    safetensors writes files that their owner alone may read, and a server may run as somebody else.
    """
    for weights in Path(folder).rglob("*.safetensors"):
        beside = next(weights.parent.glob("*.json"), None)
        if beside is not None:
            shutil.copymode(beside, weights)


def append_line(path: str | Path, line: str) -> None:
    """Adds a line to a file, in one write, and returns when it is on the disk.

    Threads and processes that add to the same file take turns; where there is no ``flock``, threads alone do.

    Raises:
        OSError: if it could not be written, or only in part (a full disk); the file is then as it was.
    """
    content = f"{line}\n".encode()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        with _alone(file):
            _append(file, content, path)
    finally:
        os.close(file)


def _append(file: int, content: bytes, path: str | Path) -> None:
    size = os.fstat(file).st_size
    try:
        written = os.write(file, content)
        if written != len(content):
            raise OSError(f"{path}: expected to write {len(content)} bytes, wrote {written}")
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


@contextlib.contextmanager
def _alone(file: int) -> Iterator[None]:
    """Until the block ends, whoever else adds to the file waits."""
    if fcntl is None or not _has_locked(file):
        with _APPENDING:
            yield
        return
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # closing alone would not, where a fork meanwhile has the file open too


def _has_locked(file: int) -> bool:
    """Locks a file, when nobody else has; False where its file system has no such locks."""
    assert fcntl is not None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        return False
    return True
