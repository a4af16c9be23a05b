"""Comparison of methods: differences, ranks, and profiles over pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kdbench.analysis.boards import Board, column
from kdbench.analysis.statistics import (
    critical_difference,
    friedman,
    iqm_interval,
    mean_ranks,
    nemenyi,
    performance_profile,
)
from kdbench.analysis.task import direction, metric_column

BLOCKS, METHODS = 2, 3
"""Least numbers of common pairs and methods that are ranked."""
THRESHOLDS = 41


def differences(board: Board) -> pd.DataFrame:
    """Return the differences from the student trained alone, best first.

    These are the standings' rows with ``delta``, ``low`` and ``high``.
    """
    names = {"delta": "delta", "delta_low": "low", "delta_high": "high"}
    table = board.students().assign(**{new: column(board.students(), old) for old, new in names.items()})
    table = table[table["delta"].notna()]
    merit = direction(board.frame.task) * table["delta"]
    return table.loc[merit.sort_values(ascending=False, kind="stable").index]


def scores(board: Board) -> pd.DataFrame:
    """Return the primary metric of the students on the test set, best first.

    These are the standings' rows with ``value`` (mean), ``low`` and ``high`` (of its interval by itself) and
    ``seeds`` (a tuple).
    """
    frame, key = board.frame, metric_column(board.frame.task)
    values = dict(zip(frame.rows["trial"], frame.rows[key], strict=True))
    students = board.students()
    seeds = [tuple(v for t in str(trials).split() if not np.isnan(v := values[t])) for trials in students["trials"]]
    ends = {name: column(students, f"{key}{end}") for name, end in (("value", ""), ("low", "_low"), ("high", "_high"))}
    table = students.assign(**ends, seeds=pd.Series(seeds, students.index, dtype=object))
    table = table[table["value"].notna()]
    return table.loc[(direction(frame.task) * table["value"]).sort_values(ascending=False, kind="stable").index]


def common_scores(boards: Sequence[Board]) -> pd.DataFrame:
    """Return mean primary metrics on the test set, by pair (row) and method (column).

    The methods are those that all pairs have. The table is empty if there are too few pairs or methods.
    """
    rows = {b.name: column(b.students().set_index("label"), metric_column(b.frame.task)) for b in boards}
    scores = pd.DataFrame(rows).T.dropna(axis="columns") if rows else pd.DataFrame()
    return scores if len(scores) >= BLOCKS and scores.shape[1] >= METHODS else pd.DataFrame()


@dataclass(frozen=True, eq=False)
class Ranking:
    """Mean ranks of methods over pairs.

    Args:
        ranks: mean rank of each method, 1 the best, in the order of the scores.
        pairs: number of pairs.
        p_values: of all pairs of methods, M×M (Nemenyi).
        critical_difference: the least significant difference of ranks.
        statistic: Friedman's χ².
        p_value: of Friedman's test.
    """

    ranks: pd.Series[float]
    pairs: int
    p_values: pd.DataFrame
    critical_difference: float
    statistic: float
    p_value: float


def ranking(boards: Sequence[Board]) -> Ranking | None:
    """Rank the methods that all pairs have; ``None`` if there are too few."""
    scores = common_scores(boards)
    if scores.empty:
        return None
    merit = direction(boards[0].frame.task) * scores
    distance = critical_difference(scores.shape[1], len(scores))
    return Ranking(mean_ranks(merit), len(scores), nemenyi(merit), distance, *friedman(merit))


def seed_differences(boards: Sequence[Board], methods: Sequence[str]) -> dict[str, np.ndarray]:
    """Return differences from the student trained alone, runs × pairs, by method.

    Only seeds that all methods of all pairs finished are used.
    """
    tables = []
    for board in boards:
        rows = board.frame.rows
        mine = rows[(rows["pair"] == board.pair) & (rows["fingerprint"] == board.fingerprint) & (rows["status"] == "finished")]
        chosen = {t for trials in board.students()["trials"] for t in str(trials).split()}
        mine = mine[(mine["role"] == "student") & mine["trial"].isin(chosen)]
        table = mine.pivot_table(index="seed", columns="label", values=metric_column(board.frame.task))
        if board.baseline not in table or not set(methods) <= set(table.columns):
            return {}
        tables.append(table.sub(table[board.baseline], axis=0)[list(methods)].dropna())
    seeds = set.intersection(*(set(t.index) for t in tables)) if tables else set()
    if not seeds:
        return {}
    return {m: np.stack([t.loc[sorted(seeds), m].to_numpy(float) for t in tables], axis=1) for m in methods}


@dataclass(frozen=True, eq=False)
class Aggregate:
    """Differences from the student trained alone, aggregated over pairs and seeds.

    Args:
        iqm: method → interquartile mean with the ends of its 95 % interval, best first.
        thresholds: of the profiles, T: gains over the student alone, positive where better.
        profiles: method → share of runs with a larger gain, and the ends of its 95 % band, T each.
        mean: share of runs of all methods with a larger gain, T.
    """

    iqm: dict[str, tuple[float, float, float]]
    thresholds: np.ndarray
    profiles: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
    mean: np.ndarray


def aggregate(boards: Sequence[Board], methods: Sequence[str]) -> Aggregate | None:
    """Aggregate differences over pairs and seeds; ``None`` without common seeds.

    Args:
        boards: the pairs.
        methods: labels, without the student trained alone.
    """
    deltas = seed_differences(boards, methods)
    if not deltas:
        return None
    sign = direction(boards[0].frame.task)
    iqm = dict(sorted(iqm_interval(deltas).items(), key=lambda item: -sign * item[1][0]))
    gains: Mapping[str, np.ndarray] = {name: sign * values for name, values in deltas.items()}
    everything = np.concatenate([v.flatten() for v in gains.values()])
    pad = 0.05 * max(float(np.ptp(everything)), 0.002)
    thresholds = np.linspace(float(everything.min()) - pad, float(everything.max()) + pad, THRESHOLDS)
    profiles = performance_profile(gains, thresholds)
    return Aggregate(iqm, thresholds, profiles, np.mean([share for share, _, _ in profiles.values()], axis=0))
