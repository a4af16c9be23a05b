"""Confusion matrices and reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from kdbench.measure.accuracy import CALIBRATION_BINS, confusion, reliability
from kdbench.report.figures.boards import Network
from kdbench.report.figures.style import INK, PALETTE, canvas, cells, short

WRITTEN = 20
"""Up to this many classes the cells hold their counts."""


def mean_confusion(network: Network, classes: int) -> np.ndarray:
    """Counts C×C, mean over seeds: true class by row, predicted class by column."""
    return np.asarray(np.mean([confusion(network.targets, predicted, classes) for predicted in network.predicted], axis=0))


def confusion_figure(network: Network, classes: Sequence[str]) -> Figure:
    """Colour is the share of the true class, the text the count of test samples, both means over seeds."""
    counts = mean_confusion(network, len(classes))
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    written = len(classes) <= WRITTEN
    side = min(0.31 * len(classes), 5.0) if written else 4.6
    names = [short(name, 12) for name in classes]
    longest = max(len(name) for name in names) * 0.07
    figure = canvas(max(side, 1.8) + 1.3 + longest, max(side, 1.8) + 0.7 + (longest if longest > 0.3 else 0.1))
    axes = figure.add_subplot()
    norm = PowerNorm(0.4, 0, 100)  # or a confusion of one in a hundred would look like none
    mesh = cells(axes, shares, [[count(v) for v in row] for row in counts] if written else None, norm=norm)
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


def confusion_sentence(network: Network, classes: Sequence[str]) -> str:
    """What the matrix says."""
    counts = mean_confusion(network, len(classes))
    wrong = counts - np.diag(np.diag(counts))
    said = (
        f"Confusion matrix of {short(network.label)} ({network.what}), mean of {_seeds(network)}: rows are true classes, "
        "columns predicted ones."
    )
    if not wrong.any():
        return f"{said} Nothing is confused."
    worst = np.argsort(-wrong, axis=None, kind="stable")[:3]
    pairs = [(i // len(classes), i % len(classes)) for i in worst if wrong.flat[i]]
    listed = "; ".join(f"{short(classes[i], 16)} taken for {short(classes[j], 16)}, {count(wrong[i, j])}" for i, j in pairs)
    return f"{said} Confused most often, in test samples: {listed}."


def calibration(network: Network) -> tuple[dict[str, np.ndarray], float]:
    """Bins over the samples of all seeds, and the expected calibration error (from the bins, if it is not known from logits)."""
    correct = network.predicted == network.targets
    bins = reliability(network.confidences.flatten(), correct.flatten(), CALIBRATION_BINS)
    if not np.isnan(network.ece):
        return bins, network.ece
    gaps = np.nan_to_num(np.abs(bins["accuracy"] - bins["confidence"]))
    return bins, float((gaps * bins["count"]).sum() / bins["count"].sum())


def reliability_figure(network: Network) -> Figure:
    """Accuracy of the samples by their confidence, and below, how many there are."""
    bins, error = calibration(network)
    figure = canvas(3.5, 3.9)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    width = 100 / CALIBRATION_BINS
    low, accuracy, confidence = 100 * bins["low"], 100 * bins["accuracy"], 100 * bins["confidence"]
    known = bins["count"] > 0
    upper.plot([0, 100], [0, 100], color=INK, linestyle="--", linewidth=1, zorder=3)
    upper.bar(
        low[known],
        accuracy[known],
        width,
        align="edge",
        color=PALETTE[5],
        edgecolor=PALETTE[0],
        linewidth=0.8,
        label="accuracy",
    )
    upper.bar(
        low[known],
        (confidence - accuracy)[known],
        width,
        accuracy[known],
        align="edge",
        color="none",
        edgecolor=PALETTE[1],
        hatch="////",
        linewidth=0.8,
        label="gap to confidence",
    )
    upper.set(xlim=(0, 100), ylim=(0, 100), ylabel="accuracy, %")
    upper.set_title(f"ECE {100 * error:.2f} %", loc="left")
    figure.legend(loc="outside upper left", ncols=2, fontsize=8, borderpad=0)
    lower.bar(
        low, 100 * bins["count"] / bins["count"].sum(), width, align="edge", color=PALETTE[0], edgecolor=INK, linewidth=0.4
    )
    lower.set(ylim=(0, 100), xlabel="confidence, %", ylabel="samples, %")
    return figure


def reliability_sentence(network: Network) -> str:
    """What the diagram says."""
    _, error = calibration(network)
    mean = float(network.confidences.mean() - (network.predicted == network.targets).mean())
    tends = "too sure" if mean > 0.005 else "not sure enough" if mean < -0.005 else "about as sure as it is right"
    return (
        f"Reliability of {short(network.label)} ({network.what}) in {CALIBRATION_BINS} bins, over {_seeds(network)}: "
        f"expected calibration error {100 * error:.2f} %; on the whole it is {tends}."
    )


def count(value: float) -> str:
    """A mean count; nothing for none."""
    return "" if value == 0 else f"{value:.0f}" if value >= 9.95 or value == round(value) else f"{value:.1f}"


def _seeds(network: Network) -> str:
    n = len(network.trials)
    return "1 seed" if n == 1 else f"{n} seeds"
