"""Trackers: TensorBoard and Weights & Biases, beside the log on disk. A package is imported when its tracker opens."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from ...rewards.suggestions import did_you_mean
from ..base import Log, LogRow
from ..files import atomic_write
from .metrics import named, step_of

Tracker: TypeAlias = Callable[[Path, Mapping[str, Any], "Sequence[LogRow] | None"], AbstractContextManager[Log]]
"""Opens with the folder of a training, its settings, and the rows it had before where it goes on (None: it begins)."""

RUN_FILE = "wandb_run.json"
"""In the folder of a training, the id of its run in Weights & Biases."""
PROJECT = "dialogym"
"""In Weights & Biases, where the variable WANDB_PROJECT names no other."""
EVENTS = "events.out.tfevents.*"


@contextlib.contextmanager
def open_trackers(
    names: Sequence[str], folder: str | Path, settings: Mapping[str, Any], before: Sequence[LogRow] | None = None
) -> Iterator[Log]:
    """What a training calls with each row, for every tracker to show under the names of ``metrics.py``.

    The step of a row is its ``env_turns``, or its ``epoch`` where it has one.

    Args:
        names: of ``TRACKERS``; none is none.
        folder: of the training; an earlier training that was tracked there is replaced, unless this one goes on.
        settings: of the training, to be shown beside it.
        before: the rows of the training that this one goes on with: the same run goes on. A tracker that did not see
            them is told. None begins a new run.

    Raises:
        ValueError, ImportError: as :func:`check_trackers`, before anything is written.
    """
    check_trackers(names)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(TRACKERS[name](Path(folder), settings, before)) for name in names]

        def log(row: LogRow) -> None:
            for write in opened:
                write(row)

        yield log


def check_trackers(names: Sequence[str]) -> None:
    """Raises for a tracker that there is not, or whose package is missing.

    Raises:
        ValueError: for an unknown name, with the right ones.
        ImportError: for a missing package, with the extra that brings it.
    """
    for name in names:
        if name not in TRACKERS:
            hint = did_you_mean(name, list(TRACKERS))
            raise ValueError(f"log must be one of {', '.join(TRACKERS)}, got {name!r}{hint}")
        if find_spec(name) is None:
            raise ImportError(f'log {name!r} needs {name}: pip install "dialogym[{name}]"', name=name)


@contextlib.contextmanager
def _tensorboard(folder: Path, settings: Mapping[str, Any], before: Sequence[LogRow] | None) -> Iterator[Log]:
    """Event files in ``folder``/tensorboard, for ``tensorboard --logdir``; each row is on disk when it was logged.

    A training that went back to its checkpoint says again what it had said since: TensorBoard shows the later.
    """
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    event, summary = _protocol("event"), _protocol("summary")
    folder = folder / "tensorboard"
    goes_on = before is not None and any(folder.glob(EVENTS))
    if before is None:
        for path in folder.glob(EVENTS):
            path.unlink()
    writer, first = EventFileWriter(str(folder)), goes_on

    def add(step: int, **fields: Any) -> None:
        writer.add_event(event.Event(wall_time=time.time(), step=step, **fields))

    def log(row: LogRow) -> None:
        nonlocal first
        if first:
            start = event.SessionLog(status=event.SessionLog.START)
            add(step_of(row), session_log=start)  # hides what stands there or later
            first = False
        values = [summary.Summary.Value(tag=name, simple_value=value) for name, value in named(row).items()]
        add(step_of(row), summary=summary.Summary(value=values))
        writer.flush()

    try:
        if not goes_on:
            add(0, summary=summary.Summary(value=[_text("settings", _table(settings))]))
            for row in before or ():
                log(row)
        yield log
    finally:
        writer.close()


def _text(tag: str, text: str) -> Any:
    """A text as TensorBoard shows it, in Markdown."""
    summary, tensor, types = _protocol("summary"), _protocol("tensor"), _protocol("types")
    plugin = summary.SummaryMetadata.PluginData(plugin_name="text")
    content = tensor.TensorProto(dtype=types.DT_STRING, string_val=[text.encode()])
    return summary.Summary.Value(tag=tag, metadata=summary.SummaryMetadata(plugin_data=plugin), tensor=content)


def _protocol(name: str) -> Any:
    """A part of TensorBoard's file format; its classes are made as it is imported, and no type checker sees them."""
    return importlib.import_module(f"tensorboard.compat.proto.{name}_pb2")


def _table(settings: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {str(value)[:200].replace('|', ' ')} |" for name, value in settings.items()]
    return "\n".join(["| setting | value |", "| --- | --- |", *rows])


@contextlib.contextmanager
def _wandb(folder: Path, settings: Mapping[str, Any], before: Sequence[LogRow] | None) -> Iterator[Log]:
    """A run of Weights & Biases, by its own environment variables: WANDB_MODE, WANDB_PROJECT and so on.

    Rows that the run has seen before it was interrupted are not sent again, for it takes no step twice.
    """
    import wandb
    from wandb.errors import Error

    path = folder / RUN_FILE
    goes_on = before is not None and path.is_file()
    run_id = json.loads(path.read_text())["id"] if goes_on else uuid.uuid4().hex[:8]
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=os.environ.get("WANDB_NAME") or folder.name,
            dir=str(folder),
            id=run_id,
            resume="allow",
            config=dict(settings),
            settings=wandb.Settings(console="off"),
        )
    except Error as e:
        raise ValueError(f"wandb did not start: {e}; WANDB_MODE=offline keeps the run on this disk") from e
    atomic_write(path, json.dumps({"id": run_id}) + "\n")
    sent = max(map(step_of, before), default=-1) if before is not None and goes_on else -1

    def log(row: LogRow) -> None:
        nonlocal sent
        if step_of(row) > sent:
            sent = step_of(row)
            run.log(named(row), step=sent, commit=True)

    with run:
        if not goes_on:
            for row in before or ():
                log(row)
        yield log


TRACKERS: dict[str, Tracker] = {"tensorboard": _tensorboard, "wandb": _wandb}
