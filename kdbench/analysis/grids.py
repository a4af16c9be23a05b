"""A grid's points against the student trained alone, and slices for figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from kdbench.analysis.contrasts import rows_of_pair
from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.standings import baseline_label
from kdbench.analysis.statistics import Estimate, estimate
from kdbench.analysis.task import metric_column

Point = tuple[Any, Any]
"""Values of the parameters on the x axis and the y axis."""
Others = tuple[tuple[str, Any], ...]
"""Further parameters and their values."""


def grid_table(frame: SuiteFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Compare all points of all grids with the student trained alone.

    Args:
        frame: the records.
        points: the frame's :func:`kdbench.analysis.choice.grid_points`.

    Returns:
        The columns of ``points``, and ``alone`` (mean primary metric on the test set of the student
        trained alone), ``delta`` with its simultaneous interval ``delta_low`` to ``delta_high``,
        ``delta_seeds``, ``p_value`` (corrected) and ``significant``
        (over the points of the grid, by the model of the leaderboard), over the seeds that both
        finished. They are NaN for a point that lacks a seed that the student trained alone and at least
        half of the points finished, and intervals for a single seed.
    """
    if points.empty or frame.plan.tuning is not None or not (points["point"] != "").any():
        return pd.DataFrame()
    parts = [
        group.assign(**_differences(frame, group))
        for _, group in points[points["point"] != ""].groupby(["pair", "fingerprint", "label"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def _differences(frame: SuiteFrame, group: pd.DataFrame) -> dict[str, list[float] | list[int] | list[bool]]:
    pair, fingerprint, label = group[["pair", "fingerprint", "label"]].iloc[0]
    rows, test = frame.rows, metric_column(frame.task)
    mine = rows[(rows["pair"] == pair) & (rows["fingerprint"] == fingerprint) & (rows["role"] == "student")]
    done = mine[mine["status"] == "finished"].dropna(subset=test)
    alone = done[done["label"] == baseline_label(frame, mine)]
    points = done[done["label"] == label]
    found = points.pivot_table(test, "point", "seed").reindex(group["point"])
    seeds = [s for s in found.columns if s in set(alone["seed"]) and found[s].notna().mean() >= 0.5]
    whole = found[seeds].notna().all(axis=1).to_numpy() & bool(seeds)
    own = rows_of_pair(frame, str(pair), str(fingerprint))
    baseline = next((key for key in own.runs if key[:2] == ("student", baseline_label(frame, mine))), None)
    keys = [("student", str(label), str(point)) for point, complete in zip(group["point"], whole, strict=True) if complete]
    lines = own.against(baseline, keys) if baseline else {}
    each = [lines.get(("student", str(label), str(point))) for point in group["point"]]

    def listed(name: str) -> list[float]:
        return [line[name] if line else float("nan") for line in each]

    return {
        "alone": [float(alone[alone["seed"].isin(seeds)].drop_duplicates("seed")[test].mean())] * len(group),
        "delta": listed("delta"),
        "delta_low": listed("low"),
        "delta_high": listed("high"),
        "delta_seeds": [int(line["seeds"]) if line else 0 for line in each],
        "p_value": listed("p_value"),
        "significant": [bool(line and (line["low"] > 0 or line["high"] < 0)) for line in each],
    }


@dataclass(frozen=True)
class Grid:
    """A method's grid, or the slice of it with the same values of further parameters.

    Args:
        label: label of the method.
        across: name of the parameter on the x axis.
        down: name of the parameter on the y axis; "" for a line.
        others: the other parameters and their values.
        found: (value across, value down) → primary metric on the test set over the seeds.
        chosen: the point chosen on the validation set, if it is in this slice.
        alone: mean of the student trained alone; NaN if there is none.
        half: mean half-width of the simultaneous 95 % intervals of the points' differences from it; NaN if
            unknown.
        differences: differences of points from it, where the interval is known.
        significant: the points that differ significantly from it.
        scale: lowest and highest mean of the whole grid, which its slices share.
    """

    label: str
    across: str
    down: str
    others: Others
    found: Mapping[Point, Estimate]
    chosen: Point | None
    alone: float = float("nan")
    half: float = float("nan")
    differences: Mapping[Point, float] = field(default_factory=dict)
    significant: frozenset[Point] = frozenset()
    scale: tuple[float, float] = (0.0, 1.0)


def grid_slices(frame: SuiteFrame, table: pd.DataFrame, pair: str, fingerprint: str) -> list[Grid]:
    """Return the grids of a pair's methods, in slices.

    Args:
        frame: the records.
        table: the frame's :func:`grid_table`.
        pair: name of the pair.
        fingerprint: fingerprint of the data.
    """
    if table.empty:
        return []
    mine = table[(table["pair"] == pair) & (table["fingerprint"] == fingerprint)]
    return [grid for _, group in mine.groupby("label", sort=False) for grid in _slices(frame, group)]


def _slices(frame: SuiteFrame, table: pd.DataFrame) -> list[Grid]:
    settings = [dict(json.loads(text)) for text in table["point"]]
    names = sorted({name for point in settings for name in point})
    several = [n for n in names if len({_key(p.get(n)) for p in settings}) > 1]
    axes = sorted(several, key=lambda n: -len({_key(p.get(n)) for p in settings}))[:2]
    if not axes:
        return []
    across, down = axes[0], axes[1] if len(axes) > 1 else ""
    values = _values(frame, table)
    found: dict[Others, dict[Point, Estimate]] = {}
    chosen: dict[Others, Point] = {}
    significant: dict[Others, set[Point]] = {}
    differences: dict[Others, dict[Point, float]] = {}
    for point, line in zip(settings, table.to_dict("records"), strict=True):
        others = tuple((n, _key(point.get(n))) for n in several if n not in axes)
        at = (_key(point.get(across)), _key(point.get(down)) if down else "")
        found.setdefault(others, {})[at] = values[line["point"]]
        if not math.isnan(line["delta_low"]):
            differences.setdefault(others, {})[at] = line["delta"]
        if line["chosen"]:
            chosen[others] = at
        if line["significant"]:
            significant.setdefault(others, set()).add(at)
    means = [v.mean for v in values.values() if v.count]
    return [
        Grid(
            label=str(table["label"].iloc[0]),
            across=across,
            down=down,
            others=others,
            found=part,
            chosen=chosen.get(others),
            alone=table["alone"].mean(),
            half=(table["delta_high"] - table["delta_low"]).mean() / 2,
            differences=differences.get(others, {}),
            significant=frozenset(significant.get(others, ())),
            scale=(min(means), max(means)) if means else (0.0, 1.0),
        )
        for others, part in found.items()
    ]


def _values(frame: SuiteFrame, table: pd.DataFrame) -> dict[str, Estimate]:
    """Return the primary metric on the test set of each point of a grid."""
    rows = frame.rows
    mine = rows[(rows["role"] == "student") & (rows["status"] == "finished")]
    for name in ("pair", "fingerprint", "label"):
        mine = mine[mine[name] == table[name].iloc[0]]
    test = mine[metric_column(frame.task)]
    return {str(point): estimate(test[mine["point"] == point].dropna().tolist()) for point in table["point"]}


def _key(value: Any) -> Any:
    """Return a hashable key for any JSON value."""
    return value if isinstance(value, (int, float, str, bool)) and not isinstance(value, bool) else json.dumps(value)
