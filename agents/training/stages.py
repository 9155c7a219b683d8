"""The trainings that an agent comes from, as its folder keeps them: how they validated, and what they used up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..base import AGENT_FILE, LogRow, read_description
from ..files import HISTORY_FILE, atomic_write, digest_of, existing_folder
from .log import LOG_FILE, joules_of, read_log


class Stage(NamedTuple):
    """One training.

    Attributes:
        log: its rows in order; those where it was validated have "validation".
        spent: what it used up in all, by the names that a log has for it: "env_turns", "tokens", "seconds",
            "gpu_joules".
    """

    log: Sequence[LogRow]
    spent: Mapping[str, float] = {}


def keep_stages(folder: str | Path, log: Sequence[LogRow]) -> None:
    """Writes the training of the agent in a folder into it, after those of what it began from.

    Args:
        folder: that the agent was saved to after its training.
        log: of the training.
    """
    folder = Path(folder)
    try:
        told: dict[str, Any] = {"stages": [stage._asdict() for stage in _stages(folder, log, frozenset())]}
    except LookupError as e:
        told = {"unknown": str(e)}
    atomic_write(folder / HISTORY_FILE, json.dumps({"agent_sha256": digest_of(folder), **told}) + "\n")


def stages_of(folder: str | Path) -> list[Stage]:
    """The trainings that the agent in a folder comes from, the first one first and its own last.

    Of folders that keep none, which earlier versions wrote, they are read from the log beside the folder. Only
    validations in the environment of its own training are in the logs.

    Raises:
        LookupError: where that is not known; it says why.
        ValueError: if no agent was saved in ``folder``.
    """
    return _kept_stages(Path(folder), frozenset())


def _kept_stages(folder: Path, passed: frozenset[Path]) -> list[Stage]:
    found = existing_folder(folder) or folder
    path = found / HISTORY_FILE
    if path.is_file():
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["agent_sha256"] != digest_of(found):
            raise LookupError(f"its {HISTORY_FILE} is of another agent than stands there now")
        if "unknown" in told:
            raise LookupError(told["unknown"])
        return [Stage(**stage) for stage in told["stages"]]
    log = folder.parent / LOG_FILE
    if not log.is_file():
        raise LookupError(f"neither a {HISTORY_FILE} in its folder nor a {LOG_FILE} beside it tells of its training")
    return _stages(found, read_log(log), passed)


def _stages(folder: Path, log: Sequence[LogRow], passed: frozenset[Path]) -> list[Stage]:
    about = read_description(folder)
    spent = {name: about["budget"][name] for name in ("env_turns", "tokens", "seconds")}
    own = Stage([row for row in log if row.get("validation") is not None], {**spent, "gpu_joules": joules_of(log)})
    start = _start_of(about["config"], folder)
    if start is None:
        return [own]
    passed |= {folder.resolve()}
    if start.resolve() in passed:
        raise LookupError("it began from an agent that it has taken the place of")
    try:
        before = _kept_stages(start, passed)
    except LookupError as e:
        raise LookupError(f"of the agent that it began from: {e}") from e
    if read_description(start)["env"] != about["env"]:  # validated in another environment
        before = [Stage([], stage.spent) for stage in before]
    return [*before, own]


def _start_of(config: Mapping[str, Any], folder: Path) -> Path | None:
    """The folder of the agent that one began from; None where it began with random weights or a pretrained model."""
    init, model = config.get("init"), config.get("model")
    start = model if init is None else init
    if start is None:
        return None
    places = (Path(start), folder / start)
    if not any(place.exists() for place in places) and (init is not None or Path(start).is_absolute()):
        raise LookupError("the folder that it began from is not there any more")
    return next((place for place in places if (place / AGENT_FILE).is_file()), None)
