"""Scores of stored predictions beyond accuracy, by NumPy and scikit-learn."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from kdbench.results.evidence import in_parts

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
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    count, confident, right = (np.zeros(CALIBRATION_BINS + 1) for _ in range(3))
    nll, high = 0.0, 0
    predicted = logits.argmax(1)
    for part, y, own in zip(in_parts(logits), _split(targets, logits), _split(predicted, logits), strict=True):
        z = part.astype(np.float64)
        rows = np.arange(len(z))
        z -= z[rows, own][:, None]
        true = z[rows, y]
        total = np.exp(z).sum(1)
        nll += float((np.log(total) - true).sum())
        before = (z > true[:, None]) | ((z == true[:, None]) & (np.arange(z.shape[1]) < y[:, None]))
        high += int((before.sum(1) < TOP).sum())
        confidence = np.nan_to_num(1 / total)
        bins = np.searchsorted(edges, confidence, side="right") - 1
        count += np.bincount(bins, minlength=CALIBRATION_BINS + 1)
        confident += np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS + 1)
        right += np.bincount(bins, weights=own == y, minlength=CALIBRATION_BINS + 1)
    found = {
        "nll": nll / len(targets),
        "ece": float(np.abs(confident - right).sum() / len(targets)),
        **macro_scores(predicted, targets),
    }
    if logits.shape[1] > TOP:
        found["top5"] = high / len(targets)
    return found


def macro_scores(predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Average precision, recall and F1 over the classes that occur in the targets.

    Args:
        predicted: N, classes from 0.
        targets: N, classes from 0.
    """
    if len(targets) == 0:
        return {}
    classes = 1 + int(max(predicted.max(), targets.max()))
    hits = np.bincount(targets[predicted == targets], minlength=classes)
    support, claimed = np.bincount(targets, minlength=classes), np.bincount(predicted, minlength=classes)
    present = support > 0
    hits, support, claimed = hits[present], support[present], claimed[present]
    return {
        "macro_precision": float((hits / np.maximum(claimed, 1)).mean()),
        "macro_recall": float((hits / support).mean()),
        "macro_f1": float((2 * hits / (claimed + support)).mean()),
    }


def _split(values: np.ndarray, logits: np.ndarray) -> list[np.ndarray]:
    """N values in the parts that :func:`in_parts` splits logits N×C into."""
    ends = np.cumsum([len(part) for part in in_parts(logits)])
    return np.split(values, ends[:-1])


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
    total = 0.0
    for own, other in zip(in_parts(student), in_parts(teacher), strict=True):
        p, q = _log_softmax(other), _log_softmax(own)
        total += float((np.exp(p) * (p - q)).sum())
    return {"agreement": float(np.mean(student.argmax(1) == teacher.argmax(1))), "kl": total / len(student)}


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    z = logits.astype(np.float64)
    z -= z.max(1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(1, keepdims=True)))


def ensemble(teachers: list[np.ndarray]) -> np.ndarray:
    """Average several teachers' probabilities, as logits N×C (one's are unchanged)."""
    if len(teachers) == 1:
        return teachers[0]
    probabilities = np.stack([log_softmax(t.astype(np.float64), axis=1) for t in teachers])
    return np.asarray(logsumexp(probabilities, axis=0) - np.log(len(teachers)))


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
