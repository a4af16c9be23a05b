"""Comparisons of rows by the model of :mod:`kdbench.analysis.model`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import pandas as pd

from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.model import Contrasts, Model, contrasts, fieller, fit, item_covariance, row_covariance
from kdbench.analysis.statistics import units_interval
from kdbench.analysis.task import counts_correct, metric_column

NAN = float("nan")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Runs:
    """The finished trials of one row.

    Args:
        values: seed → primary metric on the test set.
        correct: seed → which units of the test set are right, N; empty if predictions were not kept,
            or if the primary metric is not the share of correct units.
    """

    values: Mapping[int, float]
    correct: Mapping[int, np.ndarray]

    @classmethod
    def of(cls, frame: SuiteFrame, rows: pd.DataFrame) -> Runs:
        """Return the finished trials of some rows."""
        finished = rows[rows["status"] == "finished"]
        correct = {
            int(seed): right
            for seed, trial, fingerprint in zip(finished["seed"], finished["trial"], finished["fingerprint"], strict=True)
            if counts_correct(frame.task) and (right := frame.evidence.correct(trial, fingerprint)) is not None
        }
        values = zip(finished["seed"], finished[metric_column(frame.task)], strict=True)
        return cls({int(seed): value for seed, value in values if not np.isnan(value)}, correct)

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without any."""
        return float(np.mean(list(self.values.values()))) if self.values else NAN


@dataclass(frozen=True, eq=False)
class Rows(Generic[K]):
    """Rows of one student, and the model of them.

    Args:
        runs: key of a row → its trials.
        index: key of a row → its index in the model.
        model: the model; ``None`` if too little is known to say what chance does.
    """

    runs: Mapping[K, Runs]
    index: Mapping[K, int]
    model: Model | None

    @classmethod
    def of(cls, runs: Mapping[K, Runs], apart: Mapping[K, Runs] | None = None) -> Rows[K]:
        """Fit the model.

        Args:
            runs: key of a row → its trials.
            apart: rows of other networks (teachers), whose runs may vary otherwise.
        """
        known = {key: own for key, own in runs.items() if own.values}
        others = {key: own for key, own in (apart or {}).items() if own.values}
        every = [*known.values(), *others.values()]
        seeds = sorted({seed for own in known.values() for seed in own.values})
        columns = [*seeds, *sorted({seed for own in others.values() for seed in own.values} - set(seeds))]
        values = np.array([[own.values.get(seed, NAN) for seed in columns] for own in every])
        model = fit(values, _items(every, columns), len(others)) if len(seeds) > 1 and len(known) > 1 else None
        return cls({**runs, **(apart or {})}, {key: i for i, key in enumerate([*known, *others])}, model)

    def against(self, other: K, keys: Sequence[K], level: float = 0.95) -> dict[K, dict[str, float]]:
        """Compare rows with one other, simultaneously.

        Returns:
            For each row ``delta``; ``low`` and ``high`` of the simultaneous interval, ``single_low`` and
            ``single_high`` of that of one comparison; ``seeds``, ``effect_size`` (difference over the
            standard deviation of one seed's), ``p_value`` and ``critical`` (half-width over the standard
            error). What is not known is NaN.
        """
        pairs = [(key, other) for key in keys]
        return dict(zip(keys, self.compare(pairs, level), strict=True))

    def compare(self, pairs: Sequence[tuple[K, K]], level: float = 0.95) -> list[dict[str, float]]:
        """Compare pairs of rows, simultaneously (:meth:`against`)."""
        lines = [_plain(self.runs[own], self.runs[other]) for own, other in pairs]
        at = [i for i, pair in enumerate(pairs) if all(key in self.index for key in pair)]
        if self.model is None or not at:
            return lines
        found = contrasts(self.model, np.array([[self.index[key] for key in pairs[i]] for i in at]), level)
        for c, i in enumerate(at):
            lines[i] |= _line(found, c)
        return lines

    def gap_closed(self, key: K, alone: K, teacher: K, line: Mapping[str, float]) -> tuple[float, float, float]:
        """Return the share of the teacher's lead that a row closes, with its interval.

        The lead is over the student trained alone. The interval is simultaneous, like that of the row's
        difference ``line``. All are NaN unless the teacher's lead is significant. A teacher with one seed
        counts as it is: its training is in no interval.
        """
        if self.model is None or np.isnan(line["critical"]) or teacher not in self.index:
            return NAN, NAN, NAN
        common = sorted(set(self.runs[key].values) & set(self.runs[alone].values))
        gap = self.runs[teacher].mean - float(np.mean([self.runs[alone].values[s] for s in common]))
        variances = row_covariance(self.model, self.index[key], self.index[alone], self.index[teacher], len(common))
        return fieller(line["delta"], gap, variances, line["critical"])


Key = tuple[str, str, str]
"""Role, label and grid point of a row."""


def rows_of_pair(frame: SuiteFrame, pair: str, fingerprint: str) -> Rows[Key]:
    """Return all rows of a pair's student, and its teachers apart.

    Grid points are included: all comparisons of the pair come from this one model, in the leaderboard
    and in its grids.
    """
    mine = frame.rows[(frame.rows["pair"] == pair) & (frame.rows["fingerprint"] == fingerprint)]
    parts: dict[Key, Runs] = {}
    teachers: dict[Key, Runs] = {}
    for (role, label, point), part in mine.groupby(["role", "label", "point"], sort=False):
        if role in ("student", "generation", "teacher"):
            chosen = teachers if role == "teacher" else parts
            chosen[str(role), str(label), str(point)] = Runs.of(frame, part.drop_duplicates("trial"))
    return Rows.of(parts, teachers)


def trained_networks(own: Runs, other: Runs) -> tuple[float, float]:
    """Return the 95 % interval of two rows' difference for these trained networks.

    Only the test units are drawn again, so it says nothing about other seeds, hence about methods.
    """
    seeds = sorted(set(own.correct) & set(other.correct))
    if not seeds or len({len(runs.correct[s]) for runs in (own, other) for s in seeds}) > 1:
        return NAN, NAN
    return units_interval(np.stack([own.correct[s] for s in seeds]), np.stack([other.correct[s] for s in seeds]))


def _plain(own: Runs, other: Runs) -> dict[str, float]:
    common = sorted(set(own.values) & set(other.values))
    delta = float(np.mean([own.values[s] - other.values[s] for s in common])) if common else NAN
    nothing = dict.fromkeys(("low", "high", "single_low", "single_high", "effect_size", "p_value", "critical", "error"), NAN)
    return {"delta": delta, "seeds": len(common), **nothing}


def _line(found: Contrasts, c: int) -> dict[str, float]:
    delta, half, single = found.delta[c], found.half[c], found.single[c]
    return {
        "low": float(delta - half),
        "high": float(delta + half),
        "single_low": float(delta - single),
        "single_high": float(delta + single),
        "effect_size": float(delta / found.run_variance[c] ** 0.5),
        "p_value": float(found.p_values[c]),
        "critical": float(half / found.error[c]),
        "error": float(found.error[c]),
    }


def _items(rows: Sequence[Runs], seeds: Sequence[int]) -> np.ndarray | None:
    """Return the covariance of items; ``None`` without predictions of one set."""
    sizes = {len(own.correct[seed]) if seed in own.correct else -1 for own in rows for seed in own.values}
    if len(sizes) != 1 or -1 in sizes:
        return None
    known = np.array([[seed in own.values for seed in seeds] for own in rows])
    right = np.zeros((*known.shape, sizes.pop()), dtype=bool)
    for i, own in enumerate(rows):
        for seed in own.values:
            right[i, seeds.index(seed)] = own.correct[seed]
    return item_covariance(right, known)
