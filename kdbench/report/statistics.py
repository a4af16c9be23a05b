"""Means, deviations and intervals; differences paired by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
"""Confidence level of every interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Args:
        mean: the mean.
        deviation: sample standard deviation (n − 1 in the denominator); NaN for one value.
        low: lower end of the 95 % interval; NaN where none can be given.
        high: upper end.
        count: how many values.
    """

    mean: float
    deviation: float
    low: float
    high: float
    count: int


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, sample standard deviation and Student's t interval of values that are independent and about normal.

    One value has neither deviation nor interval.
    """
    numbers = np.asarray(values, dtype=float)
    count = len(numbers)
    mean = float(numbers.mean()) if count else float("nan")
    if count < 2:
        return Estimate(mean, float("nan"), float("nan"), float("nan"), count)
    deviation = float(numbers.std(ddof=1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * deviation / count**0.5
    return Estimate(mean, deviation, mean - half, mean + half, count)


def paired_difference(values: Sequence[float], baseline: Sequence[float]) -> Estimate:
    """The difference of values paired by seed, with the interval of the paired t test.

    Args:
        values: a method's, one a seed.
        baseline: what it is measured against, the same seeds in the same order.

    Raises:
        ValueError: the lengths differ.
    """
    if len(values) != len(baseline):
        raise ValueError("paired values must be of the same seeds")
    return estimate([a - b for a, b in zip(values, baseline, strict=True)])


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy: what it is known to within, for one trained network and ``samples`` test samples.

    Args:
        share: share of the samples that are right, in [0, 1].
        samples: how many were tested; without any there is no interval (NaN).
    """
    if samples == 0:
        return float("nan"), float("nan")
    interval = stats.binomtest(round(share * samples), samples).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)
