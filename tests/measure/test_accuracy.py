"""Scores from kept predictions, against numbers by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from kdbench.measure.accuracy import confusion, ensemble, fidelity, per_class, quality, reliability

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(200, 10)).astype(np.float32) * 2
TARGETS = np.where(RNG.random(200) < 0.6, LOGITS.argmax(1), RNG.integers(0, 10, 200))
P = np.exp(LOGITS.astype(float)) / np.exp(LOGITS.astype(float)).sum(1, keepdims=True)


def test_quality_is_scikit_learn_s() -> None:
    found = quality(LOGITS, TARGETS)
    labels = np.arange(10)
    assert found["nll"] == pytest.approx(metrics.log_loss(TARGETS, P, labels=labels), rel=1e-6)
    assert found["top5"] == pytest.approx(metrics.top_k_accuracy_score(TARGETS, P, k=5, labels=labels))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(TARGETS, P.argmax(1), average="macro"))
    assert found["macro_precision"] == pytest.approx(metrics.precision_score(TARGETS, P.argmax(1), average="macro"))
    assert found["macro_recall"] == pytest.approx(metrics.balanced_accuracy_score(TARGETS, P.argmax(1)))


def test_the_calibration_error_is_guo_s_sum_over_bins() -> None:
    confidence, correct = P.max(1), P.argmax(1) == TARGETS
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - correct[inside].mean())
    assert quality(LOGITS, TARGETS)["ece"] == pytest.approx(expected, abs=1e-6)


def test_few_classes_have_no_top_5_and_no_samples_no_scores() -> None:
    assert "top5" not in quality(LOGITS[:, :5], TARGETS % 5)
    assert quality(LOGITS[:0], TARGETS[:0]) == {}
    assert fidelity(LOGITS[:0], LOGITS[:0]) == {}


def test_classes_that_do_not_occur_do_not_count_in_macro_averages() -> None:
    logits = np.eye(3)[[0, 0, 1]] * 9
    found = quality(logits, np.array([0, 0, 1]))
    assert (found["macro_precision"], found["macro_recall"], found["macro_f1"]) == (1.0, 1.0, 1.0)


def test_fidelity_by_hand() -> None:
    """Teacher ¾ ¼, student ½ ½: KL = ¾·ln(3/2) + ¼·ln(1/2); they agree where the highest classes are the same."""
    teacher = np.log([[0.75, 0.25], [0.25, 0.75]])
    student = np.array([[0.0, 0.0], [0.0, 0.0]])
    found = fidelity(student, teacher)
    assert found["kl"] == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert found["agreement"] == 0.5
    assert fidelity(teacher, teacher) == {"agreement": 1.0, "kl": pytest.approx(0.0, abs=1e-12)}
    with pytest.raises(ValueError, match="not of the same samples"):
        fidelity(student, teacher[:1])


def test_an_ensemble_is_the_mean_of_probabilities() -> None:
    one, two = np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]]) + 7
    assert np.exp(ensemble([one, two])) == pytest.approx(np.array([[0.7, 0.3]]))
    assert ensemble([two]) is two


def test_per_class_scores_and_confusion_by_hand() -> None:
    targets, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    found = per_class(targets, predicted, 3)
    assert found["precision"] == pytest.approx([1, 2 / 3, 0])
    assert found["recall"] == pytest.approx([0.5, 1, 0])
    assert found["f1"] == pytest.approx([2 / 3, 0.8, 0])
    assert found["support"].tolist() == [2, 2, 0]
    assert confusion(targets, predicted, 3).tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_a_reliability_diagram_s_bins_are_open_below_and_add_up_to_the_calibration_error() -> None:
    found = reliability(np.array([0.2, 0.21, 1.0]), np.array([True, False, True]), bins=5)
    assert found["count"].tolist() == [1, 1, 0, 0, 1]
    assert found["accuracy"][[0, 1, 4]].tolist() == [1, 0, 1]
    assert np.isnan(found["accuracy"][2])
    bins = reliability(P.max(1), P.argmax(1) == TARGETS)
    error = np.nansum(bins["count"] / 200 * abs(bins["confidence"] - bins["accuracy"]))
    assert error == pytest.approx(quality(LOGITS, TARGETS)["ece"], abs=1e-6)
