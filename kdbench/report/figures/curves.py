"""Training curves: a small panel a method, each against the student trained alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from kdbench.report.figures.boards import Board
from kdbench.report.figures.style import MUTED, PALETTE, multiples, short

COLUMNS = 4
VALIDATION, TEST = PALETTE[0], PALETTE[1]
ACCURACY, LOSS = "accuracy", "loss"
AXES = {ACCURACY: "accuracy, %", LOSS: "cross-entropy, nats"}


@dataclass(frozen=True)
class Curve:
    """The curves of a method's seeds.

    Args:
        label: of the method.
        alone: whether it is the student trained alone.
        table: a row an epoch: ``validation`` and ``test``, each as mean, min and max over seeds.
    """

    label: str
    alone: bool
    table: pd.DataFrame


def curves(board: Board, what: str) -> list[Curve]:
    """The curves of a board's students, best first.

    Args:
        board: a pair.
        what: ``accuracy`` (in percent) or ``loss``.
    """
    found = []
    for label, trials in board.students()[["label", "trials"]].itertuples(index=False):
        histories = [h for t in str(trials).split() if (h := board.frame.evidence.histories.get(t)) is not None and len(h)]
        names = {f"{split}_{what}": split for split in ("validation", "test")}
        parts = [h[["epoch", *(n for n in names if n in h)]].rename(columns=names) for h in histories if "epoch" in h]
        if not parts or not any(set(names.values()) & set(p.columns) for p in parts):
            continue
        joined = pd.concat(parts).set_index("epoch").astype(float) * (100 if what == ACCURACY else 1)
        table = joined.groupby(level="epoch").agg(["mean", "min", "max"])
        if table.notna().to_numpy().any():
            found.append(Curve(str(label), label == board.baseline(), table))
    return found


def curve_figure(found: Sequence[Curve], what: str) -> Figure:
    """Mean over seeds and the band from the lowest to the highest, on validation and test set, a panel a method."""
    figure, panels = multiples(len(found), COLUMNS, top=0.25)
    alone = next((c for c in found if c.alone), None)
    for axes, curve in zip(panels, found, strict=True):
        _panel(axes, curve, alone)
    if what == LOSS:
        panels[0].set_yscale("log")
        panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels[0].yaxis.set_minor_locator(NullLocator())
        panels[0].yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    panels[0].set_ylim(*limits(found, what))
    panels[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("epoch", fontsize=8.5, y=0.01, va="bottom")
    figure.supylabel(AXES[what], fontsize=8.5, x=0.01, ha="left")
    figure.legend(handles=_legend(alone), loc="upper left", ncols=4, fontsize=8, borderpad=0, columnspacing=1.2)
    return figure


def limits(found: Sequence[Curve], what: str) -> tuple[float, float]:
    """The range in which curves differ; the first epochs may lie outside, for they would flatten all the rest."""
    values = np.concatenate([_means(c) for c in found])
    values = values[np.isfinite(values)]
    if what == ACCURACY:
        low, high = float(np.quantile(values, 0.1)), float(values.max())
        pad = 0.08 * max(high - low, 0.5)
        return max(low - pad, 0.0), min(high + pad, 100.5)
    positive = values[values > 0]
    if not len(positive):
        return 1e-3, 1.0
    return float(positive.min()) / 1.15, float(np.quantile(positive, 0.95)) * 1.15


def sentence(board: Board, found: Sequence[Curve], what: str) -> str:
    """What the figure says."""
    names = ", ".join(short(c.label) for c in found)
    noun = "Accuracy" if what == ACCURACY else "Cross-entropy"
    last = found[0].table.index.max()
    return (
        f"{noun} on the validation and the test set over {last:g} epochs, for the pair {short(board.name)}, a panel a method: {names}. "
        "Lines are means over seeds, bands go from the lowest to the highest seed."
    )


def _means(curve: Curve) -> np.ndarray:
    return curve.table.xs("mean", axis=1, level=1).to_numpy().flatten()


def _panel(axes: Axes, curve: Curve, alone: Curve | None) -> None:
    if alone is not None and curve is not alone:
        for split, dash in (("validation", "-"), ("test", "--")):
            if split in alone.table:
                axes.plot(alone.table.index, alone.table[split]["mean"], dash, color=MUTED, linewidth=1.0, zorder=2)
    for split, dash, colour in (("validation", "-", VALIDATION), ("test", "--", TEST)):
        if split in curve.table:
            part = curve.table[split]
            axes.fill_between(part.index, part["min"], part["max"], color=colour, alpha=0.22, linewidth=0, zorder=1)
            marker = "." if len(part) == 1 else ""
            axes.plot(part.index, part["mean"], dash, marker=marker, color=colour, linewidth=1.3, zorder=3)
    axes.set_title(short(curve.label, 22), loc="left", fontsize=8.5, pad=3)


def _legend(alone: Curve | None) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=VALIDATION, label="validation"),
        Line2D([], [], color=TEST, linestyle="--", label="test"),
        Patch(facecolor=MUTED, alpha=0.35, label="lowest to highest seed"),
    ]
    return handles if alone is None else [*handles, Line2D([], [], color=MUTED, label=short(alone.label, 16))]
