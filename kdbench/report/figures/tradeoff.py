"""Plot of the primary metric against a network's cost, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.optimize import isotonic_regression

from kdbench.analysis.tradeoff import Point, Tradeoff
from kdbench.errors import flat
from kdbench.report.figures.style import INK, MUTED, Look, canvas, log_ticks
from kdbench.report.text import quantity, short
from kdbench.report.wording import Wording

AXES = {
    "parameters": "parameters",
    "macs": "multiply-accumulates (MACs) per sample",
    "size_mb": "size of the weights, MB (10⁶ bytes)",
    "latency_ms": "latency, ms",
}
LINE = 0.165
"""Height of a label, inches."""
LETTER = 0.069
"""Width of a letter of a label, inches; a little more than the mean."""
LABEL = 44
"""Most letters of a network's name."""
Label = tuple[Point, tuple[float, float], str, bool]
"""A network, its position on the axes, its text, and whether it is on the front."""


def axis_label(of: Tradeoff) -> str:
    """Return an axis label: the cost, its unit, and how it was measured."""
    return f"{AXES[of.cost]} ({flat(of.setting)})" if of.setting else AXES[of.cost]


def tradeoff_figure(of: Tradeoff, looks: Mapping[str, Look], words: Wording) -> Figure:
    """Draw the metric against cost.

    Labels are in columns at the sides, so that those of coinciding networks can be read. An unstable
    latency has a bar of its interquartile range.

    Args:
        of: the networks.
        looks: family → colour and mark.
        words: words of the task.
    """
    found, front, scaled = of.points, of.front, words.scale
    logs = np.log10([p.cost for p in found])
    low, high = float(logs.min()), float(logs.max())
    span = max(high - low, 0.3)
    left = [p for p in found if high > low and np.log10(p.cost) < (low + high) / 2]
    right = [p for p in found if p not in left]
    families = list(dict.fromkeys(p.family for p in found))
    lines = max(len(left), len(right))
    rooms = _room(left, words), _room(right, words)
    width, height = max(5.8, sum(rooms) + 3.3), max(2.6, LINE * (lines + 2))
    figure = canvas(width, height + 0.75 + 0.2 * math.ceil((len(families) + 1) / 4))
    axes = figure.add_subplot()
    inner = width - 0.7
    margins = [room / inner for room in rooms]
    scale = span / (1 - sum(margins) - 0.04)
    start = (low + high - span) / 2 - (margins[0] + 0.02) * scale
    axes.set_xscale("log")
    axes.set_xlim(10**start, 10 ** (start + scale))
    values = [scaled * p.value for p in found]
    pad = 0.06 * max(max(values) - min(values), 0.5)
    bottom, top = min(values) - pad, max(values) + pad
    axes.set_ylim(bottom, top)

    def position(p: Point) -> tuple[float, float]:
        return (math.log10(p.cost) - start) / scale, (scaled * p.value - bottom) / (top - bottom)

    for side, edge, align in ((left, margins[0] - 0.3 / inner, "right"), (right, 1 - margins[1] + 0.3 / inner, "left")):
        labels = [(p, position(p), _text(p, words), p in front) for p in side]
        _labels(axes, labels, edge, align, LINE / height)
    for family in families:
        own = [p for p in found if p.family == family]
        colour, marker = looks[family]
        size = 80 if marker == "*" else 32
        xs, ys = [p.cost for p in own], [scaled * p.value for p in own]
        axes.scatter(xs, ys, size, colour, marker=marker, edgecolors=INK, linewidths=0.6, zorder=4, label=short(family))
        for p, y in zip(own, ys, strict=True):
            if p.spread:
                axes.plot(
                    [max(p.cost - p.spread, p.cost / 10), p.cost + p.spread], [y, y], color=MUTED, linewidth=1.8, zorder=3
                )
    axes.step(
        [p.cost for p in front],
        [scaled * p.value for p in front],
        where="post",
        color=INK,
        linewidth=1,
        linestyle="--",
        zorder=2,
        label="Pareto front",
    )
    _ticks(axes, low - 0.1 * span, high + 0.1 * span, 1.2 * span * inner / scale)
    axes.set_xlabel(axis_label(of))
    axes.set_ylabel(f"mean test {words.metric}{words.axis_unit}")
    figure.legend(loc="outside upper left", ncols=4, fontsize=8, handletextpad=0.3, columnspacing=1.0, borderpad=0)
    return figure


def tradeoff_sentence(of: Tradeoff, words: Wording) -> str:
    """Describe the figure in a sentence."""
    front = "; ".join(
        f"{short(p.label)} ({words.value(p.value)}{words.percent_sign}, "
        f"{quantity(p.cost) if p.cost >= 1000 else f'{p.cost:.3g}'})"
        for p in of.front
    )
    return (
        f"Test {words.metric} of {len(of.points)} networks against {axis_label(of)}, on a logarithmic scale. "
        f"On the Pareto front: {front}."
    )


def _text(p: Point, words: Wording) -> str:
    return f"{short(p.label, LABEL)}  {words.value(p.value)}"


def _room(side: Sequence[Point], words: Wording) -> float:
    """Return the width of a column of labels and their leader lines, inches."""
    return max(len(_text(p, words)) for p in side) * LETTER + 0.42 if side else 0.25


def _labels(axes: Axes, side: Sequence[Label], edge: float, align: str, gap: float) -> None:
    """Draw a column of labels near the heights of their points, with leader lines."""
    ordered = sorted(side, key=lambda item: item[1][1])
    heights = spread([xy[1] for _, xy, _, _ in ordered], gap)
    for (_, (x, y), text, leads), height in zip(ordered, heights, strict=True):
        away = 0.012 if align == "left" else -0.012
        axes.plot(
            [x, edge - 2 * away, edge - away / 2],
            [y, height, height],
            transform=axes.transAxes,
            color=MUTED,
            linewidth=0.5,
            zorder=1,
        )
        weight = "bold" if leads else "normal"
        axes.text(edge, height, text, transform=axes.transAxes, ha=align, va="center", fontsize=8, fontweight=weight)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return the nearest heights in [0, 1] (least squares) that are ``gap`` apart.

    Args:
        heights: ascending heights.
        gap: at least this much between neighbours.
    """
    if not heights:
        return []
    steps = gap * np.arange(len(heights))
    free = isotonic_regression(np.asarray(heights) - steps).x
    return [float(v) for v in np.clip(free, gap / 2, max(1 - gap / 2 - steps[-1], gap / 2)) + steps]


def _ticks(axes: Axes, low: float, high: float, room: float) -> None:
    """Put round numbers below the points.

    Args:
        axes: the axes.
        low: lowest value, log10.
        high: highest value, log10.
        room: width between the two, inches.
    """
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(10**low, 10**high, most=max(2, int(room / 0.45)))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: quantity(v) if v >= 1000 else f"{v:.3g}"))
