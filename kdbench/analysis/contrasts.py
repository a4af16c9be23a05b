"""Comparisons of rows, paired by seed and by unit of the test set."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.statistics import (
    LEVEL,
    Estimate,
    effect_size,
    holm,
    paired_difference,
    places,
    t_test,
    units_interval,
    units_test,
)
from kdbench.analysis.task import counts_correct, metric_column

FEW_SEEDS = 5
"""With fewer seeds, places come from tests over units: t tests have little power."""
SEEDS = "seeds"
"""In the column ``significant``: significant over seeds, not only over units."""
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
        return cls({int(seed): value for seed, value in values}, correct)


@dataclass(frozen=True)
class Contrast:
    """Comparison of two rows.

    Args:
        delta: difference of the primary metric over the seeds that both have.
        effect_size: Cohen's d of the pairs.
        p_seeds: p value of the paired t test over seeds.
        units_low: lower end of the 95 % interval over units of the test set, for these trained networks.
        units_high: upper end.
        p_units: p value of the paired test over units of the test set.
    """

    delta: Estimate
    effect_size: float
    p_seeds: float
    units_low: float
    units_high: float
    p_units: float


def contrast(own: Runs, other: Runs) -> Contrast:
    """Compare two rows over the seeds that both have."""
    values, others = _paired(own.values, other.values)
    low, high, p_units = NAN, NAN, NAN
    if (both := _same_units(own, other)) is not None:
        (low, high), p_units = units_interval(*both), units_test(*both)
    return Contrast(paired_difference(values, others), effect_size(values, others), t_test(values, others), low, high, p_units)


def difference_columns(found: Mapping[K, Contrast], prefix: str = "") -> dict[K, dict[str, float | str]]:
    """Make the columns ``delta``, ``delta_low``, ``delta_high`` and ``delta_seeds``.

    Args:
        found: key of a row → its comparison.
        prefix: what follows ``delta`` in the columns' names.
    """
    return {
        key: {
            f"delta{prefix}": one.delta.mean,
            f"delta{prefix}_low": one.delta.low,
            f"delta{prefix}_high": one.delta.high,
            f"delta{prefix}_seeds": one.delta.count,
        }
        for key, one in found.items()
    }


def significance_columns(found: Mapping[K, Contrast], units: str) -> dict[K, dict[str, float | str]]:
    """Make the columns of effect sizes and of p values, corrected (Holm).

    Args:
        found: key of a row → its comparison.
        units: name of the task's units in the columns' names; "" if units cannot be compared.
    """
    p_seeds = dict(zip(found, holm([c.p_seeds for c in found.values()]), strict=True))
    p_units = dict(zip(found, holm([c.p_units for c in found.values()]), strict=True))
    columns: dict[K, dict[str, float | str]] = {}
    for key, one in found.items():
        columns[key] = {"effect_size": one.effect_size, "p_seeds": p_seeds[key]}
        if units:
            columns[key] |= {
                f"delta_{units}_low": one.units_low,
                f"delta_{units}_high": one.units_high,
                f"p_{units}": p_units[key],
            }
        columns[key]["significant"] = significance(p_seeds[key], p_units[key], units)
    return columns


def significance(p_seeds: float, p_units: float, units: str) -> str:
    """Return which test finds a difference significant at the 5 % level.

    It is ``seeds``, the name of the units, or "" if neither does.

    Args:
        p_seeds: corrected p value of the test over seeds; NaN without one.
        p_units: corrected p value of the test over units; NaN without one.
        units: name of the task's units.
    """
    return SEEDS if p_seeds < 1 - LEVEL else units if p_units < 1 - LEVEL else ""


def shared_places(rows: Sequence[Runs], sign: int) -> list[int]:
    """Return the places of rows (:func:`places`); 0 without a finished trial.

    Args:
        rows: the rows.
        sign: 1 if higher values are better, −1 if lower ones are.
    """
    p_values = np.full((len(rows), len(rows)), NAN)
    for i, j in itertools.combinations(range(len(rows)), 2):
        p_values[i, j] = p_values[j, i] = _p_value(rows[i], rows[j])
    means = [sign * float(np.mean(list(r.values.values()))) if r.values else NAN for r in rows]
    return places(means, p_values)


def _p_value(own: Runs, other: Runs) -> float:
    values, others = _paired(own.values, other.values)
    both = None if len(values) >= FEW_SEEDS else _same_units(own, other)
    return t_test(values, others) if both is None else units_test(*both)


def _paired(own: Mapping[int, float], other: Mapping[int, float]) -> tuple[list[float], list[float]]:
    seeds = sorted(set(own) & set(other))
    return [own[s] for s in seeds], [other[s] for s in seeds]


def _same_units(own: Runs, other: Runs) -> tuple[np.ndarray, np.ndarray] | None:
    """Return which units are right, S×N each; ``None`` unless all share a test set."""
    seeds = sorted(set(own.correct) & set(other.correct))
    if not seeds or len({len(runs.correct[s]) for runs in (own, other) for s in seeds}) > 1:
        return None
    return np.stack([own.correct[s] for s in seeds]), np.stack([other.correct[s] for s in seeds])
