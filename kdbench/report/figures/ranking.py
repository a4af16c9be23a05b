"""Figures that compare methods: differences, ranks, and profiles over pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kdbench.analysis.boards import Board
from kdbench.analysis.ranking import Aggregate, Ranking
from kdbench.analysis.task import direction
from kdbench.report.figures.dots import Dot, dot_plot
from kdbench.report.figures.style import INK, MUTED, Look, canvas, multiples
from kdbench.report.text import short
from kdbench.report.wording import Wording


def score_figure(table: pd.DataFrame, teachers: Mapping[str, float], looks: Mapping[str, Look], words: Wording) -> Figure:
    """Draw each method's primary metric: its seeds, their mean and its interval.

    Args:
        table: table of :func:`kdbench.analysis.ranking.scores`.
        teachers: name → primary metric of each teacher, an upright line.
        looks: family → colour and mark.
        words: words of the task.
    """
    names, scale = ["label", "family", "value", "low", "high", "seeds"], words.scale
    dots = [
        Dot(str(label), str(family), scale * value, scale * low, scale * high, tuple(scale * v for v in seeds))
        for label, family, value, low, high, seeds in table[names].itertuples(index=False)
    ]
    lines = {f"teacher {name}: {words.value(value)}": words.scale * value for name, value in teachers.items()}
    return dot_plot(dots, looks, f"test {words.metric}{words.axis_unit}", lines)


def score_sentence(board: Board, table: pd.DataFrame, teachers: Mapping[str, float], words: Wording) -> str:
    """Describe the figure in a sentence."""
    best, worst = table.iloc[0], table.iloc[-1]
    ends = [f"{words.value(row['value'])}{words.percent_sign} ({short(str(row['label']))})" for row in (best, worst)]
    taught = "".join(f"; the teacher {short(name)} has {words.value(v)}{words.percent_sign}" for name, v in teachers.items())
    return f"Test {words.metric} of {len(table)} methods for the pair {short(board.name)}, from {ends[0]} to {ends[1]}{taught}."


def difference_figure(table: pd.DataFrame, looks: Mapping[str, Look], words: Wording) -> Figure:
    """Draw each method's difference from the student trained alone, with its interval.

    Args:
        table: table of :func:`kdbench.analysis.ranking.differences`.
        looks: family → colour and mark.
        words: words of the task.
    """
    rows, scale = table[["label", "family", "delta", "low", "high"]].itertuples(index=False), words.scale
    dots = [Dot(str(label), str(family), scale * delta, scale * low, scale * high) for label, family, delta, low, high in rows]
    return dot_plot(dots, looks, f"Δ test {words.metric} to the student alone{words.difference_unit}", {"": 0.0})


def difference_sentence(board: Board, table: pd.DataFrame, words: Wording) -> str:
    """Describe the figure in a sentence."""
    best, worst = table.iloc[0], table.iloc[-1]

    def end(row: pd.Series, unit: str) -> str:
        return f"{words.difference(row['delta'])}{unit} ({short(str(row['label']))})"

    return (
        f"Difference of test {words.metric} to the student trained alone, for the pair {short(board.name)}, with simultaneous "
        f"95 % intervals: from {end(best, words.points)} to {end(worst, '')}."
    )


def critical_difference_figure(found: Ranking, looks: Mapping[str, Look]) -> Figure:
    """Draw mean ranks; a bar joins methods that do not differ significantly.

    They are compared by Nemenyi's test at the 5 % level (Demšar 2006).

    Args:
        found: the ranks.
        looks: method → colour and mark of its family.
    """
    import scikit_posthocs

    shown = _unique_labels(found.ranks.index.astype(str).tolist())
    ranks = found.ranks.rename(index=shown)
    half = -(-len(ranks) // 2)
    figure = canvas(6.4, 0.2 * half + 1.3)
    axes = figure.add_subplot()
    scikit_posthocs.critical_difference_diagram(
        ranks,
        found.p_values.rename(index=shown, columns=shown),
        ax=axes,
        label_fmt_left="{label} ({rank:.2f})",
        label_fmt_right="({rank:.2f}) {label}",
        label_props={"fontsize": 8},
        marker_props={"s": 0},
        elbow_props={"color": INK, "linewidth": 0.6},
        crossbar_props={"color": MUTED, "linewidth": 2.5},
        text_h_margin=0.04 * max(float(np.ptp(ranks)), 1.0),
    )
    for method, rank in found.ranks.items():
        look = looks[str(method)]
        axes.scatter([rank], [0], 30, look.colour, marker=look.marker, edgecolors=INK, linewidths=0.6, zorder=4, clip_on=False)
    axes.grid(visible=False)
    axes.set_xticks(range(1, len(ranks) + 1, 1 if len(ranks) <= 12 else 2))
    distance = f"critical difference {found.critical_difference:.2f}"
    axes.set_title(f"mean rank over {found.pairs} pairs (1 is best); {distance}", loc="left")
    return figure


def _unique_labels(labels: Sequence[str]) -> Mapping[str, str]:
    shown = {label: short(label, 20).replace("{", "(").replace("}", ")") for label in labels}
    return (
        shown
        if len(set(shown.values())) == len(labels)
        else {label: f"{i}: {shown[label]}" for i, label in enumerate(labels, 1)}
    )


def critical_difference_sentence(found: Ranking) -> str:
    """Describe the diagram in a sentence."""
    ranks = found.ranks.sort_values(kind="stable")
    listed = ", ".join(f"{short(str(label))} {rank:.2f}" for label, rank in ranks.items())
    return (
        f"Mean ranks of {len(ranks)} methods over {found.pairs} pairs, best first: {listed}. Friedman's test: "
        f"χ² = {found.statistic:.2f}, p = {found.p_value:.3g}. Ranks that differ by less than {found.critical_difference:.2f} do "
        "not differ significantly."
    )


def profile_figure(found: Aggregate, looks: Mapping[str, Look], words: Wording) -> Figure:
    """Draw the share of runs that beat the student alone by more than τ.

    There is a panel for each method in the colour of its family, with the mean of all methods in grey.

    Args:
        found: the profiles.
        looks: method → colour and mark of its family.
        words: words of the task.
    """
    thresholds, mean = words.scale * found.thresholds, 100 * found.mean
    figure, panels = multiples(len(found.profiles), 4, top=0.25)
    for axes, (label, profile) in zip(panels, found.profiles.items(), strict=True):
        share, low, high = (100 * values for values in profile)
        axes.plot(thresholds, mean, color=MUTED, linewidth=1.0, label="mean of all methods")
        colour = looks[label].colour
        axes.fill_between(thresholds, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(thresholds, share, color=colour, linewidth=1.5)
        axes.axvline(0, color=INK, linewidth=0.7)
        axes.set_title(short(label, 22), loc="left", fontsize=8.5, pad=3)
    handles = [
        Line2D([], [], color=INK, label="the method"),
        Patch(facecolor=INK, alpha=0.25, label="95 % interval"),
        Line2D([], [], color=MUTED, label="mean of all methods"),
    ]
    figure.legend(handles=handles, loc="upper left", ncols=3, fontsize=8, borderpad=0)
    delta = "Δ" if direction(words.task) > 0 else "−Δ"
    figure.supxlabel(f"τ: {delta} to the student alone{words.difference_unit}", fontsize=8.5, y=0.01, va="bottom")
    figure.supylabel(f"share of runs with {delta} > τ, %", fontsize=8.5, x=0.01, ha="left")
    return figure


def iqm_figure(found: Aggregate, families: Mapping[str, str], looks: Mapping[str, Look], words: Wording) -> Figure:
    """Draw the interquartile mean of the differences, with its interval.

    Args:
        found: the means.
        families: method → family.
        looks: family → colour and mark.
        words: words of the task.
    """
    scale = words.scale
    dots = [
        Dot(label, families[label], scale * mean, scale * low, scale * high) for label, (mean, low, high) in found.iqm.items()
    ]
    return dot_plot(dots, looks, f"interquartile mean of Δ to the student alone{words.difference_unit}", {"": 0.0})
