"""Accuracy against what a network costs, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.optimize import isotonic_regression

from kdbench.report.figures.boards import column
from kdbench.report.figures.style import INK, MUTED, canvas, colours, short
from kdbench.report.text import percent, quantity

COSTS = {
    "parameters": "parameters",
    "macs": "multiply-accumulates (MACs) per sample",
    "size_mb": "size of the weights, MB (10⁶ bytes)",
    "latency_ms": "latency, ms",
}
LINE = 0.165
"""Height of a label, inches."""
LETTER = 0.069
"""Width of a label's letter, inches; a little more than the mean."""
OTHER = (MUTED, "*")


@dataclass(frozen=True)
class Point:
    """A network.

    Args:
        label: for people.
        family: of its method; the role, for teachers and assistants.
        cost: what it costs, > 0.
        accuracy: mean test accuracy in [0, 1].
    """

    label: str
    family: str
    cost: float
    accuracy: float


def points(rows: pd.DataFrame, cost: str) -> tuple[list[Point], str]:
    """Networks of these rows of standings whose cost and accuracy are known, and what the cost is."""
    table = rows[rows["role"] != "generation"]
    axis = COSTS[cost]
    if cost == "latency_ms" and "latency_setting" in table:
        settings = table.loc[column(table, cost).notna(), "latency_setting"].astype(str)
        if len(settings):  # times of other settings are no times of these
            usual = str(settings.mode().iloc[0])
            table, axis = table[table["latency_setting"].astype(str) == usual], f"{axis} ({usual})" if usual else axis
    return [p for p in _points(table, cost) if p.cost > 0 and not math.isnan(p.accuracy)], axis


def _points(table: pd.DataFrame, cost: str) -> list[Point]:
    families = table["family"].where(table["role"] == "student", table["role"])
    found = zip(table["label"], families, column(table, cost), column(table, "test_accuracy"), strict=True)
    return [Point(str(label), str(family), float(c), float(a)) for label, family, c, a in found]


def pareto(found: Sequence[Point]) -> list[Point]:
    """Those that none beats in both, the cheapest first; of equals the first."""
    front: list[Point] = []
    for point in sorted(found, key=lambda p: (p.cost, -p.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def tradeoff(found: Sequence[Point], axis: str) -> Figure:
    """Accuracy against cost; each network has its label in a column at the side, so that those that coincide can be read."""
    front = pareto(found)
    logs = np.log10([p.cost for p in found])
    low, high = float(logs.min()), float(logs.max())
    span = max(high - low, 0.3)
    left = [p for p in found if high > low and np.log10(p.cost) < (low + high) / 2]
    right = [p for p in found if p not in left]
    families = list(dict.fromkeys(p.family for p in found))
    lines = max(len(left), len(right))
    rooms = _room(left), _room(right)
    width, height = max(5.8, sum(rooms) + 2.7), max(2.6, LINE * (lines + 2))
    figure = canvas(width, height + 0.75 + 0.2 * math.ceil((len(families) + 1) / 4))
    axes = figure.add_subplot()
    inner = width - 0.7
    margins = [room / inner for room in rooms]
    scale = span / (1 - sum(margins) - 0.04)
    start = (low + high - span) / 2 - (margins[0] + 0.02) * scale
    axes.set_xscale("log")
    axes.set_xlim(10**start, 10 ** (start + scale))
    accuracies = [100 * p.accuracy for p in found]
    pad = 0.06 * max(max(accuracies) - min(accuracies), 0.5)
    bottom, top = min(accuracies) - pad, max(accuracies) + pad
    axes.set_ylim(bottom, top)

    def place(p: Point) -> tuple[float, float]:
        return (math.log10(p.cost) - start) / scale, (100 * p.accuracy - bottom) / (top - bottom)

    for side, edge, align in ((left, margins[0] - 0.3 / inner, "right"), (right, 1 - margins[1] + 0.3 / inner, "left")):
        _labels(axes, [(p, place(p)) for p in side], edge, align, LINE / height, front)
    looks = {**colours([f for f in families if f not in ("teacher", "assistant")]), "teacher": OTHER, "assistant": (MUTED, "d")}
    for family in families:
        own = [p for p in found if p.family == family]
        colour, marker = looks[family]
        size = 80 if marker == "*" else 32
        xs, ys = [p.cost for p in own], [100 * p.accuracy for p in own]
        axes.scatter(xs, ys, size, colour, marker=marker, edgecolors=INK, linewidths=0.6, zorder=4, label=short(family))
    axes.step(
        [p.cost for p in front],
        [100 * p.accuracy for p in front],
        where="post",
        color=INK,
        linewidth=1,
        linestyle="--",
        zorder=2,
        label="Pareto front",
    )
    _ticks(axes, low, high, span, inner / scale)
    axes.set_xlabel(axis)
    axes.set_ylabel("mean test accuracy, %")
    figure.legend(loc="outside upper left", ncols=4, fontsize=8, handletextpad=0.3, columnspacing=1.0, borderpad=0)
    return figure


def sentence(found: Sequence[Point], axis: str) -> str:
    """What the figure says."""
    front = "; ".join(
        f"{short(p.label)} ({percent(p.accuracy)} %, {quantity(p.cost) if p.cost >= 1000 else f'{p.cost:.3g}'})"
        for p in pareto(found)
    )
    return f"Test accuracy of {len(found)} networks against {axis}, on a logarithmic scale. On the Pareto front: {front}."


def _text(p: Point) -> str:
    return f"{short(p.label)}  {percent(p.accuracy)}"


def _room(side: Sequence[Point]) -> float:
    """Inches for a column of labels and their leader lines."""
    return max(len(_text(p)) for p in side) * LETTER + 0.42 if side else 0.25


def _labels(
    axes: Axes, side: Sequence[tuple[Point, tuple[float, float]]], edge: float, align: str, gap: float, front: Sequence[Point]
) -> None:
    """A column of labels as near to their points' heights as their own height allows, with lines to the points."""
    ordered = sorted(side, key=lambda item: item[1][1])
    for (point, (x, y)), height in zip(ordered, spread([xy[1] for _, xy in ordered], gap), strict=True):
        away = 0.012 if align == "left" else -0.012
        axes.plot(
            [x, edge - 2 * away, edge - away / 2],
            [y, height, height],
            transform=axes.transAxes,
            color=MUTED,
            linewidth=0.5,
            zorder=1,
        )
        weight = "bold" if point in front else "normal"
        axes.text(edge, height, _text(point), transform=axes.transAxes, ha=align, va="center", fontsize=8, fontweight=weight)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """The nearest heights in [0, 1] (least squares) that lie ``gap`` apart.

    Args:
        heights: ascending.
        gap: at least this much between neighbours.
    """
    if not heights:
        return []
    steps = gap * np.arange(len(heights))
    free = isotonic_regression(np.asarray(heights) - steps).x
    return [float(v) for v in np.clip(free, gap / 2, max(1 - gap / 2 - steps[-1], gap / 2)) + steps]


def _ticks(axes: Axes, low: float, high: float, span: float, decade: float) -> None:
    """Ticks where there are points, and not under the labels; ``decade`` is a decade's width, inches."""
    step = (1.0, 2.0, 5.0) if decade > 1.5 else (1.0, 3.0) if decade > 1.0 else (1.0,)
    every = max(1, math.ceil(0.5 / decade))
    nice = [s * 10.0**e for e in range(math.floor(low) - 1, math.ceil(high) + 1) if e % every == 0 for s in step]
    inside = [t for t in nice if low - 0.1 * span <= math.log10(t) <= high + 0.1 * span]
    ends = [10**low, 10**high] if high - low > 0.15 * span else [10**low]
    axes.xaxis.set_major_locator(FixedLocator(inside if len(inside) > 1 else ends))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: quantity(v) if v >= 1000 else f"{v:.3g}"))
