"""Methods against each other: differences to the student trained alone, and over several pairs, ranks and profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kdbench.report.figures.boards import Board, column
from kdbench.report.figures.style import INK, MUTED, PALETTE, canvas, colours, multiples, short

BLOCKS, METHODS = 2, 3
"""Fewer pairs or methods in common have no ranking."""
THRESHOLDS = 41


def differences(board: Board) -> pd.DataFrame:
    """Methods with a difference to the student trained alone, best first."""
    table = board.students().assign(delta=lambda t: 100 * column(t, "delta"))
    table = table.assign(low=100 * column(table, "delta_low"), high=100 * column(table, "delta_high"))
    return table[table["delta"].notna()].sort_values("delta", ascending=False, kind="stable")


def difference_figure(table: pd.DataFrame) -> Figure:
    """Difference of each method to the student trained alone, with its interval."""
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
    axes.set_xlabel("Δ test accuracy to the student alone, percentage points")
    return figure


def _window(table: pd.DataFrame) -> tuple[float, float]:
    """All means, and intervals as far as they do not flatten the rest (those of two seeds may be of any width)."""
    means = np.append(table["delta"].to_numpy(float), 0.0)
    span = max(float(np.ptp(means)), 0.2)
    ends = np.concatenate([means, table["low"].dropna().to_numpy(float), table["high"].dropna().to_numpy(float)])
    return max(float(ends.min()), float(means.min()) - span) - 0.05 * span, min(
        float(ends.max()), float(means.max()) + span
    ) + 0.05 * span


def difference_sentence(board: Board, table: pd.DataFrame) -> str:
    """What the figure says."""
    best, worst = table.iloc[0], table.iloc[-1]
    return (
        f"Difference of test accuracy to the student trained alone, for the pair {short(board.name)}, with 95 % intervals over seeds: "
        f"from {best['delta']:+.2f} points ({short(str(best['label']))}) to {worst['delta']:+.2f} ({short(str(worst['label']))})."
    )


def common_scores(boards: Sequence[Board]) -> pd.DataFrame:
    """Mean test accuracy, a row a pair, a column a method that all pairs have; empty where there are too few."""
    rows = {b.name: column(b.students().set_index("label"), "test_accuracy") for b in boards}
    scores = pd.DataFrame(rows).T.dropna(axis="columns") if rows else pd.DataFrame()
    return scores if len(scores) >= BLOCKS and scores.shape[1] >= METHODS else pd.DataFrame()


def critical_difference_figure(scores: pd.DataFrame) -> Figure:
    """Mean ranks; methods joined by a bar are not told apart by Nemenyi's test at the 5 % level (Demšar 2006)."""
    import scikit_posthocs

    from kdbench.analysis.statistics import critical_difference, mean_ranks, nemenyi

    scores = scores.rename(columns=_unique_labels(scores.columns.astype(str).tolist()))
    ranks, distance = mean_ranks(scores), critical_difference(scores.shape[1], len(scores))
    half = -(-scores.shape[1] // 2)
    figure = canvas(6.4, 0.2 * half + 1.3)
    axes = figure.add_subplot()
    scikit_posthocs.critical_difference_diagram(
        ranks,
        nemenyi(scores),
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
    axes.set_xticks(range(1, scores.shape[1] + 1, 1 if scores.shape[1] <= 12 else 2))
    axes.set_title(f"mean rank over {len(scores)} pairs (1 is best); critical difference {distance:.2f}", loc="left")
    return figure


def _unique_labels(labels: Sequence[str]) -> Mapping[str, str]:
    shown = {label: short(label, 20).replace("{", "(").replace("}", ")") for label in labels}
    return (
        shown
        if len(set(shown.values())) == len(labels)
        else {label: f"{i}: {shown[label]}" for i, label in enumerate(labels, 1)}
    )


def critical_difference_sentence(scores: pd.DataFrame) -> str:
    """What the diagram says."""
    from kdbench.analysis.statistics import critical_difference, friedman, mean_ranks

    statistic, p = friedman(scores)
    ranks = mean_ranks(scores).sort_values(kind="stable")
    listed = ", ".join(f"{short(str(label))} {rank:.2f}" for label, rank in ranks.items())
    return (
        f"Mean ranks of {scores.shape[1]} methods over {len(scores)} pairs, best first: {listed}. Friedman's test: χ² = {statistic:.2f}, "
        f"p = {p:.3g}. Ranks that differ by less than {critical_difference(scores.shape[1], len(scores)):.2f} are not told apart."
    )


def seed_differences(boards: Sequence[Board], methods: Sequence[str]) -> dict[str, np.ndarray]:
    """Method → runs × pairs of differences to the student trained alone in points, of the seeds that all have."""
    tables = []
    for board in boards:
        rows = board.frame.rows
        mine = rows[(rows["pair"] == board.pair) & (rows["fingerprint"] == board.fingerprint) & (rows["status"] == "finished")]
        chosen = {t for trials in board.students()["trials"] for t in str(trials).split()}
        mine = mine[(mine["role"] == "student") & mine["trial"].isin(chosen)]
        table = 100 * mine.pivot_table(index="seed", columns="label", values="test_accuracy")
        alone = board.baseline()
        if alone not in table or not set(methods) <= set(table.columns):
            return {}
        tables.append(table.sub(table[alone], axis=0)[list(methods)].dropna())
    seeds = set.intersection(*(set(t.index) for t in tables)) if tables else set()
    if not seeds:
        return {}
    return {m: np.stack([t.loc[sorted(seeds), m].to_numpy(float) for t in tables], axis=1) for m in methods}


def profile_figure(scores: Mapping[str, np.ndarray]) -> Figure:
    """Share of runs that beat the student trained alone by more than so much, a panel a method; the others in grey."""
    from kdbench.analysis.statistics import performance_profile

    everything = np.concatenate([v.flatten() for v in scores.values()])
    pad = 0.05 * max(float(np.ptp(everything)), 0.2)
    thresholds = np.linspace(float(everything.min()) - pad, float(everything.max()) + pad, THRESHOLDS)
    profiles = performance_profile(scores, thresholds)
    mean = 100 * np.mean([share for share, _, _ in profiles.values()], axis=0)
    figure, panels = multiples(len(scores), 4, top=0.25)
    for axes, (label, found) in zip(panels, profiles.items(), strict=True):
        share, low, high = (100 * values for values in found)
        axes.plot(thresholds, mean, color=MUTED, linewidth=1.0, label="mean of all methods")
        axes.fill_between(thresholds, low, high, color=PALETTE[0], alpha=0.25, linewidth=0, label="95 % interval")
        axes.plot(thresholds, share, color=PALETTE[0], linewidth=1.5, label="the method")
        axes.axvline(0, color=INK, linewidth=0.7)
        axes.set_title(short(label, 22), loc="left", fontsize=8.5, pad=3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=3, fontsize=8, borderpad=0)
    figure.supxlabel("τ: Δ to the student alone, percentage points", fontsize=8.5, y=0.01, va="bottom")
    figure.supylabel("share of runs with Δ > τ, %", fontsize=8.5, x=0.01, ha="left")
    return figure


def iqm_figure(scores: Mapping[str, np.ndarray]) -> Figure:
    """Interquartile mean of the differences over pairs and seeds, with its bootstrap interval."""
    from kdbench.analysis.statistics import iqm_interval

    found = sorted(iqm_interval(scores).items(), key=lambda item: -item[1][0])
    figure = canvas(5.2, 0.2 * len(found) + 0.9)
    axes = figure.add_subplot()
    axes.axvline(0, color=INK, linewidth=1)
    for i, (_, (mean, low, high)) in enumerate(found):
        axes.plot([low, high], [i, i], color=PALETTE[0], linewidth=1.6, solid_capstyle="butt")
        axes.scatter([mean], [i], 30, PALETTE[0], edgecolors=INK, linewidths=0.6, zorder=3)
    axes.set_yticks(range(len(found)), [short(label) for label, _ in found], fontsize=8)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlabel("interquartile mean of Δ to the student alone, percentage points")
    return figure
