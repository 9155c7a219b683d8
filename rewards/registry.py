"""Rewards by name: ours, the user's, and those that installed packages offer.

A package offers rewards through the entry point group ``dialogym.rewards``; they load when their name is asked for:

    [project.entry-points."dialogym.rewards"]
    politeness = "my_package.rewards:politeness"
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .suggestions import did_you_mean
from .transcript import Transcript

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "dialogym.rewards"

Registrable = Callable[[Transcript], float] | Mapping[Any, float] | type
"""A function, a Reward, a class of them, or a dict of rewards with their weights."""

AnyReward = TypeVar("AnyReward", bound=Registrable)

_REWARDS: dict[str, Any] = {}
_KINDS: dict[str, Callable[[str], Callable[[Transcript], float]]] = {}


@overload
def register_reward(name: str) -> Callable[[AnyReward], AnyReward]: ...
@overload
def register_reward(name: str, reward: AnyReward) -> AnyReward: ...
def register_reward(name: str, reward: Any = None) -> Any:
    """Makes ``reward`` available as ``reward="name"``; with the name alone, a decorator. Returns what it was given.

    Registering the same function again (a notebook cell run twice) replaces it.

    Raises:
        ValueError: if the name is taken by something else.
        TypeError: if ``name`` is no text or ``reward`` no reward.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f'register_reward needs a name first, as in @register_reward("polite"), got {name!r:.80}')
    if reward is None:
        return lambda decorated: register_reward(name, decorated)
    if not callable(reward) and not isinstance(reward, Mapping):
        raise TypeError(f"{name!r} must be a function of the transcript, a Reward or a dict, got {reward!r:.80}")
    if name in _REWARDS and not _same_source(_REWARDS[name], reward):
        raise ValueError(f"the reward name {name!r} is taken by {_REWARDS[name]!r}")
    _REWARDS[name] = reward
    return reward


def register_reward_kind(kind: str, make: Callable[[str], Callable[[Transcript], float]]) -> None:
    """Makes rewards available as ``reward="kind:argument"``: ``make`` is given the text after the colon."""
    _KINDS[kind] = make


def describe_reward_kinds() -> list[tuple[str, str]]:
    """Every kind, as ``kind:...``, and its docstring's first line."""
    return [(f"{kind}:...", _first_line(make)) for kind, make in sorted(_KINDS.items())]


def reward_names() -> list[str]:
    """Every name that ``reward=`` understands, sorted."""
    return sorted({*_REWARDS, *(point.name for point in _offered())})


def describe_rewards() -> list[tuple[str, str]]:
    """Every name and what it stands for: its docstring's first line, or the terms of a sum."""
    return [(name, _about(name)) for name in reward_names()]


def _about(name: str) -> str:
    reward = _REWARDS.get(name)
    if reward is None:
        return _offer(name)
    parts = getattr(reward, "parts", None)
    if parts is not None:
        return _sum_in_words(parts)
    if isinstance(reward, Mapping):
        return "the sum of " + ", ".join(f"{weight:+g} {part}" for part, weight in reward.items())
    line = _first_line(reward)
    needed = _needed(reward) if isinstance(reward, type) else ""
    return f"{line} Made as {needed}." if needed else line


def _first_line(documented: Any) -> str:
    """The first line of a docstring, without markup."""
    return re.sub(r":\w+:`~?([^`]*)`", r"\1", (inspect.getdoc(documented) or "").partition("\n")[0]).replace("`", "")


def _sum_in_words(parts: Any) -> str:
    """The terms of a sum as "+2L success, -1 turn", and what L and N are where they stand there."""
    terms = ", ".join(f"{_amount(part.weight, part.reward.unit)} {part.name}" for part in parts)
    limit = "; L is the turn limit" if any("L" in part.reward.unit for part in parts) else ""
    shares = "; N is the number of parts" if any("N" in part.reward.unit for part in parts) else ""
    return f"the sum of {terms}{limit}{shares}"


def _amount(weight: float, unit: str) -> str:
    return f"{weight:+g}".replace("1", "") + unit if unit == "L" and abs(weight) == 1 else f"{weight:+g}{unit}"


def _offer(name: str) -> str:
    (point, *_) = [point for point in _offered() if point.name == name]
    package = f" {point.dist.name}" if point.dist is not None else ""
    return f"{point.value}, offered by the installed package{package}"


def lookup(name: str) -> Any:
    """What is registered under ``name``, or what its kind makes of it: ``preference:runs/mine``.

    Raises:
        ValueError: for an unknown name; lists the right ones, the nearest first. Also for a class that needs arguments.
        ImportError: if an installed package offers the name but fails to import (the cause is chained).
    """
    kind, colon, argument = name.partition(":")
    if name not in _REWARDS and colon and kind in _KINDS:
        return _KINDS[kind](argument)
    if name not in _REWARDS:
        _REWARDS[name] = _load(name)
    reward = _REWARDS[name]
    return _made(name, reward) if isinstance(reward, type) else reward


def _made(name: str, kind: type) -> Any:
    """A reward of a class; one that cannot be made without arguments has a name for lists alone."""
    if _needed(kind):
        raise ValueError(f"reward {name!r} needs arguments: pass {_needed(kind)} instead of its name")
    return kind()


def _needed(kind: type) -> str:
    """How a class is called that needs arguments, as "Judge(model=...)"; "" for any other."""
    empty = inspect.Parameter.empty
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(kind).parameters.values()
    needed = [parameter.name for parameter in parameters if parameter.default is empty and parameter.kind not in kinds]
    return f"{kind.__name__}({', '.join(f'{name}=...' for name in needed)})" if needed else ""


def _load(name: str) -> Any:
    for point in _offered():
        if point.name == name:
            try:
                return point.load()
            except Exception as error:
                raise ImportError(f"reward {name!r} ({point.value}) could not be loaded: {error}") from error
    known = [*reward_names(), *(kind for kind, _ in describe_reward_kinds())]
    raise ValueError(
        f"unknown reward {name!r}{did_you_mean(name, known) or '.'} There are: {', '.join(known)}; and one of yours "
        "once the module that registers it is imported, as --env MODULE:NAME does on the command line"
    )


def _offered() -> list[EntryPoint]:
    from importlib.metadata import entry_points  # a tenth of the time of `import dialogym`, and rarely needed

    return list(entry_points(group=ENTRY_POINT_GROUP))


def _same_source(old: Any, new: Any) -> bool:
    """Whether both are the same object, or come from the same lines of code."""
    places = [(getattr(one, "__module__", None), getattr(one, "__qualname__", None)) for one in (old, new)]
    return old is new or (places[0] == places[1] and None not in places[0] and "<lambda>" not in str(places[0][1]))
