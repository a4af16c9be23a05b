"""What a grid of hyper-parameters found: a heat map of two, a line of one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kdbench.analysis.grids import grid_table
from kdbench.analysis.statistics import Estimate, estimate
from kdbench.report.figures.boards import Board
from kdbench.report.figures.style import INK, MUTED, PALETTE, canvas, cells, short
from kdbench.report.text import flat, points

Point = tuple[Any, Any]


@dataclass(frozen=True)
class Grid:
    """A method's grid, or the part of it with the same values of further parameters.

    Args:
        label: of the method.
        across: name of the parameter on the x axis.
        down: name of the one on the y axis; "" for a line.
        others: what the rest is set to, for people.
        found: (value across, value down) → test accuracy over the seeds, percent.
        chosen: the point chosen on the validation set, if it is in this part.
        alone: mean test accuracy of the student trained alone, percent; NaN where there is none to compare with.
        half: half-width of the 95 % interval of a point's difference to it, in percentage points; NaN where there is none.
        differences: of points to it, as shares, where their interval is known.
        told_apart: the points that are told apart from it.
        scale: lowest and highest mean of the whole grid, which its parts share.
    """

    label: str
    across: str
    down: str
    others: str
    found: Mapping[Point, Estimate]
    chosen: Point | None
    alone: float = float("nan")
    half: float = float("nan")
    differences: Mapping[Point, float] = field(default_factory=dict)
    told_apart: frozenset[Point] = frozenset()
    scale: tuple[float, float] = (0.0, 1.0)


def grids(board: Board) -> list[Grid]:
    """The grids of a board's methods."""
    points = grid_table(board.frame)
    if points.empty:
        return []
    mine = points[(points["pair"] == board.pair) & (points["fingerprint"] == board.fingerprint)]
    return [grid for label, group in mine.groupby("label", sort=False) for grid in _parts(board, str(label), group)]


def _parts(board: Board, label: str, table: pd.DataFrame) -> list[Grid]:
    settings = [dict(json.loads(text)) for text in table["point"]]
    names = sorted({name for point in settings for name in point})
    several = [n for n in names if len({_key(p.get(n)) for p in settings}) > 1]
    axes = sorted(several, key=lambda n: -len({_key(p.get(n)) for p in settings}))[:2]
    if not axes:
        return []
    across, down = axes[0], axes[1] if len(axes) > 1 else ""
    rows = board.frame.rows
    mine = rows[
        (rows["pair"] == board.pair)
        & (rows["fingerprint"] == board.fingerprint)
        & (rows["label"] == label)
        & (rows["role"] == "student")
        & (rows["status"] == "finished")
    ]
    parts: dict[str, dict[Point, Estimate]] = {}
    best: dict[str, Point] = {}
    apart: dict[str, set[Point]] = {}
    differences: dict[str, dict[Point, float]] = {}
    for point, line in zip(settings, table.to_dict("records"), strict=True):
        others = ", ".join(f"{n} = {_show(point.get(n))}" for n in several if n not in axes)
        place = (_key(point.get(across)), _key(point.get(down)) if down else "")
        accuracies = mine.loc[mine["point"] == line["point"], "test_accuracy"]
        parts.setdefault(others, {})[place] = estimate([100 * a for a in accuracies.dropna()])
        if not math.isnan(line["delta_low"]):
            differences.setdefault(others, {})[place] = line["delta"]
        if line["chosen"]:
            best[others] = place
        if line["told_apart"]:
            apart.setdefault(others, set()).add(place)
    means = [v.mean for found in parts.values() for v in found.values() if v.count]
    shared: dict[str, Any] = {
        "alone": 100 * table["alone"].mean(),
        "half": 50 * (table["delta_high"] - table["delta_low"]).mean(),
        "scale": (min(means), max(means)) if means else (0.0, 1.0),
    }
    return [
        Grid(
            label,
            across,
            down,
            others,
            found,
            best.get(others),
            differences=differences.get(others, {}),
            told_apart=frozenset(apart.get(others, ())),
            **shared,
        )
        for others, found in parts.items()
    ]


def heat_map(grid: Grid) -> Figure:
    """Mean test accuracy of two parameters' values.

    Below each mean stands the difference to the student trained alone with its mark (:data:`kdbench.analysis.grids.HOW`), or, where
    that is not known, the half-width of the mean's 95 % t interval over seeds. Parts of a grid share their colours.
    """
    xs, ys = _axis(p[0] for p in grid.found), _axis(p[1] for p in grid.found)
    means = np.full((len(ys), len(xs)), np.nan)
    texts = [["" for _ in xs] for _ in ys]
    for (x, y), value in grid.found.items():
        i, j = ys.index(y), xs.index(x)
        means[i, j] = value.mean
        texts[i][j] = cell(grid, (x, y))
    figure = canvas(0.62 * max(len(xs), 3) + 1.9, 0.48 * max(len(ys), 2) + 1.15)
    axes = figure.add_subplot()
    low, high = grid.scale
    middle = max(high - low, 0.1) / 2
    mesh = cells(axes, means, texts, vmin=(low + high) / 2 - middle, vmax=(low + high) / 2 + middle)
    _named(axes, xs, ys, grid)
    if grid.differences:
        axes.set_title(f"below: difference to the student alone, {grid.alone:.2f} %; each ± {grid.half:.2f} (95 %)", fontsize=7)
    bar = figure.colorbar(mesh, ax=axes)  # type: ignore[arg-type]
    bar.set_label("mean test accuracy, %")
    if grid.chosen is not None:
        place = xs.index(grid.chosen[0]) - 0.5, ys.index(grid.chosen[1]) - 0.5
        for colour, width in (("#ffffff", 4.0), (PALETTE[1], 2.2)):
            axes.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=colour, linewidth=width, clip_on=False, zorder=5))
    return figure


def line(grid: Grid) -> Figure:
    """Mean test accuracy of one parameter's values.

    With the student trained alone as a dashed line and the intervals of the differences to it, or, where these are not known, with
    the 95 % t intervals over seeds.
    """
    xs = _axis(p[0] for p in grid.found)
    values = [grid.found[x, ""] for x in xs]
    figure = canvas(max(0.55 * len(xs) + 1.2, 3.4), 2.6)
    axes = figure.add_subplot()
    at = np.arange(len(xs))
    means = np.array([v.mean for v in values])
    bars = np.array([[v.mean - v.low, v.high - v.mean] for v in values]).T
    if grid.differences:
        bars = np.full_like(bars, grid.half)
        axes.axhline(grid.alone, color=MUTED, linestyle="--", linewidth=1, label="student alone")
    axes.errorbar(at, means, np.nan_to_num(bars), color=PALETTE[0], marker="o", markersize=5, linewidth=1, capsize=3)
    if grid.chosen is not None:
        i = xs.index(grid.chosen[0])
        axes.plot(
            at[i],
            means[i],
            "o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=PALETTE[1],
            markeredgewidth=1.8,
            label="chosen on validation",
        )
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper left", fontsize=8, borderpad=0, ncols=2)
    axes.set_xticks(at, [_show(x) for x in xs])
    axes.set_xlim(-0.5, len(xs) - 0.5)
    axes.set_xlabel(short(grid.across))
    axes.set_ylabel("mean test accuracy, %")
    return figure


def cell(grid: Grid, point: Point) -> str:
    """A mean, and below it how far it is from the student trained alone, or the half-width of its interval."""
    value = grid.found[point]
    if not value.count:
        return "–"
    if grid.differences:
        known = point in grid.differences
        mark = "†" if point in grid.told_apart else ""
        return f"{value.mean:.2f}" + (f"\n{points(grid.differences[point])}{mark}" if known else "")
    return f"{value.mean:.2f}" + ("" if np.isnan(value.low) else f"\n±{(value.high - value.low) / 2:.2f}")


def sentence(grid: Grid) -> str:
    """What the figure says."""
    known = {p: v for p, v in grid.found.items() if v.count}
    names = short(grid.across) + (f" and {short(grid.down)}" if grid.down else "")
    with_others = f", with {flat(grid.others)}" if grid.others else ""
    said = f"Mean test accuracy of {short(grid.label)} for {len(grid.found)} values of {names}{with_others}"
    if known:
        said += f", from {min(v.mean for v in known.values()):.2f} to {max(v.mean for v in known.values()):.2f} %"
    if grid.differences:
        better = sum(grid.differences[p] > 0 for p in grid.told_apart)
        said += (
            f"; the student alone has {grid.alone:.2f} %, differences to it are known to ± {grid.half:.2f} points (95 %): "
            f"{better} better and {len(grid.told_apart) - better} worse are told apart from it"
        )
    if grid.chosen is None:
        return f"{said}."
    at = ", ".join(f"{short(n)} = {_show(v)}" for n, v in ((grid.across, grid.chosen[0]), (grid.down, grid.chosen[1])) if n)
    return f"{said}; chosen on the validation set, and framed: {at}."


def _named(axes: Axes, xs: Sequence[Any], ys: Sequence[Any], grid: Grid) -> None:
    axes.set_xticks(range(len(xs)), [_show(x) for x in xs])
    axes.set_yticks(range(len(ys)), [_show(y) for y in ys])
    axes.tick_params(length=0)
    axes.set_xlabel(short(grid.across), color=INK)
    axes.set_ylabel(short(grid.down), color=INK)
    axes.spines[:].set_visible(False)


def _key(value: Any) -> Any:
    """A value that can be a key, whatever JSON it is."""
    return value if isinstance(value, (int, float, str, bool)) and not isinstance(value, bool) else json.dumps(value)


def _axis(values: Any) -> list[Any]:
    """Different values, numbers in their order and the rest as they came."""
    found = list(dict.fromkeys(values))
    return sorted(found) if all(isinstance(v, (int, float)) for v in found) else found


def _show(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else short(str(value), 12)
