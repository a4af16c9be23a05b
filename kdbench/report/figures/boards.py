"""What figures are made of: the standings of each pair, and the networks that are looked at closely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kdbench.analysis.evidence import CONFIDENCE_LEVELS
from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.standings import baseline_label, standings


@dataclass(frozen=True)
class Board:
    """One pair on one data set.

    Args:
        frame: the whole suite.
        pair: name of the pair.
        fingerprint: of the data.
        name: the pair for people; with the fingerprint where the suite holds different data.
        table: its rows of the standings.
    """

    frame: SuiteFrame
    pair: str
    fingerprint: str
    name: str
    table: pd.DataFrame

    def students(self) -> pd.DataFrame:
        """Rows of the methods, best first."""
        return self.table[self.table["role"] == "student"]

    def baseline(self) -> str | None:
        """Label of the student trained alone."""
        rows = self.frame.rows
        return baseline_label(self.frame, rows[(rows["pair"] == self.pair) & (rows["fingerprint"] == self.fingerprint)])

    def classes(self) -> list[str]:
        """Names of the classes; their numbers where they have none."""
        for record in self.frame.records.values():
            if record.data.get("fingerprint") == self.fingerprint and isinstance(names := record.data.get("classes"), list):
                return [str(name) for name in names]
        seen = [self.frame.evidence.targets.get(self.fingerprint), *self.frame.evidence.classes.values()]
        return [str(i) for i in range(1 + max((int(s.max()) for s in seen if s is not None and len(s)), default=-1))]


@dataclass(frozen=True)
class Network:
    """A row of a board, with the predictions of its seeds.

    Args:
        label: of the row.
        what: why it is looked at: teacher, student alone, or best student by validation accuracy.
        trials: those whose predictions are known.
        targets: classes of the test samples, N.
        predicted: predicted classes, S×N.
        confidences: of the predicted classes, S×N, in [0, 1].
        ece: expected calibration error, mean over seeds; NaN if unknown.
    """

    label: str
    what: str
    trials: tuple[str, ...]
    targets: np.ndarray
    predicted: np.ndarray
    confidences: np.ndarray
    ece: float


def boards(frame: SuiteFrame) -> list[Board]:
    """The boards of a suite in its order."""
    table = standings(frame)
    if table.empty:
        return []
    several = table["fingerprint"].nunique() > 1
    return [
        Board(frame, str(pair), str(data), f"{pair} (data {data})" if several else str(pair), part)
        for (pair, data), part in table.groupby(["pair", "fingerprint"], sort=False)
    ]


def column(table: pd.DataFrame, name: str) -> pd.Series[float]:
    """A column of numbers; NaN where there is none."""
    values = table[name] if name in table else pd.Series(float("nan"), table.index)
    return pd.to_numeric(values, errors="coerce").astype(float)


def networks(board: Board) -> list[Network]:
    """The first teacher, the student trained alone, and the method with the best mean validation accuracy, as far as known."""
    table = board.table
    chosen: list[tuple[pd.DataFrame, str]] = [(table[table["role"] == "teacher"], "teacher")]
    students = board.students()
    chosen.append((students[students["label"] == board.baseline()], "student alone"))
    chosen.append((_taught(board), "best by validation accuracy"))
    return [found for rows, what in chosen if len(rows) and (found := _network(board, rows.iloc[0], what)) is not None]


def summary(boards: Sequence[Board]) -> pd.DataFrame:
    """Of each pair the teachers, the student trained alone and the best method by validation accuracy, named with the pair."""
    parts = []
    for board in boards:
        students = board.students()
        shown = pd.concat([students[students["label"] == board.baseline()], _taught(board)[:1]])
        parts += [board.table[board.table["role"] == "teacher"], shown.assign(label=shown["label"] + f" · {board.pair}")]
    return pd.concat(parts).drop_duplicates(["label", "role", "trials"])


def _taught(board: Board) -> pd.DataFrame:
    """Rows of the methods that taught the student, best validation accuracy first."""
    students = board.students()
    taught = students[(students["label"] != board.baseline()) & (students["finished"] > 0)]
    return taught.loc[column(taught, "validation_accuracy").sort_values(ascending=False, kind="stable").index]


def _network(board: Board, row: pd.Series, what: str) -> Network | None:
    evidence = board.frame.evidence
    targets = evidence.targets.get(board.fingerprint)
    trials = tuple(t for t in dict.fromkeys(str(row["trials"]).split()) if t in evidence.classes)
    if targets is None or not trials or not len(targets):
        return None
    known = [evidence.scores[t]["ece"] for t in trials if "ece" in evidence.scores.get(t, {})]
    return Network(
        label=str(row["label"]),
        what=what,
        trials=trials,
        targets=targets,
        predicted=_stack([evidence.classes[t] for t in trials]),
        confidences=_stack([evidence.confidences[t] for t in trials]) / CONFIDENCE_LEVELS,
        ece=float(np.mean(known)) if known else float("nan"),
    )


def _stack(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(v) for v in values])
