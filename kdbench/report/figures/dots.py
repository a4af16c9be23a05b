"""Dot plots: a mark and an interval for each method, an arrow where it is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kdbench.report.figures.style import INK, MUTED, Look, canvas
from kdbench.report.text import short

STYLES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
"""Of the upright lines, in order."""
LABEL = 44
"""Most letters of a method's name."""
LETTER = 0.066
"""Mean width of a letter of a label, inches."""
PLOT = 3.6
"""Width of the part right of the labels, inches."""


@dataclass(frozen=True)
class Dot:
    """A line of a dot plot.

    Args:
        label: name of the method.
        family: its family.
        value: what the mark shows.
        low: lower end of the interval; NaN without one.
        high: its upper end.
        seeds: single values, shown as small dots.
    """

    label: str
    family: str
    value: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()


def dot_plot(dots: Sequence[Dot], looks: Mapping[str, Look], xlabel: str, lines: Mapping[str, float]) -> Figure:
    """Draw a mark with its interval for each line, the first on top.

    Args:
        dots: the lines.
        looks: family → colour and mark.
        xlabel: name of the axis.
        lines: values that all are compared with, and their names; "" for none. They are upright lines, or,
            if far from all others, only named, with an arrow.
    """
    names = [short(dot.label, LABEL) for dot in dots]
    families = list(dict.fromkeys(dot.family for dot in dots))
    named = [name for name in lines if name]
    longest = max([0, *(len(short(name, LABEL)) for name in (*named, *families))])
    width = PLOT + 0.25 + LETTER * max(map(len, names), default=0)
    across = max(1, int(width // (0.45 + LETTER * longest)))
    rows = -(-(len(families) + len(named)) // across)
    figure = canvas(max(width, 4.8), 0.2 * len(names) + 0.72 + 0.18 * rows)
    axes = figure.add_subplot()
    low, high = _window(dots, [0.0] if "" in lines else [])
    axes.set_xlim(low, high)
    handles: list[Artist] = []
    for (name, value), style in zip(lines.items(), STYLES, strict=False):
        if low <= value <= high:
            axes.axvline(value, color=INK, linewidth=1, linestyle=style, zorder=1)
        if name:
            arrow = "" if low <= value <= high else " →" if value > high else " ←"
            handles.append(Line2D([], [], color=INK, linewidth=1, linestyle=style, label=short(name, LABEL) + arrow))
    for i, dot in enumerate(dots):
        _interval(axes, i, dot, low, high)
        look = looks[dot.family]
        inside = [v for v in dot.seeds if low <= v <= high]
        axes.scatter(inside, [i] * len(inside), 9, look.colour, alpha=0.55, linewidths=0, zorder=2)
        axes.scatter([dot.value], [i], 30, look.colour, marker=look.marker, edgecolors=INK, linewidths=0.6, zorder=3)
    handles += [_sample(axes, looks[family], family) for family in families]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=across, fontsize=8, handletextpad=0.4, columnspacing=1.0, borderpad=0
    )
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(xlabel)
    return figure


def _interval(axes: Axes, i: int, dot: Dot, low: float, high: float) -> None:
    """Draw an interval as far as the picture goes, with an arrow where it goes on."""
    if np.isnan(dot.low):
        return
    left, right = max(dot.low, low), min(dot.high, high)
    axes.plot([left, right], [i, i], color=MUTED, linewidth=1.8, solid_capstyle="butt", zorder=1.5)
    for at, end, arrow in ((low, dot.low, "<"), (high, dot.high, ">")):
        if (end < low) if arrow == "<" else (end > high):
            axes.plot([at], [i], arrow, color=MUTED, markersize=5, clip_on=False, zorder=1.5)


def _sample(axes: Axes, look: Look, family: str) -> PathCollection:
    return axes.scatter([], [], 30, look.colour, marker=look.marker, edgecolors=INK, linewidths=0.6, label=short(family))


def _window(dots: Sequence[Dot], lines: Sequence[float]) -> tuple[float, float]:
    """Return a range with all means; with intervals unless they flatten the rest."""
    values = np.array([*(dot.value for dot in dots), *lines], dtype=float)
    span = max(float(np.ptp(values)), 0.2)
    ends = np.array([end for dot in dots for end in (dot.low, dot.high, *dot.seeds) if not np.isnan(end)], dtype=float)
    low, high = float(values.min()), float(values.max())
    return (
        max(float(ends.min(initial=low)), low - span) - 0.05 * span,
        min(float(ends.max(initial=high)), high + span) + 0.05 * span,
    )
