"""Means, deviations, intervals; comparisons paired by seed and by test unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
"""Confidence level of every interval."""
ROUNDING = 1e-9
"""Differences below this are rounding errors."""
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

    The values are assumed to be independent and about normal. A single value has neither deviation nor
    interval.
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
    """Return the difference of values paired by seed, with the paired t interval.

    If all seeds have the same difference, there is no deviation and hence no interval (this happens by
    chance, because accuracies are multiples of 1/N). Only if all differences are 0, the interval is 0 to
    0.

    Args:
        values: a method's values, one per seed.
        baseline: the values to compare with, of the same seeds in the same order.

    Raises:
        ValueError: the lengths differ.
    """
    if len(values) != len(baseline):
        raise ValueError("paired values must be of the same seeds")
    found = estimate([a - b for a, b in zip(values, baseline, strict=True)])
    if found.count > 1 and found.deviation <= ROUNDING and abs(found.mean) > ROUNDING:
        return Estimate(found.mean, found.deviation, float("nan"), float("nan"), found.count)
    return found


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


def t_test(values: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the two-sided p value of the paired t test (:func:`paired_difference`).

    It is NaN for fewer than two pairs, and for equal differences other than 0.

    Raises:
        ValueError: the lengths differ.
    """
    difference = paired_difference(values, baseline)
    if difference.count < 2:
        return float("nan")
    if difference.deviation <= ROUNDING:
        return 1.0 if abs(difference.mean) <= ROUNDING else float("nan")
    error = difference.deviation / difference.count**0.5
    return float(2 * stats.t.sf(abs(difference.mean) / error, difference.count - 1))


def effect_size(values: Sequence[float], baseline: Sequence[float]) -> float:
    """Return Cohen's d of paired values: mean difference over its standard deviation.

    It is NaN for fewer than two pairs, or if the differences do not vary.
    """
    difference = paired_difference(values, baseline)
    return difference.mean / difference.deviation if difference.count > 1 and difference.deviation > ROUNDING else float("nan")


def blocked_differences(values: np.ndarray, baseline: Sequence[float]) -> tuple[list[Estimate], list[float]]:
    """Return differences of several rows from one baseline with the same seeds.

    This is a randomised complete block design, seeds being the blocks. The model is y = row + seed
    + ε with ε of one variance for all (two-way analysis of variance without interaction;
    Montgomery, "Design and Analysis of Experiments", section 4.1). The residual variance is pooled
    over P + 1 rows, with P (S − 1) degrees of freedom: with few seeds and many rows it finds
    differences that paired t tests, with S − 1 degrees of freedom each, cannot.

    Args:
        values: P×S, a row for each thing compared, a column for each seed.
        baseline: S values, of the same seeds in the same order.

    Returns:
        For each row the difference with the 95 % interval of Student's t (its deviation is that of one
        seed's difference by the model); and the two-sided p values, not corrected for their number. They
        are NaN for fewer than two seeds, or if nothing varies.

    Raises:
        ValueError: the lengths differ.
    """
    rows = np.vstack([np.asarray(values, dtype=float), np.asarray(baseline, dtype=float)])
    count = rows.shape[1]
    differences = rows[:-1].mean(1) - rows[-1].mean()
    residuals = rows - rows.mean(1, keepdims=True) - rows.mean(0) + rows.mean()
    freedom = len(differences) * (count - 1)
    deviation = float((2 * (residuals**2).sum() / freedom) ** 0.5) if freedom else float("nan")
    if not deviation > ROUNDING:
        nothing = [Estimate(float(d), deviation, float("nan"), float("nan"), count) for d in differences]
        return nothing, [float("nan")] * len(nothing)
    error = deviation / count**0.5
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p_values = 2 * stats.t.sf(np.abs(differences) / error, freedom)
    return [Estimate(float(d), deviation, float(d - half), float(d + half), count) for d in differences], p_values.tolist()


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, in the same order.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure". The smallest of m is
    multiplied by m, the next by m − 1, and so on; none becomes smaller than the one before it.
    NaN values stay, and do not count. (statsmodels' version collects garbage at every call, which takes
    a fifth of a second with torch loaded.)
    """
    numbers = np.asarray(p_values, dtype=float)
    ascending = np.argsort(numbers)[: int((~np.isnan(numbers)).sum())]
    factors = np.arange(len(ascending), 0, -1)
    numbers[ascending] = np.minimum(1, np.maximum.accumulate(numbers[ascending] * factors))
    return [float(p) for p in numbers]


def units_test(correct: np.ndarray, baseline: np.ndarray) -> float:
    """Return the two-sided p value that two sets of networks are right equally often.

    It applies to units like those of the test set. With one seed this is McNemar's exact test
    (Dietterich 1998). With several, each unit has a mean difference over seeds, whose sign is random
    under the null hypothesis; the statistic is the sum of these over its standard deviation under random
    signs (for one seed this would be McNemar's without continuity correction). It applies to these
    trained networks, not to other seeds.

    Args:
        correct: which units are right, S×N, bool.
        baseline: the same for the networks to compare with.
    """
    if len(correct) == 1:
        gained, lost = int((correct[0] & ~baseline[0]).sum()), int((~correct[0] & baseline[0]).sum())
        return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    difference = correct.mean(0) - baseline.mean(0)
    spread = float(np.sqrt((difference**2).sum()))
    return float(2 * stats.norm.sf(abs(difference.sum()) / spread)) if spread else 1.0


def units_interval(correct: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a difference of accuracies.

    It applies to units like those of the test set. It is a percentile interval, paired by unit.

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


def places(means: Sequence[float], p_values: np.ndarray) -> list[int]:
    """Return the places that the data support.

    From the best downwards, all that do not differ significantly from the first of a place share it.

    Args:
        means: M means, the higher the better; NaN for an item without a place.
        p_values: M×M, of each pair, not yet corrected; Holm's correction over all pairs is made here.

    Returns:
        M places: n + 1 for an item with n others before its place, and 0 for an item without a place.
    """
    rows, columns = np.triu_indices(len(means), 1)
    corrected = np.full(p_values.shape, float("nan"))
    corrected[rows, columns] = holm(p_values[rows, columns].tolist())
    corrected[columns, rows] = corrected[rows, columns]
    scores = np.asarray(means, dtype=float)
    found, first, place = [0] * len(scores), -1, 0
    for before, i in enumerate(np.argsort(-scores, kind="stable")):
        if np.isnan(scores[i]):
            break
        if first < 0 or corrected[first, i] < 1 - LEVEL:
            first, place = int(i), before + 1
        found[i] = place
    return found


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
