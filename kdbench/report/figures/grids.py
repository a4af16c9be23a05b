"""Results of a hyper-parameter grid: a heat map of two, a line of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from kdbench.analysis.grids import Grid, Point
from kdbench.analysis.task import direction
from kdbench.errors import flat
from kdbench.report.figures.style import INK, MUTED, PALETTE, canvas, cells
from kdbench.report.text import short
from kdbench.report.wording import Wording


def grid_figure(grid: Grid, words: Wording) -> Figure:
    """Draw a heat map of two parameters, or a line of one."""
    return heat_map(grid, words) if grid.down else line_chart(grid, words)


def others_text(grid: Grid) -> str:
    """Return the values of the further parameters as text."""
    return ", ".join(f"{name} = {_show(value)}" for name, value in grid.others)


def heat_map(grid: Grid, words: Wording) -> Figure:
    """Draw the mean primary metric on the test set of two parameters' values.

    Below each mean is the difference from the student trained alone with its mark
    (:data:`kdbench.report.legend.GRID`), or, if that is unknown, the half-width of the mean's
    95 % t interval over seeds. Slices of a grid share their colours.
    """
    xs, ys = _axis(p[0] for p in grid.found), _axis(p[1] for p in grid.found)
    means = np.full((len(ys), len(xs)), np.nan)
    texts = [["" for _ in xs] for _ in ys]
    for (x, y), value in grid.found.items():
        i, j = ys.index(y), xs.index(x)
        means[i, j] = words.scale * value.mean
        texts[i][j] = cell(grid, (x, y), words)
    figure = canvas(0.62 * max(len(xs), 3) + 1.9, 0.48 * max(len(ys), 2) + 1.15)
    axes = figure.add_subplot()
    low, high = (words.scale * end for end in grid.scale)
    middle = max(high - low, 0.1) / 2
    mesh = cells(axes, means, texts, vmin=(low + high) / 2 - middle, vmax=(low + high) / 2 + middle)
    _named(axes, xs, ys, grid)
    if grid.differences:
        alone = f"{words.value(grid.alone)}{words.percent_sign}"
        axes.set_title(f"below: difference to the student alone, {alone}; each ± {words.plain(grid.half)} (95 %)", fontsize=7)
    bar = figure.colorbar(mesh, ax=axes)  # type: ignore[arg-type]
    bar.set_label(f"mean test {words.metric}{words.axis_unit}")
    if grid.chosen is not None:
        corner = xs.index(grid.chosen[0]) - 0.5, ys.index(grid.chosen[1]) - 0.5
        for colour, width in (("#ffffff", 4.0), (PALETTE[1], 2.2)):
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=colour, linewidth=width, clip_on=False, zorder=5))
    return figure


def line_chart(grid: Grid, words: Wording) -> Figure:
    """Draw the mean primary metric on the test set of one parameter's values.

    The student trained alone is a dashed line. Intervals are those of the differences from it, or, if
    these are unknown, the 95 % t intervals over seeds.
    """
    xs = _axis(p[0] for p in grid.found)
    values = [grid.found[x, ""] for x in xs]
    figure = canvas(max(0.55 * len(xs) + 1.2, 3.4), 2.6)
    axes = figure.add_subplot()
    at = np.arange(len(xs))
    means = words.scale * np.array([v.mean for v in values])
    bars = words.scale * np.array([[v.mean - v.low, v.high - v.mean] for v in values]).T
    if grid.differences:
        bars = np.full_like(bars, words.scale * grid.half)
        axes.axhline(words.scale * grid.alone, color=MUTED, linestyle="--", linewidth=1, label="student alone")
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
    axes.set_ylabel(f"mean test {words.metric}{words.axis_unit}")
    return figure


def cell(grid: Grid, point: Point, words: Wording) -> str:
    """Format a mean, and below it its difference from the student alone or interval."""
    value = grid.found[point]
    if not value.count:
        return "–"
    mean = words.value(value.mean)
    if grid.differences:
        mark = "†" if point in grid.significant else ""
        return mean + (f"\n{words.difference(grid.differences[point])}{mark}" if point in grid.differences else "")
    return mean + ("" if np.isnan(value.low) else f"\n±{words.plain((value.high - value.low) / 2)}")


def grid_sentence(grid: Grid, words: Wording) -> str:
    """Describe the figure in a sentence."""
    known = [v.mean for v in grid.found.values() if v.count]
    names = short(grid.across) + (f" and {short(grid.down)}" if grid.down else "")
    with_others = f", with {flat(others_text(grid))}" if grid.others else ""
    text = f"Mean test {words.metric} of {short(grid.label)} for {len(grid.found)} values of {names}{with_others}"
    if known:
        text += f", from {words.value(min(known))} to {words.value(max(known))}{words.percent_sign}"
    if grid.differences:
        better = sum(direction(words.task) * grid.differences[p] > 0 for p in grid.significant)
        text += (
            f"; the student alone has {words.value(grid.alone)}{words.percent_sign}, differences to it are known to "
            f"± {words.plain(grid.half)}{words.points} (95 %): {better} significantly better and "
            f"{len(grid.significant) - better} significantly worse"
        )
    if grid.chosen is None:
        return f"{text}."
    at = ", ".join(f"{short(n)} = {_show(v)}" for n, v in ((grid.across, grid.chosen[0]), (grid.down, grid.chosen[1])) if n)
    return f"{text}; chosen on the validation set, and framed: {at}."


def _named(axes: Axes, xs: Sequence[Any], ys: Sequence[Any], grid: Grid) -> None:
    axes.set_xticks(range(len(xs)), [_show(x) for x in xs])
    axes.set_yticks(range(len(ys)), [_show(y) for y in ys])
    axes.tick_params(length=0)
    axes.set_xlabel(short(grid.across), color=INK)
    axes.set_ylabel(short(grid.down), color=INK)
    axes.spines[:].set_visible(False)


def _axis(values: Any) -> list[Any]:
    """Return the distinct values, numbers in order and others as they come."""
    found = list(dict.fromkeys(values))
    return sorted(found) if all(isinstance(v, (int, float)) for v in found) else found


def _show(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else short(str(value), 12)
