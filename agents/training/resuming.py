"""Whether a training may go on from a checkpoint, and what is no longer as it was when that was written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base import Agent, read_description

_log = logging.getLogger(__name__)


def check_resumable(agent: Agent, last: Path) -> None:
    """Tells, in a warning, which settings of an agent are not those of the checkpoint that it goes on from.

    Raises:
        ValueError: for a checkpoint of another kind of agent, or of none.
    """
    before = read_description(last)
    if before["agent"] != agent.name:
        raise ValueError(
            f"expected a checkpoint of an agent {agent.name!r} in {last.parent}, got one of {before['agent']!r}"
        )
    changed = _changed(before, agent.description())
    if changed:
        _log.warning("%s goes on from %s with %s: the training is of both", agent.name, last, changed)


def changed_settings(agent: Agent, last: Path) -> str:
    """What of an agent's settings, seed and environment is not as in its checkpoint, in words; "" where all is."""
    try:
        return _changed(read_description(last), agent.description())
    except ValueError:
        return ""


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How one description of an agent differs from another, in words; an environment that is not described equals any.

    Of an environment those options are known alone that are not its defaults.
    """
    told = []
    for settings in (_of_training, _of_environment) if before["env"] and now["env"] else (_of_training,):
        then, today = settings(before), settings(now)
        told += [
            f"{name}={_value(today, name)} (it was {_value(then, name)})"
            for name in {**then, **today}
            if then.get(name) != today.get(name)
        ]
    return ", ".join(told)


def _of_training(description: Mapping[str, Any]) -> dict[str, Any]:
    return {"seed": description["seed"], **description["config"]}


def _of_environment(description: Mapping[str, Any]) -> dict[str, Any]:
    """Id and options beside one another."""
    about = dict(description["env"])
    return {"env": about.pop("id"), **about.pop("options"), **about}


def _value(settings: Mapping[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else "its default"
