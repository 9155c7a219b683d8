"""What a reward returned, checked: one finite number for each conversation, or an error that names the reward."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

from .transcript import Transcript


class RewardError(RuntimeError):
    """A reward has a bug: it raised (the cause is chained), or what it returned is not a finite number.

    Attributes:
        row: of a vector environment, where its conversation was had; None where that is not known.
    """

    def __init__(self, message: str, row: int | None = None):
        super().__init__(message)
        self.row = row


def checked_term(name: str, weight: float, value: Any) -> float:
    """``weight * value``, checked."""
    if type(value) is not float:
        value = _number(name, value)
    term = weight * value + 0.0  # never -0.0
    if -math.inf < term < math.inf:
        return term
    times = f" times the weight {weight:g}" if math.isfinite(value) else ""
    raise RewardError(f"reward {name!r} must return a finite number, got {value!r}{times}")


def checked_sum(terms: dict[str, float]) -> dict[str, float]:
    """``terms``, checked for a sum that is a finite number as they are."""
    if -math.inf < sum(terms.values()) < math.inf:
        return terms
    told = ", ".join(f"{name!r}: {value:g}" for name, value in terms.items())
    raise RewardError(f"the terms of a reward must add up to a finite number, got {told}")


def _number(name: str, value: Any) -> float:
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        value = value.item()  # a numpy scalar or array, a tensor
    if not isinstance(value, numbers.Real):
        raise RewardError(f"reward {name!r} must return a finite number, got {value!r:.80} ({type(value).__name__})")
    try:
        return float(value)
    except OverflowError:
        return math.inf  # an int beyond the largest float


def batch_of(score: Any) -> Callable[[Sequence[Transcript]], Any] | None:
    batch = getattr(score, "batch", None)
    return batch if callable(batch) else None


def values_of(name: str, score: Callable[[Transcript], Any], transcripts: Sequence[Transcript]) -> Sequence[Any]:
    """What a part says about each transcript, unchecked but for their number."""
    batch = batch_of(score)
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
