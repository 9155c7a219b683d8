"""Choosing the agent that validated best, and the folders that an interrupted training goes on from."""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..base import BEST, LAST, Agent, LogRow, Validate
from ..files import atomic_folder, existing_folder


@contextlib.contextmanager
def checkpoint_folder(checkpoint: str | Path | None, resume: bool) -> Iterator[Path]:
    """The folder of a training: the checkpoint, or a temporary one where nobody wants to keep it.

    Without ``resume``, what an earlier training left there is removed.
    """
    if checkpoint is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    folder = Path(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        for name in (BEST, LAST):
            for leftover in (name, f"{name}.old", f"{name}.tmp"):
                shutil.rmtree(folder / leftover, ignore_errors=True)
    yield folder


@contextlib.contextmanager
def draft_of(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of ``folder`` when the block ends.

    Raises:
        OSError: where something could not be written (a full disk, say); ``folder`` is then as it was.
    """
    try:
        with atomic_folder(folder) as draft:
            yield draft
    except Exception as e:
        left = "what it held before is still there" if existing_folder(folder) is not None else "there is none yet"
        raise OSError(f"could not write the checkpoint {folder} ({type(e).__name__}: {e}); {left}") from e


class Selection:
    """Keeps the agent that validated best so far.

    Args:
        agent: the one that learns.
        validate: scores it, higher is better; None keeps nothing, and the last agent is the one.
        folder: where the best is kept, as ``best``.

    Attributes:
        score: what the best scored; None before the first validation.
    """

    def __init__(self, agent: Agent, validate: Validate | None, folder: Path):
        self.agent, self.validate, self.folder = agent, validate, folder
        self.score: float | None = None

    def keep_best(self) -> LogRow:
        """Validates the agent as it is now; of two that score the same, the later is kept, and any rather than NaN.

        Returns:
            ``{"validation": score}``, or an empty row without ``validate``.
        """
        if self.validate is None:
            return {}
        score = float(self.validate(self.agent))
        if self.score is None or math.isnan(self.score) or score >= self.score:
            self.score = score
            with draft_of(self.folder / BEST) as draft:
                self.agent.save(draft)
        return {"validation": score}

    def restore(self) -> None:
        """Gives the agent back what it had learned when it validated best."""
        best = existing_folder(self.folder / BEST)
        if self.score is not None and best is not None:
            self.agent._load(best)
