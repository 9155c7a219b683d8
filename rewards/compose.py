"""Weighted sums of rewards: what an environment scores with, whatever its ``reward=`` was.

The reward of a turn is *defined* as the sum of its terms in order, so ``sum(info["reward_terms"].values()) == reward``
holds exactly.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .base import Reward, RewardError, as_reward, bare
from .registry import lookup
from .transcript import Transcript

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
        self._has_batch = any(_batch_of(score) for _, _, score in self._scorers)

    def terms(self, transcript: Transcript) -> dict[str, float]:
        """The weighted terms of one transcript, a new dict.

        Raises:
            RewardError: naming the reward that raised (its exception is the cause), or whose value is not a finite
                number. bool counts as 1.0 or 0.0, and numpy's scalars and whatever is an array or a tensor without
                dimensions, on any device, as the number in it; str, None and arrays with dimensions are errors.
        """
        terms: dict[str, float] = {}
        for name, weight, score in self._scorers:
            try:
                value = score(transcript)
            except Exception as error:
                raise RewardError(f"reward {name!r} raised {type(error).__name__}: {error}") from error
            terms[name] = _term(name, weight, value)
        return terms

    def __call__(self, transcript: Transcript) -> float:
        return sum(self.terms(transcript).values())

    def batch_terms(self, transcripts: Sequence[Transcript]) -> list[dict[str, float]]:
        """``terms`` of each transcript; a part that offers ``batch`` is asked once for all of them.

        Raises:
            RewardError: as ``terms``; also when a ``batch`` does not return one number for each transcript.
        """
        if not self._has_batch or not transcripts:
            return [self.terms(transcript) for transcript in transcripts]
        columns = [
            [_term(name, weight, value) for value in _values(name, score, transcripts)]
            for name, weight, score in self._scorers
        ]
        return [dict(zip(self.names, row, strict=True)) for row in zip(*columns, strict=True)]

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


def _term(name: str, weight: float, value: Any) -> float:
    """``weight * value``, checked."""
    if type(value) is not float:
        value = _number(name, value)
    term = weight * value + 0.0  # never -0.0
    if -math.inf < term < math.inf:
        return term
    times = f" times the weight {weight:g}" if math.isfinite(value) else ""
    raise RewardError(f"reward {name!r} must return a finite number, got {value!r}{times}")


def _number(name: str, value: Any) -> float:
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        value = value.item()  # a numpy scalar or array, a tensor
    if not isinstance(value, numbers.Real):
        raise RewardError(f"reward {name!r} must return a finite number, got {value!r:.80} ({type(value).__name__})")
    try:
        return float(value)
    except OverflowError:
        return math.inf  # an int beyond the largest float


def _batch_of(score: Any) -> Callable[[Sequence[Transcript]], Any] | None:
    batch = getattr(score, "batch", None)
    return batch if callable(batch) else None


def _values(name: str, score: Callable[[Transcript], Any], transcripts: Sequence[Transcript]) -> Sequence[Any]:
    """What a part says about each transcript, unchecked but for their number."""
    batch = _batch_of(score)
    values: Any
    try:
        values = batch(transcripts) if batch else [score(transcript) for transcript in transcripts]
    except Exception as error:
        where = " in batch" if batch else ""
        raise RewardError(f"reward {name!r} raised {type(error).__name__}{where}: {error}") from error
    values = values.tolist() if hasattr(values, "tolist") else values  # numpy arrays, torch tensors
    if isinstance(values, (list, tuple)) and len(values) == len(transcripts):
        return values
    got = f"{len(values)} of them" if isinstance(values, (list, tuple)) else f"{values!r:.80}"
    raise RewardError(
        f"reward {name!r} must return {len(transcripts)} numbers from batch, one for each transcript, got {got}"
    )
