"""Scores by class, confusions and calibration, from stored predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kdbench.analysis.boards import Board, Predictions, closeups
from kdbench.analysis.epochs import rows_by_label
from kdbench.analysis.frame import SuiteFrame
from kdbench.measure.accuracy import CALIBRATION_BINS, confusion, per_class, reliability

CLASS_SCORES = ("precision", "recall", "f1", "support")
AVERAGE = "macro average"
"""Name of the row, among those of classes, with the plain mean of all classes."""


def classes_table(frame: SuiteFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each pair, data, role, label and class.

    The columns are ``precision``, ``recall``, ``f1`` (means over ``seeds``) and ``support``. The
    class ``AVERAGE`` is the plain mean of all classes.

    Args:
        frame: the records.
        chosen: its rows, without grid points that were not chosen.
    """
    found: list[dict[str, Any]] = []
    for key, group in rows_by_label(chosen):
        known = [t for t in group["trial"] if t in frame.evidence.classes]
        if not known:
            continue
        names = [str(n) for n in frame.records[known[0]].data.get("classes", ())]
        if not names:
            continue
        targets = frame.evidence.targets[key["fingerprint"]]
        scores = [per_class(targets, frame.evidence.classes[t], len(names)) for t in known]
        means = {name: np.mean([s[name] for s in scores], axis=0) for name in CLASS_SCORES}
        for i, name in enumerate(names):
            found.append({**key, "class": name, "seeds": len(known), **{k: v[i] for k, v in means.items()}})
        average = {k: v.sum() if k == "support" else v.mean() for k, v in means.items()}
        found.append({**key, "class": AVERAGE, "seeds": len(known), **average})
    table = pd.DataFrame(found)
    return table.astype({"support": int}) if len(table) else table


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of a board's networks, class by class.

    Args:
        board: the board.
        predictions: predictions of the networks.
        classes: names of the C classes.
        support: number of units of the test set in each class, C.
        scores: for each network its precision, recall and F1, 3×C, means over seeds.
    """

    board: Board
    predictions: list[Predictions]
    classes: list[str]
    support: np.ndarray
    scores: list[np.ndarray]


def class_scores(boards: Sequence[Board]) -> list[ClassScores]:
    """Return the scores of the boards whose predictions are known."""
    found = []
    for board in boards:
        classes, shown = board.classes(), closeups(board)
        if not shown or not classes:
            continue
        seeds = [[per_class(p.targets, predicted, len(classes)) for predicted in p.predicted] for p in shown]
        scores = [np.array([np.mean([s[name] for s in own], axis=0) for name in CLASS_SCORES[:-1]]) for own in seeds]
        found.append(ClassScores(board, shown, classes, seeds[0][0]["support"], scores))
    return found


@dataclass(frozen=True, eq=False)
class Confusion:
    """Which classes are confused with which, as means over seeds.

    Args:
        counts: true class by row, predicted class by column, C×C.
        shares: of the true class, C×C, in [0, 1].
        worst: the (true, predicted) classes that are confused most often, at most three.
    """

    counts: np.ndarray
    shares: np.ndarray
    worst: list[tuple[int, int]]


def mean_confusion(predictions: Predictions, classes: int) -> Confusion:
    """Return the mean confusions of a number of classes."""
    counts = np.asarray(np.mean([confusion(predictions.targets, p, classes) for p in predictions.predicted], axis=0))
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:3]
    worst = [(int(i) // classes, int(i) % classes) for i in order if wrong.flat[i]]
    return Confusion(counts, counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), worst)


@dataclass(frozen=True, eq=False)
class Calibration:
    """How often predictions are right at each level of confidence, over all seeds.

    Args:
        bins: ``low`` edge, ``count``, mean ``confidence`` and ``accuracy`` of each bin, NaN in
            empty ones.
        error: expected calibration error.
        excess: mean confidence less the share that is right.
    """

    bins: dict[str, np.ndarray]
    error: float
    excess: float


def calibration(predictions: Predictions) -> Calibration:
    """Return the calibration of a row's predictions.

    Its error is computed from the bins if it is not known from logits.
    """
    correct = predictions.predicted == predictions.targets
    bins = reliability(predictions.confidences.flatten(), correct.flatten(), CALIBRATION_BINS)
    error = predictions.ece
    if np.isnan(error):
        gaps = np.nan_to_num(np.abs(bins["accuracy"] - bins["confidence"]))
        error = float((gaps * bins["count"]).sum() / bins["count"].sum())
    return Calibration(bins, error, float(predictions.confidences.mean() - correct.mean()))
