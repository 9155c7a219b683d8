"""Whether a training may go on from a checkpoint, and what is no longer as it was when that was written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..base import Agent, read_description

_log = logging.getLogger(__name__)


def check_resumable(agent: Agent, last: Path) -> None:
    """Tells, in a warning, which settings of an agent are not those of the checkpoint that it goes on from.

    Raises:
        ValueError: for a checkpoint of another kind of agent, or of none.
    """
    made_by = read_description(last)["agent"]
    if made_by != agent.name:
        raise ValueError(f"expected a checkpoint of an agent {agent.name!r} in {last.parent}, got one of {made_by!r}")
    changed = changed_settings(agent, last)
    if changed:
        _log.warning("%s goes on from %s with %s: the training is of both", agent.name, last, changed)


def changed_settings(agent: Agent, last: Path) -> str:
    """What of an agent's settings, seed and environment is not as in its checkpoint, in words; "" where all is."""
    try:
        before = read_description(last)
    except ValueError:
        return ""
    return ", ".join(f"{name}={now} (it was {then})" for name, now, then in _differences(before, agent.description()))


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Name, value now and value before, of whatever differs; an environment that no file can describe equals any.

    Of an environment those options are known alone that are not its defaults.
    """
    for name in ("seed", "config", "env"):
        then, today = before.get(name), now[name]
        if then is None or today is None:
            continue
        if not isinstance(then, dict):
            then, today = {name: then}, {name: today}
        if name == "env":
            then, today = _flat(then), _flat(today)
        for one in dict.fromkeys([*then, *today]):
            if then.get(one) != today.get(one):
                values = (repr(values[one]) if one in values else "its default" for values in (today, then))
                yield (one, *values)  # type: ignore[misc]  # three strings


def _flat(env: dict[str, Any]) -> dict[str, Any]:
    """An environment's id and options beside one another."""
    about = {"env" if name == "id" else name: value for name, value in env.items() if name != "options"}
    return {**about, **env["options"]}
