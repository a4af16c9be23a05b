"""A grid's points against the student trained alone."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kdbench.analysis.frame import SuiteFrame, grid_points
from kdbench.analysis.standings import baseline_label
from kdbench.analysis.statistics import LEVEL, blocked_differences, holm

HOW = (
    "Differences are to the student trained alone with the same seeds. Seeds are blocks, and the residual variance is pooled over all "
    "points of a grid (two-way analysis of variance without interaction): intervals of 95 %; † marks a difference that the corrected "
    "test tells apart (Holm, over the grid)."
)
"""How to read the differences."""


def grid_table(frame: SuiteFrame) -> pd.DataFrame:
    """All points of all grids, as :func:`kdbench.analysis.frame.grid_points` has them, against the student trained alone.

    Returns:
        Those columns, and ``alone`` (its mean test accuracy), ``delta``, ``delta_low``, ``delta_high``, ``delta_seeds``, ``p_value``
        (corrected, Holm) and ``told_apart``, over the seeds that it and at least half of the points finished. A point without one
        of these seeds, or a grid without a student trained alone or with one seed, has NaN.
    """
    points = grid_points(frame)
    if points.empty or not (points["point"] != "").any():
        return pd.DataFrame()
    parts = [
        group.assign(**_differences(frame, group))
        for _, group in points[points["point"] != ""].groupby(["pair", "fingerprint", "label"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def _differences(frame: SuiteFrame, group: pd.DataFrame) -> dict[str, list[float] | list[int] | list[bool]]:
    pair, fingerprint, label = group[["pair", "fingerprint", "label"]].iloc[0]
    rows = frame.rows
    mine = rows[(rows["pair"] == pair) & (rows["fingerprint"] == fingerprint) & (rows["role"] == "student")]
    done = mine[mine["status"] == "finished"].dropna(subset="test_accuracy")
    alone = done[done["label"] == baseline_label(frame, mine)].set_index("seed")["test_accuracy"]
    found = done[done["label"] == label].pivot_table("test_accuracy", "point", "seed").reindex(group["point"])
    seeds = [s for s in found.columns if s in alone.index and found[s].notna().mean() >= 0.5]
    whole = found[seeds].notna().all(axis=1).to_numpy() & bool(seeds)
    nothing = np.full(len(group), np.nan)
    low, high, delta, p_values = nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy()
    if whole.any():
        estimates, raw = blocked_differences(found.loc[whole, seeds].to_numpy(), alone[seeds].tolist())
        delta[whole], low[whole], high[whole] = np.array([(e.mean, e.low, e.high) for e in estimates]).T
        p_values[whole] = holm(raw)
    return {
        "alone": [float(alone[seeds].mean()) if seeds else float("nan")] * len(group),
        "delta": delta.tolist(),
        "delta_low": low.tolist(),
        "delta_high": high.tolist(),
        "delta_seeds": [len(seeds) if w else 0 for w in whole],
        "p_value": p_values.tolist(),
        "told_apart": [bool(p < 1 - LEVEL) for p in p_values],
    }
