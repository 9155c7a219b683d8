"""The chores of a training in updates, each from fresh experience; called by the loop, which is in the agent's file."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from ...rewards.served.endpoint import EndpointError
from ..base import LAST, LogRow
from .checkpoint import read_checkpoint, write_checkpoint
from .learner import Training
from .resuming import changed_settings
from .selection import Selection


class Stateful(Protocol):
    """What a checkpoint can hold beside the agent: an optimizer, a module."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any: ...


class Run:
    """One training under way: where it stands, its checkpoints, the best agent, the log, the budget.

    A loop looks like this::

        with Run.begin(training, config.env_turns, config.num_reports, optimizer=optimizer) as run:
            while run.goes_on:
                rng = run.next_update()
                ...
                run.finish_update(env_turns, tokens, row)

    A training that was interrupted and resumed ends with the very weights of one that was not: it goes back to the last
    report, and every update has its own random streams.

    Attributes:
        env_turns: agent turns learned from so far.
        num_updates: updates so far.
    """

    def __init__(self, training: Training, env_turns: int, num_reports: int, parts: dict[str, Stateful]):
        self.training, self.agent = training, training.agent
        self.total, self.num_reports, self.parts = env_turns, num_reports, parts
        self.env_turns = self.num_updates = 0
        self._folder, self._selection = Path(), Selection(self.agent, None, Path())
        self._began, self._row = 0.0, dict[str, Any]()
        self._reported = 0  # turns learned from at the last report

    @classmethod
    @contextlib.contextmanager
    def begin(cls, training: Training, env_turns: int, num_reports: int, **parts: Any) -> Iterator[Run]:
        """A run that takes up its checkpoint, or scores and keeps what it starts from.

        When the block ends without an error, the agent is the one that validated best.

        Args:
            training: what its caller wants of it.
            env_turns: agent turns to learn from.
            num_reports: validations and checkpoints, evenly spaced.
            **parts: what learns or changes beside the agent, by name; see :class:`Stateful`.

        Raises:
            FloatingPointError: for a loss or gradient that is not finite: which update, and what was kept.
            EndpointError: for a server that was asked in vain; likewise.
        """
        run = cls(training, env_turns, num_reports, parts)
        with training.begin() as (run._folder, run._selection):
            run._start()
            try:
                yield run
            except FloatingPointError as e:
                stopped = f"{e}; stopped before the weights were changed by it"
                raise FloatingPointError(
                    f"{run._about(stopped)}. A smaller learning_rate or max_grad_norm may help"
                ) from e
            except EndpointError as e:
                raise EndpointError(f"{run._about(f'{e}; stopped')}, to be resumed when the server is back") from e

    @property
    def goes_on(self) -> bool:
        """Whether there is more to learn from."""
        return self.env_turns < self.total

    def next_update(self) -> random.Random:
        """Begins an update; its random stream."""
        self._began, self._row = time.perf_counter(), {}
        return random.Random(f"{self.agent.seed}/{self.env_turns}")

    @contextlib.contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Logs how many seconds the block took."""
        began = time.perf_counter()
        yield
        self._row[name] = time.perf_counter() - began

    def finish_update(self, env_turns: int, tokens: int, row: LogRow) -> None:
        """Counts and logs an update; validates and leaves a checkpoint where a report is due.

        Args:
            env_turns: agent turns that were played for it.
            tokens: that were learned from, once for every pass.
            row: what there is to log of it.
        """
        budget = self.agent.budget
        budget.env_turns += env_turns
        budget.tokens += tokens
        budget.seconds += time.perf_counter() - self._began
        reports = self.env_turns * self.num_reports // self.total
        self.env_turns += env_turns
        self.num_updates += 1
        row = {"env_turns": budget.env_turns, "seconds": budget.seconds, **self._row, **row}
        row["progress"] = min(1.0, self.env_turns / self.total)
        if self.env_turns * self.num_reports // self.total > reports:
            row.update(self._selection.keep_best())
            self._leave()
        self.training.log(row)

    def _start(self) -> None:
        state = read_checkpoint(self.agent, self._folder) if self.training.resume else None
        if state is None:
            self._selection.keep_best()
            self._leave()
            return
        missing = ", ".join(name for name in self.parts if name not in state)
        if missing:
            changed = changed_settings(self.agent, self._folder / LAST)
            raise ValueError(
                f"the checkpoint in {self._folder} holds no {missing}, which {changed or 'this training'} needs: "
                "resume with the settings it was begun with, or train anew without resume"
            )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.env_turns, self.num_updates = int(state["turns"]), int(state["updates"])
        self._selection.score, self._reported = state["best"], self.env_turns

    def _leave(self) -> None:
        """Writes the checkpoint."""
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        state = {**parts, "turns": self.env_turns, "updates": self.num_updates, "best": self._selection.score}
        write_checkpoint(self.agent, self._folder, state)
        self._reported = self.env_turns

    def _about(self, what: str) -> str:
        """What stopped the training, when, and what is kept of it."""
        kept = "no checkpoint was asked for"
        if self.training.checkpoint is not None:
            kept = f"the checkpoint in {self.training.checkpoint} is of {self._reported} agent turns"
        return f"update {self.num_updates + 1}, after {self.env_turns} agent turns learned from: {what}, and {kept}"
