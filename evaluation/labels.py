"""How good predicted labels are: accuracy, precision, recall, F1, the confusion matrix, and calibration.

Counts and averages are scikit-learn's; the calibration error is computed here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

NUM_BINS = 10


@dataclasses.dataclass(frozen=True)
class LabelScores:
    """What N predictions are worth.

    Attributes:
        labels: K names.
        accuracy: share of right predictions.
        precision, recall, f1: (K,), of each label.
        macro_f1: mean of ``f1``.
        confusion: (K, K) counts; row: the gold label, column: the prediction.
        calibration_error: see :func:`calibration_error`; None without probabilities.
        reliability: for each bin that is not empty: mean confidence, accuracy, share of the predictions.
    """

    labels: tuple[str, ...]
    accuracy: float
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    macro_f1: float
    confusion: np.ndarray
    calibration_error: float | None = None
    reliability: tuple[tuple[float, float, float], ...] = ()


def label_scores(
    gold: Sequence[int], predicted: Sequence[int], labels: Sequence[str], probabilities: np.ndarray | None = None
) -> LabelScores:
    """Scores of predictions.

    Args:
        gold: (N,) numbers of the right labels.
        predicted: (N,) numbers of the predicted ones; -1 for a reply that is no label, which is always wrong.
        labels: their names.
        probabilities: (N, K) of the labels, for the calibration.

    Raises:
        ValueError: for empty or unequal lengths.
    """
    if not len(gold) or len(gold) != len(predicted):
        raise ValueError(
            f"expected as many predictions as gold labels, at least 1, got {len(predicted)} and {len(gold)}"
        )
    from sklearn import metrics

    numbers = list(range(len(labels)))
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        gold,
        predicted,
        labels=numbers,
        zero_division=0.0,  # type: ignore[arg-type]
    )
    bins = () if probabilities is None else reliability(probabilities, gold)
    return LabelScores(
        labels=tuple(labels),
        accuracy=float(metrics.accuracy_score(gold, predicted)),
        precision=np.asarray(precision),
        recall=np.asarray(recall),
        f1=np.asarray(f1),
        macro_f1=float(np.mean(f1)),
        confusion=_confusion(gold, predicted, len(labels)),
        calibration_error=None if probabilities is None else _error(bins),
        reliability=bins,
    )


def _confusion(gold: Sequence[int], predicted: Sequence[int], num_labels: int) -> np.ndarray:
    counts = np.zeros((num_labels, num_labels), dtype=int)
    for right, said in zip(gold, predicted, strict=True):
        if said >= 0:
            counts[right, said] += 1
    return counts


def reliability(
    probabilities: np.ndarray, gold: Sequence[int], num_bins: int = NUM_BINS
) -> tuple[tuple[float, float, float], ...]:
    """Mean confidence, accuracy and share of the predictions in each bin of confidence that is not empty.

    Args:
        probabilities: (N, K), rows add up to 1.
        gold: (N,) numbers of the right labels.
        num_bins: of equal width in [0, 1].
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == np.asarray(gold)
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    found = []
    for number in range(num_bins):
        inside = bins == number
        if inside.any():
            found.append((float(confidence[inside].mean()), float(right[inside].mean()), float(inside.mean())))
    return tuple(found)


def calibration_error(probabilities: np.ndarray, gold: Sequence[int], num_bins: int = NUM_BINS) -> float:
    """Expected calibration error, in [0, 1]: the mean distance of confidence and accuracy over bins, by their share.

    Reference: Guo et al. (2017), equation 3, https://arxiv.org/abs/1706.04599.
    """
    return _error(reliability(probabilities, gold, num_bins))


def _error(bins: Sequence[tuple[float, float, float]]) -> float:
    return sum(share * abs(confidence - accuracy) for confidence, accuracy, share in bins)


# Pictures


def save_confusion_picture(scores: LabelScores, path: str | Path) -> None:
    """The confusion matrix as a PNG: gold labels down, predictions across, counts and shares of the row."""
    figure, axes = _figure()
    shares = scores.confusion / np.maximum(scores.confusion.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(scores.labels)), scores.labels)
    axes.set_yticks(range(len(scores.labels)), scores.labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("gold")
    for (row, column), number in np.ndenumerate(scores.confusion):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{number}\n{shares[row, column]:.0%}", ha="center", va="center", color=ink)
    figure.savefig(str(path), dpi=150)


def save_reliability_picture(scores: LabelScores, path: str | Path) -> None:
    """Accuracy against confidence as a PNG; on the diagonal the model is as sure as it is right.

    Raises:
        ValueError: if the scores were made without probabilities.
    """
    if not scores.reliability:
        raise ValueError("the reliability picture needs scores made with probabilities=, got none")
    figure, axes = _figure()
    confidence, accuracy, share = zip(*scores.reliability, strict=True)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    axes.scatter(confidence, accuracy, s=[20 + 400 * one for one in share], color="#3b8fd0", zorder=2)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    axes.set_title(f"calibration error {scores.calibration_error:.3f}", fontsize=10)
    figure.savefig(str(path), dpi=150)


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 3.8), layout="constrained")
    return figure, figure.subplots()
