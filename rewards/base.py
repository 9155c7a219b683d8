"""What a reward is: a callable ``(transcript) -> float`` that can be weighted and added, and the sums that come of it.

A plain function is a reward wherever one is taken; :func:`as_reward` gives it the operators as well. An environment
scores with a weighted sum, whatever its ``reward=`` was: the reward of a turn is *defined* as the sum of its terms in
order, so ``sum(info["reward_terms"].values()) == reward`` holds exactly.
"""

from __future__ import annotations

import functools
import math
import numbers
import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .checks import RewardError, batch_of, checked_sum, checked_term, values_of
from .registry import lookup
from .transcript import Transcript


class Reward:
    """What a conversation so far is worth; called after each agent turn.

    A subclass gives ``__call__`` and, where one pass over many pays, ``batch(transcripts)``: a list, tuple or array of
    one number for each transcript. Rewards are pure, so a copy of one is the reward itself (gymnasium copies the
    keyword arguments of every environment, and a reward may hold a language model).

    ``reward_a + 0.1 * reward_b`` is a :class:`ComposedReward`.

    Attributes:
        name: its key in ``info["reward_terms"]``; the name of the class unless the class says otherwise.
        unit: what stands after its weight where a sum is described, such as "L" for one that pays the turn limit L.
        is_judge: it is a model's opinion of a reply, which reports tell, with how far people share it. Such a reward
            has ``quality_file``, a path or None, where that is kept, and ``identity()``, a text that differs from judge
            to judge.
    """

    name: str = "Reward"
    unit: str = ""
    is_judge: bool = False

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
        return add(self, other)

    def __radd__(self, other: Any) -> ComposedReward:
        return add(self) if _is_zero(other) else add(other, self)  # the built-in sum() starts from 0

    def __sub__(self, other: Any) -> ComposedReward:
        return add(self, scale(other, -1.0))

    def __rsub__(self, other: Any) -> ComposedReward:
        return add(other, -self)

    def __neg__(self) -> ComposedReward:
        return scale(self, -1.0)

    def __mul__(self, weight: float) -> ComposedReward:
        return scale(self, weight)

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
    if isinstance(reward, (str, Mapping)):
        raise TypeError(
            f"as_reward takes a function of the transcript; of a name or a dict take resolve({reward!r:.80})"
        )
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


RewardSpec = str | Reward | Callable[[Transcript], float] | Mapping[Any, float]
"""A registered name, a reward, a function, or a dict of those with their weights."""


class Part(NamedTuple):
    """One term of a sum: what it is called, its weight, and what is weighted."""

    name: str
    weight: float
    reward: Reward


class ComposedReward(Reward):
    """A weighted sum whose terms can be told apart.

    Args:
        parts: at least one.

    Attributes:
        names: keys of ``info["reward_terms"]``; equal names are told apart by a number, in order: "length", "length_2".
        has_batch: a part of it scores many transcripts in one pass.

    Raises:
        ValueError: without parts.
    """

    name: str = "sum"

    def __init__(self, parts: Iterable[Part]):
        self.parts = tuple(parts)
        if not self.parts:
            raise ValueError("a reward needs at least one term, got none")
        self.names = _distinct([part.name for part in self.parts])
        self._scorers = [
            (name, part.weight, bare(part.reward)) for name, part in zip(self.names, self.parts, strict=True)
        ]
        self.has_batch = any(batch_of(score) for _, _, score in self._scorers)

    def terms(self, transcript: Transcript) -> dict[str, float]:
        """The weighted terms of one transcript, a new dict.

        Raises:
            RewardError: naming the reward that raised (its exception is the cause), or whose value is not a finite
                number; or for terms that add up to none. bool counts as 1.0 or 0.0, and numpy's scalars and whatever is
                an array or a tensor without dimensions, on any device, as the number in it; str, None and arrays with
                dimensions are errors.
        """
        terms: dict[str, float] = {}
        for name, weight, score in self._scorers:
            try:
                value = score(transcript)
            except Exception as error:
                raise RewardError(f"reward {name!r} raised {type(error).__name__}: {error}") from error
            terms[name] = checked_term(name, weight, value)
        return checked_sum(terms)

    def __call__(self, transcript: Transcript) -> float:
        return sum(self.terms(transcript).values())

    def batch_terms(self, transcripts: Sequence[Transcript]) -> list[dict[str, float]]:
        """``terms`` of each transcript; a part that offers ``batch`` is asked once for all of them.

        Raises:
            RewardError: as ``terms``; also when a ``batch`` does not return one number for each transcript.
        """
        if not self.has_batch or not transcripts:
            return [self.terms(transcript) for transcript in transcripts]
        columns = [
            [checked_term(name, weight, value) for value in values_of(name, score, transcripts)]
            for name, weight, score in self._scorers
        ]
        return [checked_sum(dict(zip(self.names, row, strict=True))) for row in zip(*columns, strict=True)]

    def batch(self, transcripts: Sequence[Transcript]) -> list[float]:
        """The reward of each transcript."""
        return [sum(terms.values()) for terms in self.batch_terms(transcripts)]

    def __repr__(self) -> str:
        return " + ".join(f"{part.weight:g} * {name}" for name, part in zip(self.names, self.parts, strict=True))

    def __reduce__(self) -> tuple[Any, ...]:
        return ComposedReward, (self.parts,)


def resolve(spec: RewardSpec) -> ComposedReward:
    """The sum that ``reward=spec`` stands for.

    Raises:
        ValueError: for an unknown name (lists the right ones) or a weight that is not finite.
        TypeError: for anything that is no reward, or a weight that is no number.
    """
    return spec if isinstance(spec, ComposedReward) else ComposedReward(_parts(spec))


def add(*specs: RewardSpec) -> ComposedReward:
    """The sum of rewards; terms keep their order."""
    return ComposedReward([part for spec in specs for part in _parts(spec)])


def scale(spec: RewardSpec, weight: float) -> ComposedReward:
    """``weight`` times a reward, term by term."""
    return ComposedReward(_scaled(_parts(spec), weight))


def _parts(spec: Any) -> Sequence[Part]:
    """The terms a spec stands for: a name, function or Reward is one, a preset, dict or sum may be several."""
    if isinstance(spec, ComposedReward):
        return spec.parts
    if isinstance(spec, Mapping):
        return [part for key, weight in spec.items() for part in _scaled(_parts(key), weight)]
    if not isinstance(spec, str):
        reward = as_reward(spec)
        return [Part(reward.name, 1.0, reward)]
    found = lookup(spec)
    if isinstance(found, (ComposedReward, Mapping)):
        return _parts(found)
    return [Part(spec, 1.0, as_reward(found))]


def _scaled(parts: Sequence[Part], weight: Any) -> list[Part]:
    if isinstance(weight, bool) or not isinstance(weight, numbers.Real):
        raise TypeError(f"the weight of {_names(parts)} must be a number, got {weight!r:.80}")
    if not math.isfinite(weight):
        raise ValueError(f"the weight of {_names(parts)} must be finite, got {weight!r}")
    return [part._replace(weight=part.weight * float(weight)) for part in parts]


def _names(parts: Sequence[Part]) -> str:
    return " + ".join(repr(part.name) for part in parts)


def _distinct(names: Iterable[str]) -> list[str]:
    distinct: dict[str, None] = {}
    for name in names:
        key, count = name, 1
        while key in distinct:
            count += 1
            key = f"{name}_{count}"
        distinct[key] = None
    return list(distinct)


def _is_zero(value: Any) -> bool:
    return type(value) in (int, float) and value == 0
