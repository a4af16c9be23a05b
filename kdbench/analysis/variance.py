"""Variances of training runs, moderated: few seeds say little about one row.

A row shares the variance pooled over all rows, seeds being blocks, until its own stands out (Smyth 2004,
Statistical Applications in Genetics and Molecular Biology 3:3). The pool is winsorised (Phipson et al. 2016,
Annals of Applied Statistics 10:946), so that one wild row does not widen everybody's intervals.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

WINSOR = 0.999
"""Quantile of a row's variance above which it is cut for the pool."""
CELLS_AT_ONCE = 300_000
"""Results of suites that are worked on at once, which bounds the memory."""


def moderate(values: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the moderated variances of rows' runs, and the pooled one.

    Args:
        values: R suites, R×M×S; NaN where runs are missing, in all suites alike.
        shared: which rows enter the pool, M, bool.

    Returns:
        Moderated, R×M, and pooled, R.
    """
    at_once = max(1, CELLS_AT_ONCE // values[0].size)
    parts = [_moderate(values[i : i + at_once], shared) for i in range(0, len(values), at_once)]
    return np.concatenate([m for m, _ in parts]), np.concatenate([p for _, p in parts])


def _moderate(values: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = ~np.isnan(values[0])
    counts, whole = known.sum(1), _whole(known, shared)
    freedom = np.maximum(counts - 1, 0)
    kink, slope, most, mean = np.array([_limits(int(max(f, 1))) for f in freedom]).T
    centred = np.where(known, values - (np.nansum(values, 2) / np.maximum(counts, 1))[:, :, None], 0.0)

    def own(weights: np.ndarray) -> np.ndarray:
        seeds = np.einsum("rm,rms->rs", weights, centred)
        away = seeds[:, None, :] - (seeds @ known.T / np.maximum(counts, 1))[:, :, None]
        residuals = np.where(known, centred - away, 0.0)
        bias = np.maximum(1 - 2 * weights + (weights**2).sum(1, keepdims=True), 0.1)
        return np.asarray((residuals**2).sum(2) / np.maximum(freedom, 1) / bias)

    def pool(found: np.ndarray) -> np.ndarray:
        share = shared * freedom / (shared * freedom * mean).sum()
        level = found @ (share * mean)
        for _ in range(10):
            level = np.minimum(found, level[:, None] * most) @ share
        return np.asarray(level)

    equal = np.broadcast_to(whole / max(whole.sum(), 1), values.shape[:2])
    found = own(equal)
    excess = found / np.maximum(pool(found), 1e-300)[:, None]
    weights = whole / np.maximum(1.0, excess / most)
    found = own(weights / np.maximum(weights.sum(1, keepdims=True), 1e-300))
    pooled = pool(found)
    excess = np.where(freedom > 0, found / np.maximum(pooled, 1e-300)[:, None] - kink, 0)
    return pooled[:, None] * (1 + slope * np.maximum(excess, 0)), pooled


def degrees_of_freedom(known: np.ndarray, shared: np.ndarray) -> int:
    """Return the degrees of freedom of the pooled variance.

    Args:
        known: which runs there are, M×S, bool.
        shared: which rows enter the pool, M, bool.
    """
    counts = known[shared].sum(1)
    whole = _whole(known, shared)
    return int(np.maximum(counts - 1, 0).sum()) - (known.shape[1] - 1 if whole.sum() > 1 else 0)


def _whole(known: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Return which rows show what a seed does to all: those with all seeds."""
    whole = shared & known.all(1)
    return whole if whole.sum() > 1 else np.zeros_like(whole)


@lru_cache(maxsize=16)
def _limits(freedom: int) -> tuple[float, float, float, float]:
    """Return how far a row's own variance may exceed the pooled one.

    Args:
        freedom: degrees of freedom of the row's own variance.

    Returns:
        The ratio up to which a row counts as like the others; by how much the excess counts (a t
        quantile with so few degrees of freedom over the normal one, squared); the ratio at which the
        pool winsorises; and the mean of a ratio that is winsorised there.
    """
    at = float(stats.chi2.ppf(WINSOR, freedom)) / freedom
    mean = at * float(stats.chi2.sf(at * freedom, freedom)) + float(stats.chi2.cdf(at * freedom, freedom + 2))
    slope = float(stats.t.isf(0.025, freedom) / stats.norm.isf(0.025)) ** 2
    # Both limits are chosen by benchmarks/simulate_suites.py: a later kink or a flatter slope marks unstable
    # methods too often, an earlier kink loses the power of a pooled variance. The slope of two seeds, 42,
    # would give an unstable method an interval that nobody reads, and marks hardly fewer by chance.
    return 2 - 0.5 / freedom, min(slope, 10.0), at, mean
