"""What chance does to a table: one model behind every difference, mark and place.

A row's result with a seed is y = row + seed + run + items. ``run`` is another training run with the
same settings, of variance σ² (per row); ``items`` is the choice of the test set, crossed with the runs
(Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1:386). A difference of two rows
over S seeds has the variance (σ₁² + σ₂²) / S + κ, where κ is that of the items.

- σ² is moderated (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3:3): a row
  shares the variance pooled over all rows until its own stands out; see :mod:`kdbench.analysis.variance`.
- κ comes from products of what two *different* runs got right, which contain no chance of training.
- Critical values are quantiles of the same statistic in suites drawn from the fitted model, so they
  allow for few seeds, for the shared baseline (Dunnett 1955) and for the number of comparisons.
- Places are confidence sets of ranks (Mogstad, Romano, Shaikh, Wilhelm 2024, Review of Economic
  Studies 91:476), from simultaneous intervals of all pairs.

``docs/statistics.md`` has the error rates and the power of it, by simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kdbench.analysis.variance import degrees_of_freedom, moderate

LEVEL = 0.95
"""Confidence level of every interval."""
DRAWS = 10_000
"""Suites drawn from a model; always the same ones, for reproducible reports."""
MOST_CELLS = 6_000_000
"""Most results drawn at once; a suite with very many rows gets fewer draws."""
LEAST_FREEDOM = 2
"""Least degrees of freedom of the pooled variance for which there are intervals."""
WILD = 10.0
"""Places hold even if one row has this many times the variance of the others."""
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Model:
    """The fitted model of M rows and S seeds.

    Args:
        values: the results, M×S; NaN for a run that is missing.
        pooled: variance of a run that is like the others.
        variances: moderated variance of each row's runs, M; 0 for a single network taken as it is.
        items: covariance of the rows' means over test sets of this size, M×M; differences only.
        shared: which rows entered the pool, M, bool.
        draws: number of suites to draw.
    """

    values: np.ndarray
    pooled: float
    variances: np.ndarray
    items: np.ndarray
    shared: np.ndarray
    draws: int = DRAWS

    @property
    def known(self) -> np.ndarray:
        """Which runs there are, M×S, bool."""
        return np.asarray(~np.isnan(self.values))

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the pooled variance."""
        return degrees_of_freedom(self.known, self.shared)

    @property
    def means(self) -> np.ndarray:
        """Mean of each row's results, M; NaN without any."""
        counts = self.known.sum(1)
        return np.where(counts, np.nansum(self.values, 1) / np.maximum(counts, 1), NAN)


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Differences of C pairs of rows.

    Args:
        delta: first minus second, mean over the seeds that both have, C; NaN without any.
        seeds: number of these seeds, C.
        run_variance: variance of one seed's difference, C; NaN with fewer than two seeds, as below.
        error: standard error of the difference, C.
        single: half-width of the 95 % interval of one comparison by itself, C.
        half: half-width of the 95 % simultaneous interval of all C comparisons, C.
        p_values: two-sided, corrected for the number of comparisons, C.
    """

    delta: np.ndarray
    seeds: np.ndarray
    run_variance: np.ndarray
    error: np.ndarray
    single: np.ndarray
    half: np.ndarray
    p_values: np.ndarray

    @property
    def significant(self) -> np.ndarray:
        """Which simultaneous intervals exclude 0, C, bool."""
        return np.asarray(np.abs(self.delta) > self.half)


def fit(values: np.ndarray, items: np.ndarray | None = None, apart: int = 0, draws: int = DRAWS) -> Model | None:
    """Fit the model; ``None`` where the results say nothing about chance.

    That is so with one seed, with too few rows and seeds for a variance, or if nothing varies.

    Args:
        values: results, M×S, NaN for a missing run.
        items: :func:`item_covariance`, M×M; without it, chance of the test set is left out.
        apart: number of last rows that do not enter the pool (teachers: another network).
        draws: number of suites to draw.
    """
    values = np.asarray(values, dtype=float)
    known, shared = ~np.isnan(values), np.arange(len(values)) < len(values) - apart
    if degrees_of_freedom(known, shared) < LEAST_FREEDOM:
        return None
    moderated, pooled = moderate(values[None], shared)
    scale = float(np.nanmax(np.abs(values)))
    if not pooled[0] > (1e-12 * max(scale, 1e-300)) ** 2:
        return None
    variances = np.where(~shared & (known.sum(1) < 2), 0.0, moderated[0])
    count = int(max(1000, min(draws, MOST_CELLS // values.size)))
    covariance = np.zeros((len(values), len(values))) if items is None else _semidefinite(items)
    return Model(values, float(pooled[0]), variances, covariance, shared, count)


def contrasts(model: Model, pairs: np.ndarray, level: float = LEVEL, *, wild: bool = False) -> Contrasts:
    """Compare pairs of rows.

    Args:
        model: the model.
        pairs: C×2, row and the row to compare it with.
        level: level of the simultaneous intervals.
        wild: whether they must hold even if one row has ``WILD`` times the variance of the others.
    """
    first, second = np.asarray(pairs, dtype=int).reshape(-1, 2).T
    known = model.known
    both = known[first] & known[second]
    seeds = both.sum(1)
    gaps = np.where(both, model.values[first] - model.values[second], 0.0)
    delta = np.where(seeds > 0, gaps.sum(1) / np.maximum(seeds, 1), NAN)
    fit_for = seeds >= 2
    run, items = model.variances[first] + model.variances[second], _of_pairs(model.items, first, second)
    error = np.where(fit_for, np.sqrt(run / np.maximum(seeds, 1) + items), NAN)
    nothing = np.full(len(first), NAN)
    if not fit_for.any():
        return Contrasts(delta, seeds, nothing, error, nothing, nothing, nothing)
    at = (first[fit_for], second[fit_for], both[fit_for], items[fit_for])
    drawn = _statistics(model, *at, 1.0)
    single = np.quantile(drawn, LEVEL, axis=0)
    largest = (drawn / single).max(1)
    if wild:
        largest = np.maximum(np.sort(largest), np.sort((_statistics(model, *at, WILD) / single).max(1)))
    factor = float(np.quantile(largest, level))
    observed = np.abs(delta[fit_for]) / error[fit_for] / single
    p_values = (1 + (largest[:, None] >= observed).sum(0)) / (1 + len(largest))

    def spread(found: np.ndarray) -> np.ndarray:
        full = nothing.copy()
        full[fit_for] = found
        return full

    return Contrasts(
        delta,
        seeds,
        np.where(fit_for, run, NAN),
        error,
        spread(single) * error,
        spread(factor * single) * error,
        spread(p_values),
    )


def rank_sets(model: Model, rows: np.ndarray, sign: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the best and the worst place that each row can have.

    They hold for all rows together with a probability of 95 %.

    Args:
        model: the model.
        rows: indices of the R rows that are ranked.
        sign: 1 if higher values are better, −1 if lower ones are.

    Returns:
        Best and worst places, R each, from 1.
    """
    first, second = np.triu_indices(len(rows), 1)
    found = contrasts(model, np.stack([rows[first], rows[second]], axis=1), wild=True)
    better = np.zeros((len(rows), len(rows)), dtype=bool)
    better[first, second] = found.significant & (sign * found.delta > 0)
    better[second, first] = found.significant & (sign * found.delta < 0)
    return 1 + better.sum(0), len(rows) - better.sum(1)


def first_probabilities(model: Model, rows: np.ndarray, sign: int = 1) -> np.ndarray:
    """Return how often each row comes first if seeds and test samples are drawn again.

    Args:
        model: the model.
        rows: indices of the R rows that are ranked.
        sign: 1 if higher values are better, −1 if lower ones are.
    """
    results, _, pooled = _suites(model, 1.0)
    known = model.known[rows]
    runs = np.where(known, results[:, rows], 0).sum(2) / known.sum(1)
    runs = runs * np.sqrt(model.variances[rows]) / np.sqrt(pooled)[:, None]
    drawn = sign * (model.means + _item_draws(model))[:, rows] + runs
    return np.bincount(drawn.argmax(1), minlength=len(rows)) / len(drawn)


def item_covariance(right: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the covariance of rows' means over test sets of this size.

    It is what two different runs get right together, beyond what their means say: training's own chance
    is independent between runs and drops out. (Runs of one seed share initial weights and batches, and
    are not multiplied.) A row with a single run is taken as it is.

    Args:
        right: which of N test units are right, M×S×N, bool.
        known: which runs there are, M×S, bool.
    """
    centred = np.where(known[..., None], right - right.mean(2, keepdims=True), 0).astype(np.float32)
    counts, samples = known.sum(1), right.shape[2]
    totals = centred.sum(1)
    products, pairs = totals @ totals.T, np.outer(counts, counts).astype(float)
    several = np.outer(counts > 1, counts > 1)
    same = np.einsum("msn,ksn->mk", centred, centred, optimize=True)
    products = np.where(several, products - same, products)
    pairs = np.where(several, pairs - known.astype(float) @ known.T.astype(float), pairs)
    return np.asarray(products / np.maximum(pairs, 1) / samples**2, dtype=float)


def fieller(delta: float, gap: float, variances: tuple[float, float, float], critical: float) -> tuple[float, float, float]:
    """Return the ratio of two differences and its interval.

    All are NaN unless the second difference is significant.

    Fieller 1954, Journal of the Royal Statistical Society B 16:175. The interval excludes 0 exactly if
    that of ``delta`` with the same critical value does.

    Args:
        delta: the difference above the bar.
        gap: the difference below it.
        variances: variance of ``delta``, covariance of both, variance of ``gap``.
        critical: half-width of the interval of ``delta`` over its standard error.
    """
    above, together, below = (critical**2 * v for v in variances)
    a, b, c = gap**2 - below, delta * gap - together, delta**2 - above
    if not a > 0:
        return NAN, NAN, NAN
    root = max(b**2 - a * c, 0.0) ** 0.5
    return delta / gap, (b - root) / a, (b + root) / a


def row_covariance(model: Model, row: int, alone: int, teacher: int, seeds: int) -> tuple[float, float, float]:
    """Return the variances of row − alone and teacher − alone.

    Their covariance stands between them.

    Args:
        model: the model.
        row: index of the row.
        alone: index of the student trained alone.
        teacher: index of the teacher.
        seeds: number of seeds that row and student alone have in common.
    """
    k, own = model.items, model.variances
    taught = own[teacher] / max(int(model.known[teacher].sum()), 1)
    covariance = own[alone] / seeds + k[row, teacher] - k[row, alone] - k[alone, teacher] + k[alone, alone]
    above = (own[row] + own[alone]) / seeds + _of_pairs(k, np.array(row), np.array(alone))
    below = taught + own[alone] / seeds + _of_pairs(k, np.array(teacher), np.array(alone))
    return float(above), float(covariance), float(below)


@lru_cache(maxsize=4)
def _drawn(known: bytes, shape: tuple[int, int], shared: bytes, draws: int, wild: float) -> tuple[np.ndarray, ...]:
    """Draw suites of variance 1: results, moderated and pooled variances."""
    there = np.frombuffer(known, dtype=bool).reshape(shape)
    results = np.random.default_rng(0).standard_normal((draws, *shape))
    if wild != 1.0:
        results[np.arange(draws), np.arange(draws) % shape[0]] *= wild**0.5
    results[:, ~there] = NAN
    return results, *moderate(results, np.frombuffer(shared, dtype=bool))


def _suites(model: Model, wild: float) -> tuple[np.ndarray, ...]:
    return _drawn(model.known.tobytes(), model.values.shape, model.shared.tobytes(), model.draws, wild)


def _statistics(
    model: Model, first: np.ndarray, second: np.ndarray, both: np.ndarray, items: np.ndarray, wild: float
) -> np.ndarray:
    """Return |difference| / standard error in suites without any, draws × C."""
    enough = max(1000, MOST_CELLS // len(first))
    results, variances = (part[:enough] for part in _suites(model, wild)[:2])
    known = model.known
    weights = np.zeros((len(first), *known.shape))
    at = np.arange(len(first))
    weights[at, first] += both / both.sum(1, keepdims=True)
    weights[at, second] -= both / both.sum(1, keepdims=True)
    flat = np.where(known, results, 0.0).reshape(len(results), -1)
    drawn = (flat @ weights.reshape(len(first), -1).T) * model.pooled**0.5
    errors = model.pooled * (variances[:, first] + variances[:, second]) / both.sum(1)
    if items.any():
        noise = _item_draws(model)[:enough]
        drawn, errors = drawn + noise[:, first] - noise[:, second], errors + items
    return np.asarray(np.abs(drawn) / np.sqrt(errors))


def _item_draws(model: Model) -> np.ndarray:
    """Return what other test sets do to the rows' means, draws × M."""
    values, vectors = np.linalg.eigh(model.items)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # symmetric, so the signs of vectors do not matter
    return np.asarray(np.random.default_rng(1).standard_normal((model.draws, len(root))) @ root)


def _semidefinite(items: np.ndarray) -> np.ndarray:
    """Return the nearest covariance of differences: what all rows share is left out."""
    centre = np.eye(len(items)) - 1 / len(items)
    values, vectors = np.linalg.eigh(centre @ items @ centre)
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)


def _of_pairs(items: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the variance of differences that the test set causes."""
    return np.asarray(np.maximum(items[first, first] + items[second, second] - 2 * items[first, second], 0))
