"""One pair at a time: its rows of the standings, and close-ups of some networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.standings import baseline_label
from kdbench.analysis.task import direction, metric_column
from kdbench.results.evidence import CONFIDENCE_LEVELS

Reason = Literal["teacher", "alone", "best"]
"""First teacher, student trained alone, or best method on the validation set."""


@dataclass(frozen=True, eq=False)
class Board:
    """One pair on one data set.

    Args:
        frame: the whole suite.
        pair: name of the pair.
        fingerprint: fingerprint of the data.
        name: the pair's name, with the fingerprint if the suite's data sets differ.
        table: its rows of the standings.
        baseline: label of the student trained alone.
    """

    frame: SuiteFrame
    pair: str
    fingerprint: str
    name: str
    table: pd.DataFrame
    baseline: str | None

    def students(self) -> pd.DataFrame:
        """Rows of the methods, best first."""
        return self.table[self.table["role"] == "student"]

    def classes(self) -> list[str]:
        """Names of the classes, or their numbers if they have no names."""
        for record in self.frame.records.values():
            if record.data.get("fingerprint") == self.fingerprint and isinstance(names := record.data.get("classes"), list):
                return [str(name) for name in names]
        seen = [self.frame.evidence.targets.get(self.fingerprint), *self.frame.evidence.classes.values()]
        return [str(i) for i in range(1 + max((int(s.max()) for s in seen if s is not None and len(s)), default=-1))]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a row's seeds.

    Args:
        label: label of the row.
        reason: why the row is shown in detail.
        trials: ids of the trials whose predictions are known.
        targets: classes of the units of the test set, N.
        predicted: predicted classes, S×N.
        confidences: of the predicted classes, S×N, in [0, 1].
        ece: expected calibration error, mean over seeds; NaN if unknown.
    """

    label: str
    reason: Reason
    trials: tuple[str, ...]
    targets: np.ndarray
    predicted: np.ndarray
    confidences: np.ndarray
    ece: float


def boards(frame: SuiteFrame, standings: pd.DataFrame) -> list[Board]:
    """Return the boards of a suite, in its order.

    Args:
        frame: the records.
        standings: its :func:`kdbench.analysis.standings.standings`.
    """
    if standings.empty:
        return []
    several, rows = standings["fingerprint"].nunique() > 1, frame.rows
    found = []
    for (pair, data), part in standings.groupby(["pair", "fingerprint"], sort=False):
        name = f"{pair} (data {data})" if several else str(pair)
        baseline = baseline_label(frame, rows[(rows["pair"] == pair) & (rows["fingerprint"] == data)])
        found.append(Board(frame, str(pair), str(data), name, part, baseline))
    return found


def column(table: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return a column of numbers; NaN if it is missing."""
    values = table[name] if name in table else pd.Series(float("nan"), table.index)
    return pd.to_numeric(values, errors="coerce").astype(float)


def closeups(board: Board) -> list[Predictions]:
    """Return the known predictions of the rows that are shown in detail.

    These are the first teacher, the student trained alone, and the best method on the validation set.
    """
    students = board.students()
    rows: list[tuple[pd.DataFrame, Reason]] = [
        (board.table[board.table["role"] == "teacher"], "teacher"),
        (students[students["label"] == board.baseline], "alone"),
        (_taught(board), "best"),
    ]
    found = [_predictions(board, part.iloc[0], reason) for part, reason in rows if len(part)]
    return [predictions for predictions in found if predictions is not None]


def summary(boards: Sequence[Board]) -> pd.DataFrame:
    """Return the most important rows of each pair, labelled with the pair.

    These are the teachers, the student trained alone, and the best method on the validation set.
    """
    parts = []
    for board in boards:
        students = board.students()
        shown = pd.concat([students[students["label"] == board.baseline], _taught(board)[:1]])
        parts += [board.table[board.table["role"] == "teacher"], shown.assign(label=shown["label"] + f" · {board.pair}")]
    return pd.concat(parts).drop_duplicates(["label", "role", "trials"])


def _taught(board: Board) -> pd.DataFrame:
    """Return the rows of methods with a teacher, best on the validation set first."""
    students, task = board.students(), board.frame.task
    taught = students[(students["label"] != board.baseline) & (students["finished"] > 0)]
    merit = direction(task) * column(taught, metric_column(task, "validation"))
    return taught.loc[merit.sort_values(ascending=False, kind="stable").index]


def _predictions(board: Board, row: pd.Series, reason: Reason) -> Predictions | None:
    evidence = board.frame.evidence
    targets = evidence.targets.get(board.fingerprint)
    trials = tuple(t for t in dict.fromkeys(str(row["trials"]).split()) if t in evidence.classes)
    if targets is None or not trials or not len(targets):
        return None
    known = [evidence.scores[t]["ece"] for t in trials if "ece" in evidence.scores.get(t, {})]
    return Predictions(
        label=str(row["label"]),
        reason=reason,
        trials=trials,
        targets=targets,
        predicted=_stack([evidence.classes[t] for t in trials]),
        confidences=_stack([evidence.confidences[t] for t in trials]) / CONFIDENCE_LEVELS,
        ece=float(np.mean(known)) if known else float("nan"),
    )


def _stack(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(v) for v in values])
