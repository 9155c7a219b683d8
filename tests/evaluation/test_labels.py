"""Scores of predicted labels against numbers worked by hand."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from dialogym.evaluation.labels import (
    calibration_error,
    label_scores,
    save_confusion_picture,
    save_reliability_picture,
)

LABELS = ("bad", "good")
GOLD, SAID = [0, 0, 0, 1, 1], [0, 0, 1, 1, -1]


def test_counts_precision_recall_and_f1():
    scores = label_scores(GOLD, SAID, LABELS)
    assert scores.accuracy == pytest.approx(3 / 5)
    assert scores.confusion.tolist() == [[2, 1], [0, 1]]
    assert scores.precision == pytest.approx([1, 1 / 2])
    assert scores.recall == pytest.approx([2 / 3, 1 / 2])
    assert scores.f1 == pytest.approx([0.8, 0.5])
    assert scores.macro_f1 == pytest.approx(0.65)
    assert scores.calibration_error is None


def test_a_label_that_nobody_predicts_scores_zero():
    assert label_scores([0, 1], [0, 0], LABELS).f1 == pytest.approx([2 / 3, 0])


def test_calibration_error_is_the_mean_distance_of_confidence_and_accuracy():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.35, 0.65]])
    # bin of 0.95: accuracy 1/2; bin of 0.65: accuracy 1
    assert calibration_error(probabilities, [0, 1, 1, 1]) == pytest.approx(0.5 * 0.45 + 0.5 * 0.35)
    assert calibration_error(np.eye(2), [0, 1]) == 0.0


def test_wrong_lengths_are_told():
    with pytest.raises(ValueError, match="as many predictions as gold labels, at least 1, got 1 and 2"):
        label_scores([0, 1], [0], LABELS)
    with pytest.raises(ValueError, match="got 0 and 0"):
        label_scores([], [], LABELS)


def test_pictures_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    scores = label_scores([0, 1], [0, 1], LABELS, np.array([[0.8, 0.2], [0.3, 0.7]]))
    save_confusion_picture(scores, tmp_path / "confusion.png")
    save_reliability_picture(scores, tmp_path / "reliability.png")
    assert all((tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG" for name in ("confusion", "reliability"))
    with pytest.raises(ValueError, match="probabilities"):
        save_reliability_picture(label_scores(GOLD, SAID, LABELS), tmp_path / "none.png")
