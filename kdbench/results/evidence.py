"""Evidence behind a suite's metrics: predictions, curves, scores of logits.

To stay small enough for a report folder, it holds only the highest probability of each unit and its class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

SCORES = ("nll", "ece", "top5", "macro_precision", "macro_recall", "macro_f1", "agreement", "kl")
"""Scores that are computed from the kept predictions."""
CONFIDENCE_LEVELS = 255
"""Confidences are stored as multiples of 1/255."""


@dataclass(frozen=True)
class Evidence:
    """Predictions and curves by trial id; those that a trial does not have are absent.

    Args:
        targets: fingerprint of the data → classes of the N units of the test set, int.
        classes: trial → predicted classes, N, int.
        confidences: trial → probability of the predicted class in units of 1/255, N, uint8.
        histories: trial → one row per epoch.
        scores: trial → scores that need logits, by name (see :mod:`kdbench.measure.accuracy`).
    """

    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    classes: Mapping[str, np.ndarray] = field(default_factory=dict)
    confidences: Mapping[str, np.ndarray] = field(default_factory=dict)
    histories: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def without(self, trials: Collection[str]) -> Evidence:
        """The evidence of all other trials."""
        return Evidence(
            self.targets,
            {i: v for i, v in self.classes.items() if i not in trials},
            {i: v for i, v in self.confidences.items() if i not in trials},
            {i: v for i, v in self.histories.items() if i not in trials},
            {i: v for i, v in self.scores.items() if i not in trials},
        )

    def correct(self, trial: str, fingerprint: str) -> np.ndarray | None:
        """Return which test units a trial got right, N, bool; ``None`` if unknown."""
        if trial not in self.classes or fingerprint not in self.targets:
            return None
        return np.asarray(self.classes[trial] == self.targets[fingerprint])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute the probabilities of logits N×C, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponents = np.exp(shifted)
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def condense(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the predicted classes and confidences (uint8) of logits N×C.

    Classes are uint8, or uint16 if there are more than 256. The confidence of a row that is not finite is 0.
    """
    kind = np.uint8 if logits.shape[1] <= 256 else np.uint16
    highest = [softmax(part).max(axis=1) for part in in_parts(logits)]
    confidences = np.rint(CONFIDENCE_LEVELS * np.nan_to_num(np.concatenate(highest))) if highest else np.zeros(0)
    return logits.argmax(axis=1).astype(kind), confidences.astype(np.uint8)


def in_parts(array: np.ndarray, most: int = 1_000_000) -> list[np.ndarray]:
    """Split rows of N×C into parts of about ``most`` values, to save memory."""
    rows = max(1, most // max(1, array.shape[1]))
    return [array[i : i + rows] for i in range(0, len(array), rows)]
