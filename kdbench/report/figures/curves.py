"""Training curves, a panel per method, each with the student trained alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from kdbench.analysis.boards import Board
from kdbench.analysis.epochs import LOSS, Curve
from kdbench.plan.trial import TaskInfo
from kdbench.report.figures.style import INK, MUTED, Look, log_ticks, multiples
from kdbench.report.text import short

COLUMNS = 4


@dataclass(frozen=True)
class CurveAxis:
    """The y axis of training curves.

    Args:
        name: its name in a title: ``accuracy``.
        noun: its name in a sentence: ``accuracy``.
        label: label of the axis, with its unit.
        percent: whether it is a share in percent.
        lower_is_better: whether the curves fall as networks improve.
        logarithmic: whether its scale is logarithmic.
    """

    name: str
    noun: str
    label: str
    percent: bool = False
    lower_is_better: bool = False
    logarithmic: bool = False

    @property
    def scale(self) -> int:
        """Factor that values are multiplied by."""
        return 100 if self.percent else 1


def axis_of(quantity: str, task: TaskInfo) -> CurveAxis:
    """Return the axis of a metric of the task, or of the loss."""
    info = task.metrics.get(quantity)
    if info is None:
        return CurveAxis(LOSS, "cross-entropy", "cross-entropy, nats", lower_is_better=True, logarithmic=True)
    label = f"{info.label}{', %' if info.percent else ''}"
    return CurveAxis(info.label, info.label, label, info.percent, not info.higher_is_better)


def curve_figure(found: Sequence[Curve], axis: CurveAxis, looks: Mapping[str, Look]) -> Figure:
    """Draw a panel per method: means over seeds, and bands from lowest to highest.

    Args:
        found: the curves.
        axis: the y axis.
        looks: method → colour and mark of its family.
    """
    figure, panels = multiples(len(found), COLUMNS, top=0.25)
    alone = next((c for c in found if c.alone), None)
    for axes, curve in zip(panels, found, strict=True):
        _panel(axes, curve, alone, axis.scale, looks[curve.label].colour)
    if axis.logarithmic:
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_locator(FixedLocator(log_ticks(*limits(found, axis))))
        panels[0].yaxis.set_minor_locator(NullLocator())
        panels[0].yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    panels[0].set_ylim(*limits(found, axis))
    panels[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("epoch", fontsize=8.5, y=0.01, va="bottom")
    figure.supylabel(axis.label, fontsize=8.5, x=0.01, ha="left")
    figure.legend(handles=_legend(alone), loc="upper left", ncols=4, fontsize=8, borderpad=0, columnspacing=1.2)
    return figure


def limits(found: Sequence[Curve], axis: CurveAxis) -> tuple[float, float]:
    """Return the range in which curves differ.

    The first epochs may lie outside, because they would flatten the rest.
    """
    values = axis.scale * np.concatenate([_means(c) for c in found])
    values = values[np.isfinite(values)]
    if axis.logarithmic:
        positive = values[values > 0]
        if not len(positive):
            return 1e-3, 1.0
        return float(positive.min()) / 1.15, float(np.quantile(positive, 0.95)) * 1.15
    if axis.lower_is_better:
        low, high = float(values.min()), float(np.quantile(values, 0.9))
    else:
        low, high = float(np.quantile(values, 0.1)), float(values.max())
    pad = 0.08 * max(high - low, 0.5)
    return (max(low - pad, 0.0), min(high + pad, 100.5)) if axis.percent else (low - pad, high + pad)


def curve_sentence(board: Board, found: Sequence[Curve], axis: CurveAxis) -> str:
    """Describe the figure in a sentence."""
    names = ", ".join(short(c.label) for c in found)
    last = found[0].table.index.max()
    return (
        f"{axis.noun[:1].upper()}{axis.noun[1:]} on the validation and the test set over {last:g} epochs, for the pair "
        f"{short(board.name)}, a panel a method: {names}. "
        "Lines are means over seeds, bands go from the lowest to the highest seed."
    )


def _means(curve: Curve) -> np.ndarray:
    return curve.table.xs("mean", axis=1, level=1).to_numpy().flatten()


def _panel(axes: Axes, curve: Curve, alone: Curve | None, scale: int, colour: str) -> None:
    if alone is not None and curve is not alone:
        for split, dash in (("validation", "-"), ("test", "--")):
            if split in alone.table:
                axes.plot(alone.table.index, scale * alone.table[split]["mean"], dash, color=MUTED, linewidth=1.0, zorder=2)
    for split, dash in (("validation", "-"), ("test", "--")):
        if split in curve.table:
            part = scale * curve.table[split]
            axes.fill_between(part.index, part["min"], part["max"], color=colour, alpha=0.18, linewidth=0, zorder=1)
            marker = "." if len(part) == 1 else ""
            axes.plot(part.index, part["mean"], dash, marker=marker, color=colour, linewidth=1.3, zorder=3)
    axes.set_title(short(curve.label, 22), loc="left", fontsize=8.5, pad=3)


def _legend(alone: Curve | None) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, label="validation"),
        Line2D([], [], color=INK, linestyle="--", label="test"),
        Patch(facecolor=MUTED, alpha=0.35, label="lowest to highest seed"),
    ]
    return handles if alone is None else [*handles, Line2D([], [], color=MUTED, label=short(alone.label, 16))]
