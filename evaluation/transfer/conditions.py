"""Conditions that an agent is trained or tested under: keyword arguments of the environment, and wordings."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym

from ...envs.core.make import TOKENS_ONLY, VECTOR_ONLY
from ...envs.core.task import SPLITS
from ..score import made

WORDINGS = "wordings"
"""Of a condition to test under: the split whose wordings the partner speaks in, which is no keyword of ``gym.make``."""
UNSEEN = "test"
"""The wordings that are spoken unless a condition says otherwise: no training hears them."""
RESERVED = ("task", "split", "interface", "render_mode", *TOKENS_ONLY, *VECTOR_ONLY)
"""Keywords that belong to training, scoring or the agent, and so cannot differ between conditions."""
READY: dict[str, tuple[Any, ...]] = {"noise": (0, 0.15, 0.3), "goal_change": (0, 0.5), WORDINGS: ("train", "test")}
"""Values of axes that are named alone. Validation is spoken in the wordings of training."""
AS_IT_IS = "as it is"
MAX_FOLDER_CHARS = 60


@dataclass(frozen=True)
class Condition:
    """What is different about an environment.

    Attributes:
        name: in reports.
        options: keyword arguments of ``gym.make``.
        wordings: split of the partner's wordings.
    """

    name: str
    options: Mapping[str, Any]
    wordings: str = UNSEEN

    @property
    def folder(self) -> str:
        """The name as a part of a path, different for different names."""
        plain = re.sub(r"[^A-Za-z0-9=.,_-]+", "-", self.name)[:MAX_FOLDER_CHARS].strip(".")
        return plain if plain == self.name else f"{plain}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


def crossed(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of several axes, the first one changing slowest.

    Raises:
        ValueError: for an axis without values.
    """
    for name, values in axes.items():
        if isinstance(values, str) or not values:
            raise ValueError(f"expected a list of values of {name}, not empty, got {values!r}")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def ready_values(name: str) -> tuple[Any, ...]:
    """The values of an axis that is named alone.

    Raises:
        ValueError: for one that has no ready-made values.
    """
    if name not in READY:
        known = ", ".join(f"{axis} ({', '.join(map(_in_words, values))})" for axis, values in READY.items())
        raise ValueError(f"{name!r} has no values of its own: say {name}=VALUE,VALUE,... Ready-made are {known}")
    return READY[name]


def conditions_to_train(found: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> list[Condition]:
    """The conditions to train under.

    Args:
        found: keyword arguments of each, beside ``shared``; {} is the environment as it is.
        shared: keyword arguments of all of them.

    Raises:
        ValueError: for two that are the same, or a keyword that cannot differ between conditions.
    """
    for one in found:
        if WORDINGS in one:
            raise ValueError(f"{WORDINGS} is for testing: every agent is trained on the wordings of the train split")
    return _conditions(found, shared, "train")


def conditions_to_test(found: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> list[Condition]:
    """The conditions to test under, which may have "wordings" too; see :func:`conditions_to_train`."""
    for one in found:
        if one.get(WORDINGS, UNSEEN) not in SPLITS:
            raise ValueError(f"{WORDINGS} must be one of {', '.join(SPLITS)}, got {one[WORDINGS]!r}")
    return _conditions(found, shared, "test")


def _conditions(found: Sequence[Mapping[str, Any]], shared: Mapping[str, Any], seat: str) -> list[Condition]:
    if not found:
        raise ValueError(f"expected at least one condition to {seat} under, got none")
    for number, one in enumerate(found):
        for name in one:
            if name in RESERVED:
                raise ValueError(f"{seat} conditions cannot differ in {name}, which belongs to training and scoring")
            if name in shared:
                raise ValueError(f"{name} is set for all conditions, and again in a {seat} condition: say it once")
        if any(dict(one) == dict(other) for other in found[:number]):
            raise ValueError(f"the {seat} condition {name_of(one)!r} comes twice")
    names = [name_of(one) for one in found]
    return [
        Condition(
            name if names.count(name) == 1 else name_of(one, in_full=True),
            {**shared, **{name: value for name, value in one.items() if name != WORDINGS}},
            one.get(WORDINGS, UNSEEN),
        )
        for name, one in zip(names, found, strict=True)
    ]


def name_of(options: Mapping[str, Any], in_full: bool = False) -> str:
    """What a condition is called: its keywords and their values; a model's folder by its last part, unless in full."""
    return ", ".join(f"{name}={_in_words(value, in_full)}" for name, value in options.items()) or AS_IT_IS


def _in_words(value: Any, in_full: bool = True) -> str:
    if isinstance(value, str) and value.startswith("lm:") and not in_full:
        folder, mark, settings = value.removeprefix("lm:").partition("?")
        return f"lm:{Path(folder).name}{mark}{settings}"
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return str(value)
    return f"{value:g}" if isinstance(value, (int, float)) else json.dumps(value, default=repr)


def checked_env(env_id: str, condition: Condition, seat: str) -> gym.Env[Any, Any]:
    """The environment of a condition.

    Raises:
        ValueError: if it cannot be made so, with the condition and why.
    """
    try:
        return made(env_id, **condition.options)
    except (TypeError, ValueError, gym.error.Error) as error:
        why = str(error).split(" was raised from the environment creator")[0]
        raise ValueError(f"{env_id} cannot be made for the {seat} condition {condition.name!r}: {why}") from error
