"""Means, deviations, intervals and ranks.

Comparisons of methods are in :mod:`kdbench.analysis.model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
"""Confidence level of every interval."""
LEAST_VALUES = 3
"""Fewer values have no t interval: that of two is 25 standard errors wide."""
RESAMPLES = 4000
"""Number of bootstrap samples, always the same ones, for reproducible reports."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Args:
        mean: the mean.
        deviation: sample standard deviation (n − 1 in the denominator); NaN for one value.
        low: lower end of the 95 % interval; NaN if it is unknown.
        high: upper end.
        count: number of values.
    """

    mean: float
    deviation: float
    low: float
    high: float
    count: int


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean, sample standard deviation and Student's t interval.

    The values are assumed to be independent and about normal. A single value has no deviation, and fewer
    than ``LEAST_VALUES`` have no interval.
    """
    numbers = np.asarray(values, dtype=float)
    count = len(numbers)
    mean = float(numbers.mean()) if count else float("nan")
    if count < 2:
        return Estimate(mean, float("nan"), float("nan"), float("nan"), count)
    deviation = float(numbers.std(ddof=1))
    if count < LEAST_VALUES:
        return Estimate(mean, deviation, float("nan"), float("nan"), count)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * deviation / count**0.5
    return Estimate(mean, deviation, mean - half, mean + half, count)


def wilson(share: float, samples: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of the share that one trained network gets right.

    It applies to units like those of the test set.

    Args:
        share: share of units that are right, in [0, 1].
        samples: number of units tested; the interval of 0 units is NaN.
    """
    if samples == 0:
        return float("nan"), float("nan")
    interval = stats.binomtest(round(share * samples), samples).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def units_interval(correct: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a difference of accuracies.

    It applies to these trained networks, and to units like those of the test set; not to other seeds. It
    is a percentile interval, paired by unit.

    Args:
        correct: which units are right, S×N, bool.
        baseline: the same for the networks to compare with.
    """
    difference = correct.mean(0) - baseline.mean(0)
    values, counts = np.unique(difference.round(12), return_counts=True)
    # To draw N units with replacement, draw the counts of the few different values.
    drawn = np.random.default_rng(0).multinomial(len(difference), counts / len(difference), size=RESAMPLES)
    low, high = np.percentile(drawn @ values / len(difference), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def mean_ranks(scores: pd.DataFrame) -> pd.Series[float]:
    """Return the mean rank of each method, 1 being the best; equal scores share ranks.

    Args:
        scores: a row for each block (a pair on a data set), a column for each method, the higher the
            better; no value may be missing.
    """
    return scores.rank(axis=1, ascending=False).mean()


def friedman(scores: pd.DataFrame) -> tuple[float, float]:
    """Return Friedman's χ² and the p value that methods do not differ.

    Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets".

    Args:
        scores: a row for each block, a column for each method; at least two blocks and three methods.
    """
    statistic, p = stats.friedmanchisquare(*(scores[name] for name in scores.columns))
    return float(statistic), float(p)


def nemenyi(scores: pd.DataFrame) -> pd.DataFrame:
    """Return p values of all pairs of methods after Friedman's test, M×M.

    The test is that of Nemenyi 1963, as scikit-posthocs implements it.
    """
    import scikit_posthocs

    found: pd.DataFrame = scikit_posthocs.posthoc_nemenyi_friedman(scores.to_numpy())
    found.index = found.columns = scores.columns
    return found


def critical_difference(methods: int, blocks: int) -> float:
    """Return the least significant difference of mean ranks at the 5 % level.

    See Demšar 2006, section 3.2.2.
    """
    q = float(stats.studentized_range.ppf(LEVEL, methods, np.inf)) / 2**0.5
    return float(q * (methods * (methods + 1) / (6 * blocks)) ** 0.5)


def iqm_interval(scores: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """Return interquartile means by method, with 95 % stratified bootstrap intervals.

    Agarwal, Schwarzer, Castro, Courville, Bellemare 2021, "Deep Reinforcement Learning at the Edge
    of the Statistical Precipice", arXiv:2108.13264, section 4.3.

    Args:
        scores: method → runs × tasks.
    """
    return {name: _bootstrapped(values, lambda x: stats.trim_mean(x, 0.25, axis=-1)) for name, values in scores.items()}


def performance_profile(
    scores: Mapping[str, np.ndarray], thresholds: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the share of runs above each threshold, with 95 % bootstrap bands.

    The bands are pointwise, and the bootstrap is stratified (Agarwal et al. 2021, section 4.2).

    Args:
        scores: method → runs × tasks.
        thresholds: T thresholds.

    Returns:
        method → share, low and high, each T.
    """

    def one(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = [_bootstrapped(values, lambda x, t=t: (x > t).mean(axis=-1)) for t in thresholds]  # type: ignore[misc]
        share, low, high = np.array(parts).T
        return share, low, high

    return {name: one(values) for name, values in scores.items()}


def _bootstrapped(values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float]:
    """Return a statistic of runs × tasks and its percentile interval.

    Runs are drawn with replacement within each task.
    """
    runs, tasks = values.shape
    drawn = np.random.default_rng(0).integers(runs, size=(RESAMPLES, runs, tasks))
    resampled = np.take_along_axis(values[None], drawn, axis=1).reshape(RESAMPLES, -1)
    low, high = np.percentile(statistic(resampled), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(statistic(values.reshape(1, -1))[0]), float(low), float(high)
