"""What a reward is: a callable ``(transcript) -> float`` that can be weighted and added.

A plain function is a reward wherever one is taken; :func:`as_reward` gives it the operators as well.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .transcript import Transcript

if TYPE_CHECKING:
    from .compose import ComposedReward


class RewardError(RuntimeError):
    """A reward has a bug: it raised (the cause is chained), or what it returned is not a finite number."""


class Reward:
    """What a conversation so far is worth; called after each agent turn.

    A subclass gives ``__call__`` and, where one pass over many pays, ``batch(transcripts)``: a list, tuple or array of
    one number for each transcript. Rewards are pure, so a copy of one is the reward itself (gymnasium copies the
    keyword arguments of every environment, and a reward may hold a language model).

    ``reward_a + 0.1 * reward_b`` is a :class:`~dialogym.rewards.compose.ComposedReward`.

    Attributes:
        name: its key in ``info["reward_terms"]``; the name of the class unless the class says otherwise.
        unit: what stands after its weight where a sum is described, such as "L" for one that pays the turn limit L.
    """

    name: str = "Reward"
    unit: str = ""

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    def __call__(self, transcript: Transcript) -> float:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, transcript) -> float")

    def __copy__(self) -> Reward:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Reward:
        return self

    def __add__(self, other: Any) -> ComposedReward:
        return _sum(self, other)

    def __radd__(self, other: Any) -> ComposedReward:
        return _sum(self) if _is_zero(other) else _sum(other, self)  # the built-in sum() starts from 0

    def __sub__(self, other: Any) -> ComposedReward:
        return _sum(self, _scaled(other, -1.0))

    def __rsub__(self, other: Any) -> ComposedReward:
        return _sum(other, -self)

    def __neg__(self) -> ComposedReward:
        return _scaled(self, -1.0)

    def __mul__(self, weight: float) -> ComposedReward:
        return _scaled(self, weight)

    __rmul__ = __mul__


class FunctionReward(Reward):
    """A function, or any other callable, as a :class:`Reward` under the function's name.

    Args:
        function: ``(transcript) -> float``; its ``batch`` attribute, if any, is used.
    """

    def __init__(self, function: Callable[[Transcript], float]):
        self.function = function
        if hasattr(function, "__name__"):
            functools.update_wrapper(self, function, updated=())
        self.name = name_of(function)

    def __call__(self, transcript: Transcript) -> float:
        return self.function(transcript)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickles as its importable name where it was made by decoration: there the bare function has none."""
        qualname = getattr(self, "__qualname__", None)
        try:
            if qualname and operator.attrgetter(qualname)(sys.modules[self.__module__]) is self:
                return qualname
        except (AttributeError, KeyError):
            pass
        return FunctionReward, (self.function,)


def as_reward(reward: Callable[[Transcript], float]) -> Reward:
    """``reward`` with the operators of :class:`Reward`; also a decorator for functions.

    Raises:
        TypeError: if it cannot be called with a transcript; a class is a missing pair of brackets.
    """
    if isinstance(reward, Reward):
        return reward
    if isinstance(reward, type):
        raise TypeError(f"a reward must be an instance, got the class {reward.__name__}: write {reward.__name__}(...)")
    if not callable(reward):
        raise TypeError(
            f"a reward must be a function of the transcript, a registered name, a Reward or a dict of them "
            f"with their weights, got {reward!r:.80}"
        )
    return FunctionReward(reward)


def bare(reward: Reward) -> Callable[[Transcript], float]:
    """What to call to score with ``reward``, without the wrapper around a plain function."""
    return reward.function if isinstance(reward, FunctionReward) else reward


def name_of(function: Callable[..., Any]) -> str:
    """What a callable is called in ``info["reward_terms"]``."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    for name in (getattr(function, "name", None), getattr(function, "__name__", None)):
        if isinstance(name, str) and name:
            return name
    return type(function).__name__


def _sum(*rewards: Any) -> ComposedReward:
    from .compose import add  # a composed reward is a Reward, so compose imports this file

    return add(*rewards)


def _scaled(reward: Any, weight: float) -> ComposedReward:
    from .compose import scale

    return scale(reward, weight)


def _is_zero(value: Any) -> bool:
    return type(value) in (int, float) and value == 0
