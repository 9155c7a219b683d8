"""By what a score was given: the version of the task, which says what success is, and that of the reward."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping, Set
from typing import Any

from ..envs import Task
from ..rewards import ComposedReward
from ..rewards.base import bare

DEPTH = 6
"""How deep the settings of a reward are looked into."""
PLAIN = (str, int, float, bool)
"""Values that count as settings in private attributes too."""


def grading(task: Task, reward: ComposedReward) -> dict[str, Any]:
    """What has to be equal in scores that are put side by side.

    Returns:
        {"task": {"name", "version"}, "reward": {"spec", "version"}}. The task's version is ``Task.version``, which its
        author raises when the same conversation would be judged otherwise. The reward's is the start of a SHA-256 of
        its terms: weight, where it is defined, its source text, its ``version`` if it has one, and its settings, which
        are its attributes, of private ones those that are text or numbers. What stands elsewhere, such as the weights
        of a model, is not in it.
    """
    terms = [
        [name, part.weight, _identity(bare(part.reward))] for name, part in zip(reward.names, reward.parts, strict=True)
    ]
    digest = hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()[:12]
    return {
        "task": {"name": task.name, "version": task.version},
        "reward": {"spec": repr(reward), "version": digest},
    }


def in_words(graded: Mapping[str, Any]) -> str:
    """A grading as a report says it."""
    task, reward = graded["task"], graded["reward"]
    return f"success by {task['name']}, version {task['version']}; reward {reward['spec']}, version {reward['version']}"


def _identity(value: Any, depth: int = DEPTH) -> Any:
    """What tells a value from another, as JSON, the same in every process."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if depth == 0:
        return type(value).__qualname__
    if isinstance(value, Mapping):
        return sorted([str(name), _identity(one, depth - 1)] for name, one in value.items())
    if isinstance(value, Set):
        return sorted(json.dumps(_identity(one, depth - 1)) for one in value)
    if isinstance(value, (list, tuple)):
        return [_identity(one, depth - 1) for one in value]
    if isinstance(value, functools.partial):
        return [_identity(one, depth - 1) for one in (value.func, value.args, value.keywords)]
    if inspect.isroutine(value):
        return [_place(value), _source(value), *(_identity(one, depth - 1) for one in _bound(value))]
    attributes = getattr(value, "__dict__", {})
    settings = {name: one for name, one in attributes.items() if not name.startswith("_") or isinstance(one, PLAIN)}
    own = getattr(value, "version", None)
    return [_place(type(value)), _source(type(value)), _identity(own, 1), _identity(settings, depth - 1)]


def _bound(function: Any) -> list[Any]:
    """What a function has beside its text: the object of a method, constants, defaults, and what it closes over."""
    function, owner = getattr(function, "__func__", function), getattr(function, "__self__", None)
    if not inspect.isfunction(function):
        return []
    constants = [one for one in function.__code__.co_consts if isinstance(one, PLAIN)]
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [owner, constants, function.__defaults__, function.__kwdefaults__, cells]


def _place(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def _source(thing: Any) -> str:
    """The text that defines a class or function; empty where there is none, as of builtins."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return ""
