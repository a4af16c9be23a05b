"""Scores of stored predictions beyond accuracy, by torchmetrics and scikit-learn."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

CALIBRATION_BINS = 15
"""As in Guo, Pleiss, Sun, Weinberger 2017, arXiv:1706.04599, section 5."""
TOP = 5


def quality(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Score one network on the test set.

    Args:
        logits: N×C, finite.
        targets: N, classes from 0.

    Returns:
        ``nll`` (mean negative log-likelihood, nats), ``ece`` (expected calibration error of the highest
        probability, 15 equal-width bins, in [0, 1]), ``macro_precision``, ``macro_recall``, ``macro_f1``
        (over classes that occur in the targets; 0 where a class is never predicted), and ``top5`` (share of
        samples with the true class among the five highest) if there are more than five classes. Empty if
        there are no samples.
    """
    if len(targets) == 0:
        return {}
    z, y = torch.from_numpy(logits).double(), torch.from_numpy(targets).long()
    classes = z.shape[1]
    present = np.unique(targets)
    precision, recall, f1, _ = precision_recall_fscore_support(
        targets, logits.argmax(1), labels=present, average="macro", zero_division=0.0
    )
    found = {
        "nll": float(F.cross_entropy(z, y)),
        "ece": float(multiclass_calibration_error(z.softmax(1), y, num_classes=classes, n_bins=CALIBRATION_BINS, norm="l1")),
        "macro_precision": float(precision),
        "macro_recall": float(recall),
        "macro_f1": float(f1),
    }
    if classes > TOP:
        found["top5"] = float(multiclass_accuracy(z, y, num_classes=classes, top_k=TOP, average="micro"))
    return found


def fidelity(student: np.ndarray, teacher: np.ndarray) -> dict[str, float]:
    """Measure how closely a student follows its teacher.

    Source: Stanton, Izmailov, Kirichenko, Alemi, Wilson 2021, arXiv:2106.05945, eq. 2 and 3.

    Args:
        student: logits N×C of the test set.
        teacher: logits N×C of the same samples; for several teachers, see :func:`ensemble`.

    Returns:
        ``agreement`` (share of samples with the same highest class) and ``kl`` (mean KL divergence of the
        student from the teacher, KL(teacher ‖ student), nats). Empty if there are no samples.

    Raises:
        ValueError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"logits of student {student.shape} and teacher {teacher.shape} are not of the same samples and classes"
        )
    if len(student) == 0:
        return {}
    p, q = torch.from_numpy(teacher).double().log_softmax(1), torch.from_numpy(student).double().log_softmax(1)
    return {
        "agreement": float(np.mean(student.argmax(1) == teacher.argmax(1))),
        "kl": float(F.kl_div(q, p, reduction="batchmean", log_target=True)),
    }


def ensemble(teachers: list[np.ndarray]) -> np.ndarray:
    """Average several teachers' probabilities, as logits N×C (one's are unchanged)."""
    if len(teachers) == 1:
        return teachers[0]
    probabilities = torch.stack([torch.from_numpy(t).double().log_softmax(1) for t in teachers])
    return np.asarray((probabilities.logsumexp(0) - np.log(len(teachers))).numpy())


def per_class(targets: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Score each class.

    Returns:
        ``precision``, ``recall``, ``f1`` (0 where undefined) and ``support`` (samples), each of length C.
    """
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, predicted, labels=np.arange(classes), zero_division=0.0
    )
    return {"precision": precision, "recall": recall, "f1": f1, "support": support}


def confusion(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count predictions, C×C: true class by row, predicted class by column."""
    return np.asarray(confusion_matrix(targets, predicted, labels=np.arange(classes)))


def reliability(confidences: np.ndarray, correct: np.ndarray, bins: int = CALIBRATION_BINS) -> dict[str, np.ndarray]:
    """Compute a reliability diagram.

    Args:
        confidences: probabilities of the predicted classes, N, in [0, 1].
        correct: whether the predictions are right, N.
        bins: number of bins of equal width.

    Returns:
        ``low`` edge, ``count``, mean ``confidence`` and ``accuracy`` of each bin; NaN for empty bins.
    """
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.digitize(confidences, edges[1:-1], right=True), 0, bins - 1)
    count = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):
        return {
            "low": edges[:-1],
            "count": count,
            "confidence": np.bincount(which, weights=confidences, minlength=bins) / count,
            "accuracy": np.bincount(which, weights=correct.astype(float), minlength=bins) / count,
        }
