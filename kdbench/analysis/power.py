"""What a suite could have found, and how many seeds would find more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from kdbench.analysis.model import Model

POWER = 0.8
"""A difference is found "probably" if it is in this share of suites."""
SIZES = {"seeds_half": 0.005, "seeds_one": 0.01}
"""Column of a number of seeds → the difference, as a share, that they find."""
MOST_SEEDS = 100
"""More are reported as unreachable."""
NAN = float("nan")


def power_columns(model: Model | None, lines: Sequence[Mapping[str, float]], percent: bool) -> dict[str, float]:
    """Return the smallest difference probably found, and the seeds needed for less.

    The seeds are for 0.5 and 1 points. All are for the median row of a table, and
    hold for one true difference.

    Args:
        model: the table's model.
        lines: the rows' comparisons (:meth:`kdbench.analysis.contrasts.Rows.against`).
        percent: whether the metric is a share; only then there are points.

    Returns:
        ``detectable``, ``seeds_half`` and ``seeds_one``; infinite if no number of seeds suffices.
    """
    known = [line for line in lines if not np.isnan(line["critical"])]
    if model is None or not known:
        return dict.fromkeys(("detectable", *SIZES), NAN)
    error, critical = (float(np.median([line[name] for line in known])) for name in ("error", "critical"))
    seeds = int(np.median([line["seeds"] for line in known]))
    run = float(np.median(2 * model.variances[model.shared]))
    items = max(error**2 - run / seeds, 0.0)
    found = {"detectable": (critical + float(stats.norm.ppf(POWER))) * error}
    return found | {
        name: _needed(size, run, items, critical, seeds, model.freedom) if percent else NAN for name, size in SIZES.items()
    }


def _needed(size: float, run: float, items: float, critical: float, seeds: int, freedom: int) -> float:
    """Return the least number of seeds that probably find a difference."""
    tail = float(stats.t.sf(critical, freedom))
    for more in range(2, MOST_SEEDS + 1):
        at = float(stats.t.isf(tail, max(freedom * (more - 1) / (seeds - 1), 1)))
        if (at + float(stats.norm.ppf(POWER))) * (run / more + items) ** 0.5 <= size:
            return more
    return float("inf")


def seeds_for(size: float, deviation: float, rows: int) -> float:
    """Return the seeds that probably find a difference, for an assumed chance.

    Args:
        size: the true difference.
        deviation: assumed standard deviation from run to run, on the same scale.
        rows: number of rows that are compared with one other.
    """
    tail = 0.025 / max(rows, 1)
    for seeds in range(2, MOST_SEEDS + 1):
        at = float(stats.t.isf(tail, rows * (seeds - 1)))
        if (at + float(stats.norm.ppf(POWER))) * deviation * (2 / seeds) ** 0.5 <= size:
            return seeds
    return float("inf")
