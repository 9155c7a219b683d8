"""The files of an agent: either the old ones or the new ones, never half of each; and which ones they are."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..rewards.files import append_line as append_line
from ..rewards.files import atomic_write as atomic_write
from ..rewards.files import show_weights as show_weights

EVALUATION_FILE = "evaluation.json"
CARD_FILE = "README.md"
HISTORY_FILE = "history.json"
TOLD = frozenset({EVALUATION_FILE, CARD_FILE, HISTORY_FILE})
"""Files that tell of an agent, and are no part of it."""


def check_writable(folder: str | Path) -> None:
    """Raises OSError where nothing can be written into a folder, before anything is computed that would be lost."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise OSError(f"nothing can be written into {folder}: {e.strerror}") from e


@contextlib.contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Yields an empty folder to write into, which takes the place of ``folder`` and all it held when the block ends.

    A block that raises leaves ``folder`` as it was. A kill between the two renames leaves the old content under
    ``folder.old``, where :func:`existing_folder` finds it.
    """
    folder = Path(folder)
    draft, old = folder.with_name(folder.name + ".tmp"), folder.with_name(folder.name + ".old")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(draft, folder)
    shutil.rmtree(old, ignore_errors=True)


def existing_folder(folder: str | Path) -> Path | None:
    """``folder`` as :func:`atomic_folder` left it, even when it was killed; None when there is none."""
    folder = Path(folder)
    old = Path(f"{folder}.old")  # "." has no name
    return folder if folder.is_dir() else old if old.is_dir() else None


def digest_of(folder: str | Path) -> str:
    """SHA-256 of a model's files, in hexadecimal; what is told of them, such as its card, is not among them."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in TOLD and not name.startswith("."):
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            with open(path, "rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
    return digest.hexdigest()
