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
"""Bootstrap samples; always the same ones, so that a report is always the same."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its uncertainty.

    Args:
        mean: the mean.
        deviation: sample standard deviation (n − 1 in the denominator); NaN for one value.
        low: lower end of the 95 % interval; NaN where none can be given.
        high: upper end.
        count: number of values.
    """

    mean: float
    deviation: float
    low: float
    high: float
    count: int


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, sample standard deviation and Student's t interval.

    The values are taken to be independent and about normal. One value has neither deviation nor
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
    """The difference of values paired by seed, with the paired t test's interval.

    Where all seeds have the same difference there is no deviation to judge by, and no interval
    (accuracies are multiples of 1/N, so that happens by chance); only of no difference at all the
    interval is 0 to 0.

    Args:
        values: a method's, one a seed.
        baseline: what it is measured against, the same seeds in the same order.

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
    """Wilson's 95 % interval of the share that one trained network gets right.

    It speaks of units like those of the test set.

    Args:
        share: share of the units that are right, in [0, 1].
        samples: number of units tested; without any there is no interval (NaN).
    """
    if samples == 0:
        return float("nan"), float("nan")
    interval = stats.binomtest(round(share * samples), samples).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def t_test(values: Sequence[float], baseline: Sequence[float]) -> float:
    """Two-sided p value of the paired t test (:func:`paired_difference`).

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
    """Cohen's d of paired values: mean difference over its standard deviation.

    It is NaN for fewer than two pairs or no deviation.
    """
    difference = paired_difference(values, baseline)
    return difference.mean / difference.deviation if difference.count > 1 and difference.deviation > ROUNDING else float("nan")


def blocked_differences(values: np.ndarray, baseline: Sequence[float]) -> tuple[list[Estimate], list[float]]:
    """Differences of many rows to one baseline where all share their seeds.

    This is a randomised complete block design, seeds being the blocks. The model is y = row + seed
    + ε with ε of one variance for all (two-way analysis of variance without interaction;
    Montgomery, "Design and Analysis of Experiments", section 4.1). The residual variance is pooled
    over P + 1 rows, with P (S − 1) degrees of freedom: with few seeds and many rows it finds
    differences that paired t tests, with S − 1 degrees of freedom each, cannot.

    Args:
        values: P×S, a row for each of what is compared, a column a seed.
        baseline: S values, of the same seeds in the same order.

    Returns:
        For each row its difference, whose deviation is that of one seed's difference by the model,
        with the 95 % interval of Student's t; and the two-sided p values, not corrected for their
        number. NaN for fewer than two seeds, or where nothing varies.

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
    """Correct p values for their number; same order.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure". The smallest of m is
    multiplied by m, the next by m − 1, and so on; none becomes smaller than one before it. NaN
    stay, and do not count. (statsmodels has it too, and collects garbage at every call: a fifth of
    a second where torch is loaded.)
    """
    numbers = np.asarray(p_values, dtype=float)
    ascending = np.argsort(numbers)[: int((~np.isnan(numbers)).sum())]
    factors = np.arange(len(ascending), 0, -1)
    numbers[ascending] = np.minimum(1, np.maximum.accumulate(numbers[ascending] * factors))
    return [float(p) for p in numbers]


def units_test(correct: np.ndarray, baseline: np.ndarray) -> float:
    """Two-sided p value that two networks, or sets of them, are right equally often.

    It speaks of units like those of the test set. With one seed this is McNemar's exact test
    (Dietterich 1998). With several, a unit counts with its mean difference over seeds, whose sign
    is random if there is no difference; the test is that of the sum over its standard deviation
    under random signs (McNemar's without continuity correction, were there one seed). It speaks of
    these trained networks, not of other seeds.

    Args:
        correct: which units are right, S×N, bool.
        baseline: the same of what it is compared with.
    """
    if len(correct) == 1:
        gained, lost = int((correct[0] & ~baseline[0]).sum()), int((~correct[0] & baseline[0]).sum())
        return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    difference = correct.mean(0) - baseline.mean(0)
    spread = float(np.sqrt((difference**2).sum()))
    return float(2 * stats.norm.sf(abs(difference.sum()) / spread)) if spread else 1.0


def units_interval(correct: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """Bootstrap interval, 95 %, of the difference of accuracies.

    It is over units like those of the test set, by percentiles, paired by unit.

    Args:
        correct: which units are right, S×N, bool.
        baseline: the same of what it is compared with.
    """
    difference = correct.mean(0) - baseline.mean(0)
    values, counts = np.unique(difference.round(12), return_counts=True)
    # Drawing N units with replacement is drawing how often each of the few different values comes.
    drawn = np.random.default_rng(0).multinomial(len(difference), counts / len(difference), size=RESAMPLES)
    low, high = np.percentile(drawn @ values / len(difference), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def places(means: Sequence[float], p_values: np.ndarray) -> list[int]:
    """Places that the data support.

    From the best downward, what does not differ significantly from the first of a place shares it.

    Args:
        means: M, the higher the better; NaN for what has no place.
        p_values: M×M, of each pair, not corrected yet; Holm's correction over all pairs is made here.

    Returns:
        M places; what follows n others has place n + 1. 0 for what has none.
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
    """Mean rank of each method, 1 the best; equals share.

    Args:
        scores: a row a block (a pair on a data set), a column a method, the higher the better,
            nothing missing.
    """
    return scores.rank(axis=1, ascending=False).mean()


def friedman(scores: pd.DataFrame) -> tuple[float, float]:
    """Friedman's χ² and p value that methods do not differ.

    Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets".

    Args:
        scores: a row a block, a column a method; at least two blocks and three methods.
    """
    statistic, p = stats.friedmanchisquare(*(scores[name] for name in scores.columns))
    return float(statistic), float(p)


def nemenyi(scores: pd.DataFrame) -> pd.DataFrame:
    """The p values of all pairs of methods after Friedman's test, M×M.

    Nemenyi 1963, by scikit-posthocs.
    """
    import scikit_posthocs

    found: pd.DataFrame = scikit_posthocs.posthoc_nemenyi_friedman(scores.to_numpy())
    found.index = found.columns = scores.columns
    return found


def critical_difference(methods: int, blocks: int) -> float:
    """The least significant difference of mean ranks at the 5 % level.

    Demšar 2006, section 3.2.2.
    """
    q = float(stats.studentized_range.ppf(LEVEL, methods, np.inf)) / 2**0.5
    return float(q * (methods * (methods + 1) / (6 * blocks)) ** 0.5)


def iqm_interval(scores: Mapping[str, np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """Interquartile mean of each method, with a 95 % stratified bootstrap interval.

    Agarwal, Schwarzer, Castro, Courville, Bellemare 2021, "Deep Reinforcement Learning at the Edge
    of the Statistical Precipice", arXiv:2108.13264, section 4.3.

    Args:
        scores: method → runs × tasks.
    """
    return {name: _bootstrapped(values, lambda x: stats.trim_mean(x, 0.25, axis=-1)) for name, values in scores.items()}


def performance_profile(
    scores: Mapping[str, np.ndarray], thresholds: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Share of runs above each threshold, with 95 % bootstrap bands.

    The bands are pointwise, the bootstrap is stratified (Agarwal et al. 2021, section 4.2).

    Args:
        scores: method → runs × tasks.
        thresholds: T.

    Returns:
        method → share, low and high, each T.
    """

    def one(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = [_bootstrapped(values, lambda x, t=t: (x > t).mean(axis=-1)) for t in thresholds]  # type: ignore[misc]
        share, low, high = np.array(parts).T
        return share, low, high

    return {name: one(values) for name, values in scores.items()}


def _bootstrapped(values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float]:
    """A statistic of runs × tasks and its percentile interval.

    Runs are drawn with replacement within each task.
    """
    runs, tasks = values.shape
    drawn = np.random.default_rng(0).integers(runs, size=(RESAMPLES, runs, tasks))
    resampled = np.take_along_axis(values[None], drawn, axis=1).reshape(RESAMPLES, -1)
    low, high = np.percentile(statistic(resampled), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(statistic(values.reshape(1, -1))[0]), float(low), float(high)
