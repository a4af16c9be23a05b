"""Confusion matrices and reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from kdbench.analysis.boards import Predictions
from kdbench.analysis.classes import Calibration, Confusion
from kdbench.measure.accuracy import CALIBRATION_BINS
from kdbench.report.figures.style import INK, PALETTE, canvas, cells
from kdbench.report.text import short
from kdbench.report.wording import Wording

UNBIASED = "about as sure as it is right"
WRITTEN = 20
"""Most classes for which cells show their counts."""


def confusion_figure(found: Confusion, classes: Sequence[str]) -> Figure:
    """Draw shares of the true class as colours, counts as text; means over seeds."""
    written = len(classes) <= WRITTEN
    side = min(0.31 * len(classes), 5.0) if written else 4.6
    names = [short(name, 12) for name in classes]
    longest = max(len(name) for name in names) * 0.07
    figure = canvas(max(side, 1.8) + 1.3 + longest, max(side, 1.8) + 0.7 + (longest if longest > 0.3 else 0.1))
    axes = figure.add_subplot()
    norm = PowerNorm(0.4, 0, 100)  # makes a confusion of one in a hundred visible
    texts = [[count(v) for v in row] for row in found.counts] if written else None
    mesh = cells(axes, 100 * found.shares, texts, norm=norm)
    step = 1 if written else -(-len(classes) // 20)
    at = list(range(0, len(classes), step))
    axes.set_xticks(at, [names[i] for i in at], rotation=90 if longest > 0.3 else 0)
    axes.set_yticks(at, [names[i] for i in at])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.colorbar(mesh, ax=axes, ticks=[0, 1, 5, 20, 50, 100], shrink=0.9).set_label("share of the true class, %")  # type: ignore[arg-type]
    return figure


def confusion_sentence(of: Predictions, found: Confusion, classes: Sequence[str], words: Wording) -> str:
    """Describe the matrix in a sentence."""
    text = (
        f"Confusion matrix of {short(of.label)} ({words.reason(of.reason)}), mean of {_seeds(of)}: rows are true classes, "
        "columns predicted ones."
    )
    if not found.worst:
        return f"{text} Nothing is confused."
    listed = "; ".join(
        f"{short(classes[i], 16)} taken for {short(classes[j], 16)}, {count(found.counts[i, j])}" for i, j in found.worst
    )
    return f"{text} Confused most often, in test samples: {listed}."


def reliability_figure(found: Calibration, words: Wording) -> Figure:
    """Draw the share that is right by confidence, and the number of predictions."""
    bins, right = found.bins, words.share_right
    figure = canvas(3.5, 3.9)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    width = 100 / CALIBRATION_BINS
    low, shares, confidence = 100 * bins["low"], 100 * bins["accuracy"], 100 * bins["confidence"]
    known = bins["count"] > 0
    upper.plot([0, 100], [0, 100], color=INK, linestyle="--", linewidth=1, zorder=3)
    upper.bar(
        low[known],
        shares[known],
        width,
        align="edge",
        color=PALETTE[5],
        edgecolor=PALETTE[0],
        linewidth=0.8,
        label=right,
    )
    upper.bar(
        low[known],
        (confidence - shares)[known],
        width,
        shares[known],
        align="edge",
        color="none",
        edgecolor=PALETTE[1],
        hatch="////",
        linewidth=0.8,
        label="gap to confidence",
    )
    upper.set(xlim=(0, 100), ylim=(0, 100), ylabel=f"{right}, %")
    upper.set_title(f"ECE {100 * found.error:.2f} %", loc="left")
    figure.legend(loc="outside upper left", ncols=2, fontsize=8, borderpad=0)
    lower.bar(
        low, 100 * bins["count"] / bins["count"].sum(), width, align="edge", color=PALETTE[0], edgecolor=INK, linewidth=0.4
    )
    lower.set(ylim=(0, 100), xlabel="confidence, %", ylabel="samples, %")
    return figure


def reliability_sentence(of: Predictions, found: Calibration, words: Wording) -> str:
    """Describe the diagram in a sentence."""
    tends = "too sure" if found.excess > 0.005 else "not sure enough" if found.excess < -0.005 else UNBIASED
    return (
        f"Reliability of {short(of.label)} ({words.reason(of.reason)}) in {CALIBRATION_BINS} bins, over {_seeds(of)}: "
        f"expected calibration error {100 * found.error:.2f} %; on the whole it is {tends}."
    )


def count(value: float) -> str:
    """Format a mean count; nothing for 0."""
    return "" if value == 0 else f"{value:.0f}" if value >= 9.95 or value == round(value) else f"{value:.1f}"


def _seeds(of: Predictions) -> str:
    n = len(of.trials)
    return "1 seed" if n == 1 else f"{n} seeds"
