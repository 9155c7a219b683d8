"""What every agent that learns begins and ends with: its folder, its log, and the choice of the best."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...envs import playing
from ..base import Agent, Log, Validate, discard
from .selection import Selection, checkpoint_folder


class Training:
    """One training of an agent.

    Attributes:
        log: is handed the rows.
        validate: scores the agent; None where nobody validates.
        checkpoint: the folder that an interrupted training goes on from; None where nobody wants to keep one.
        resume: go on from it.
    """

    def __init__(self, agent: Agent, log: Log, validate: Validate | None, checkpoint: str | Path | None, resume: bool):
        self.agent, self.log, self.validate, self.checkpoint, self.resume = agent, log, validate, checkpoint, resume

    @contextlib.contextmanager
    def begin(self, otherwise: Validate | None = None) -> Iterator[tuple[Path, Selection]]:
        """The folder for checkpoints, a temporary one where none is kept, and what keeps the best agent.

        When the block ends without an error, the agent is the best one again.

        Args:
            otherwise: chooses the best where there is no ``validate``.
        """
        with checkpoint_folder(self.checkpoint, self.resume) as folder:
            selection = Selection(self.agent, self.validate or otherwise, folder)
            yield folder, selection
            selection.restore()


class Learner(Agent):
    """An agent that learns; a subclass says how, in ``train``."""

    learns = True

    def learn(
        self,
        env: Any,
        *,
        log: Log = discard,
        validate: Validate | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
    ) -> None:
        super().learn(env, checkpoint=checkpoint, resume=resume)
        with playing(self):
            self.train(env, Training(self, log, validate, checkpoint, resume))

    @abstractmethod
    def train(self, env: Any, training: Training) -> None:
        """Learns in ``env``: ``with training.begin() as (folder, selection)``, rows to ``training.log``."""
