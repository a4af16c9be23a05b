"""Choosing the point of a grid: the best on the validation set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.task import direction, metric_column
from kdbench.plan.trial import Plan


def grid_points(frame: SuiteFrame) -> pd.DataFrame:
    """Find all grid points of all students, and which of them is chosen.

    The columns are pair, fingerprint, label, point, seeds, finished, the primary metric's means
    over seeds, and chosen. The chosen point of a grid is the one that finished with the most seeds
    (so that a point which sometimes diverges is not preferred); among these, the one with the best mean
    of the primary metric on the validation set; among these, the first. The test set is not used.
    """
    students = frame.rows[frame.rows["role"] == "student"]
    validation, test = metric_column(frame.task, "validation"), metric_column(frame.task)
    found: list[dict[str, Any]] = []
    for (pair, fingerprint, label), group in students.groupby(["pair", "fingerprint", "label"], sort=False):
        points: list[dict[str, Any]] = [
            {
                "pair": pair,
                "fingerprint": fingerprint,
                "label": label,
                "point": point,
                "seeds": len(part),
                "finished": int((part["status"] == "finished").sum()),
                validation: part[validation].mean(),
                test: part[test].mean(),
            }
            for point, part in group.groupby("point", sort=False)
        ]
        sign = direction(frame.task)
        best = max(points, key=lambda p: (p["finished"], _merit(sign * p[validation])))
        found += [{**point, "chosen": point is best} for point in points]
    return pd.DataFrame(found)


def chosen_rows(frame: SuiteFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Drop the rows of grid points that were not chosen, and those of tuning.

    Assistants and generations that were trained for them are dropped too.

    Args:
        frame: the records.
        points: the frame's :func:`grid_points`.
    """
    if points.empty:
        return frame.rows[~frame.rows["role"].isin(["draw", "default"])]
    chosen = set(zip(*(points[points["chosen"]][name] for name in ("pair", "fingerprint", "label", "point")), strict=True))
    rows, role = frame.rows, frame.rows["role"]
    keys = zip(rows["pair"], rows["fingerprint"], rows["label"], rows["point"], strict=True)
    students = (role == "student") & pd.Series([key in chosen for key in keys], index=rows.index)
    behind = {
        key: _ancestors(frame.plan, part["trial"])
        for key, part in rows[students].groupby(["pair", "fingerprint", "point"], sort=False)
    }
    settings = zip(rows["pair"], rows["fingerprint"], rows["point"], strict=True)
    needed = [trial in behind.get(setting, ()) for setting, trial in zip(settings, rows["trial"], strict=True)]
    helpers = role.isin(["assistant", "generation"]) & pd.Series(needed, index=rows.index)
    return rows[students | (role == "teacher") | helpers]


def _merit(value: float) -> float:
    # Sums in a different order differ in the last bits; equal means must compare as equal.
    return float("-inf") if pd.isna(value) else round(value, 12)


def _ancestors(plan: Plan, trials: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(trials)
    while waiting:
        new = set(plan.trials[waiting.pop()].teachers) - found
        found |= new
        waiting += new
    return found
