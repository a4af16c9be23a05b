"""Figures that compare methods: differences, ranks, and profiles over pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kdbench.analysis.boards import Board
from kdbench.analysis.ranking import Aggregate, Ranking
from kdbench.analysis.task import direction
from kdbench.report.figures.style import INK, MUTED, PALETTE, canvas, colours, multiples, short
from kdbench.report.wording import Wording


def difference_figure(table: pd.DataFrame, words: Wording) -> Figure:
    """Draw each method's difference from the student trained alone, with its interval.

    Args:
        table: table of :func:`kdbench.analysis.ranking.differences`.
        words: words of the task.
    """
    table = table.assign(**{name: words.scale * table[name] for name in ("delta", "low", "high")})
    labels = [short(str(label)) for label in table["label"]]
    families = list(dict.fromkeys(table["family"].astype(str)))
    figure = canvas(5.2, 0.2 * len(labels) + 0.9 + 0.18 * -(-len(families) // 4))
    axes = figure.add_subplot()
    looks = colours(table["family"].astype(str).tolist())
    axes.axvline(0, color=INK, linewidth=1)
    for i, (family, delta, low, high) in enumerate(table[["family", "delta", "low", "high"]].itertuples(index=False)):
        colour, marker = looks[str(family)]
        if not np.isnan(low):
            axes.plot([low, high], [i, i], color=MUTED, linewidth=1.8, solid_capstyle="butt")
        axes.scatter([delta], [i], 30, colour, marker=marker, edgecolors=INK, linewidths=0.6, zorder=3)
    handles = [
        axes.scatter([], [], 30, looks[f][0], marker=looks[f][1], edgecolors=INK, linewidths=0.6, label=short(f))
        for f in families
    ]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=4, fontsize=8, handletextpad=0.2, columnspacing=1.0, borderpad=0
    )
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(*_window(table))
    axes.set_xlabel(f"Δ test {words.metric} to the student alone{words.difference_unit}")
    return figure


def _window(table: pd.DataFrame) -> tuple[float, float]:
    """Return a range with all means, and intervals unless they flatten the rest."""
    means = np.append(table["delta"].to_numpy(float), 0.0)
    span = max(float(np.ptp(means)), 0.2)
    ends = np.concatenate([means, table["low"].dropna().to_numpy(float), table["high"].dropna().to_numpy(float)])
    return max(float(ends.min()), float(means.min()) - span) - 0.05 * span, min(
        float(ends.max()), float(means.max()) + span
    ) + 0.05 * span


def difference_sentence(board: Board, table: pd.DataFrame, words: Wording) -> str:
    """Describe the figure in a sentence."""
    best, worst = table.iloc[0], table.iloc[-1]

    def end(row: pd.Series, unit: str) -> str:
        return f"{words.difference(row['delta'])}{unit} ({short(str(row['label']))})"

    return (
        f"Difference of test {words.metric} to the student trained alone, for the pair {short(board.name)}, with simultaneous "
        f"95 % intervals: from {end(best, words.points)} to {end(worst, '')}."
    )


def critical_difference_figure(found: Ranking) -> Figure:
    """Draw mean ranks; a bar joins methods that do not differ significantly.

    They are compared by Nemenyi's test at the 5 % level (Demšar 2006).
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
        marker_props={"color": PALETTE[0], "s": 18},
        elbow_props={"color": INK, "linewidth": 0.6},
        crossbar_props={"color": PALETTE[1], "linewidth": 2.5},
        text_h_margin=0.04 * max(float(np.ptp(ranks)), 1.0),
    )
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


def profile_figure(found: Aggregate, words: Wording) -> Figure:
    """Draw the share of runs that beat the student alone by more than τ.

    There is a panel for each method, with the mean of all methods in grey.
    """
    thresholds, mean = words.scale * found.thresholds, 100 * found.mean
    figure, panels = multiples(len(found.profiles), 4, top=0.25)
    for axes, (label, profile) in zip(panels, found.profiles.items(), strict=True):
        share, low, high = (100 * values for values in profile)
        axes.plot(thresholds, mean, color=MUTED, linewidth=1.0, label="mean of all methods")
        axes.fill_between(thresholds, low, high, color=PALETTE[0], alpha=0.25, linewidth=0, label="95 % interval")
        axes.plot(thresholds, share, color=PALETTE[0], linewidth=1.5, label="the method")
        axes.axvline(0, color=INK, linewidth=0.7)
        axes.set_title(short(label, 22), loc="left", fontsize=8.5, pad=3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=3, fontsize=8, borderpad=0)
    delta = "Δ" if direction(words.task) > 0 else "−Δ"
    figure.supxlabel(f"τ: {delta} to the student alone{words.difference_unit}", fontsize=8.5, y=0.01, va="bottom")
    figure.supylabel(f"share of runs with {delta} > τ, %", fontsize=8.5, x=0.01, ha="left")
    return figure


def iqm_figure(found: Aggregate, words: Wording) -> Figure:
    """Draw the interquartile mean of the differences, with its interval."""
    figure = canvas(5.2, 0.2 * len(found.iqm) + 0.9)
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1)
    for i, ends in enumerate(found.iqm.values()):
        mean, low, high = (words.scale * end for end in ends)
        axes.plot([low, high], [i, i], color=PALETTE[0], linewidth=1.6, solid_capstyle="butt")
        axes.scatter([mean], [i], 30, PALETTE[0], edgecolors=INK, linewidths=0.6, zorder=3)
    axes.set_yticks(range(len(found.iqm)), [short(label) for label in found.iqm], fontsize=8)
    axes.set_ylim(len(found.iqm) - 0.4, -0.6)
    axes.set_xlabel(f"interquartile mean of Δ to the student alone{words.difference_unit}")
    return figure
