"""Simulated suites: what the model reads, without a network.

A test unit has a difficulty; a run gets it right if method, run and chance are above it. Methods that
do not differ have the same probabilities, unit by unit; ``scatter`` lets each find other units hard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from kdbench.analysis.model import DRAWS, LEVEL, Model, contrasts, fit, item_covariance, rank_sets
from kdbench.analysis.variance import moderate

DIFFICULTY = 3.0
"""Standard deviation of difficulties, in those of a run's chance on one unit."""


@dataclass(frozen=True)
class Suite:
    """A kind of suite.

    Args:
        methods: number of methods beside the student trained alone, which is row 0.
        seeds: number of seeds.
        deviation: standard deviation of a run's accuracy on the same test set, in points.
        wild: row with ten times the variance of the others; ``None`` for equal variances.
        gain: true difference of row 1 to the others, in points.
        seed_deviation: what a seed does to all rows, in points.
        accuracy: mean accuracy.
        units: number of test units; 0 to simulate accuracies alone.
        scatter: how much methods differ in what they find hard.
    """

    methods: int = 7
    seeds: int = 3
    deviation: float = 0.55
    wild: int | None = None
    gain: float = 0.0
    seed_deviation: float = 0.0
    accuracy: float = 0.75
    units: int = 0
    scatter: float = 0.0

    @property
    def rows(self) -> int:
        return self.methods + 1

    def shifts(self, random: np.random.Generator, deviation: float) -> np.ndarray:
        """Run-to-run shifts of accuracy in points, M×S, with the gain."""
        scale = np.full(self.rows, deviation)
        if self.wild is not None:
            scale[self.wild] = (10 * self.deviation**2 - self.deviation**2 + deviation**2) ** 0.5
        found = random.standard_normal((self.rows, self.seeds)) * scale[:, None]
        found += self.seed_deviation * random.standard_normal(self.seeds)
        found[1] += self.gain
        return found


def accuracies(suite: Suite, random: np.random.Generator) -> np.ndarray:
    """Accuracies as shares, M×S, on one test set."""
    return np.asarray(suite.accuracy + suite.shifts(random, suite.deviation) / 100)


def correct(suite: Suite, random: np.random.Generator) -> np.ndarray:
    """Which units are right, M×S×N, bool."""
    spread = (1 + DIFFICULTY**2 + suite.scatter**2) ** 0.5
    middle = float(stats.norm.ppf(suite.accuracy)) * spread
    slope = float(stats.norm.pdf(middle / spread)) / spread  # accuracy gained per unit of skill
    hard = DIFFICULTY * random.standard_normal(suite.units, dtype=np.float32)
    own = suite.scatter * random.standard_normal((suite.rows, 1, suite.units), dtype=np.float32)
    chance = random.standard_normal((suite.rows, suite.seeds, suite.units), dtype=np.float32)
    sure = stats.norm.cdf(middle + hard)
    noise = 100 * float(np.sqrt((sure * (1 - sure)).sum())) / suite.units  # of accuracy in points, by units alone
    skill = suite.shifts(random, max(suite.deviation**2 - noise**2, 0.0) ** 0.5) / 100 / slope
    return np.asarray(middle + skill[..., None].astype(np.float32) + hard + own + chance > 0)


def model_of(suite: Suite, random: np.random.Generator, draws: int = DRAWS) -> Model:
    """A simulated suite, fitted."""
    if not suite.units:
        found = fit(accuracies(suite, random), draws=draws)
    else:
        right = correct(suite, random)
        found = fit(right.mean(2), item_covariance(right, np.ones(right.shape[:2], dtype=bool)), draws=draws)
    assert found is not None
    return found


@dataclass(frozen=True)
class Rates:
    """Shares of simulated suites.

    Args:
        suites: their number.
        marked: with any mark at a row without a true difference.
        placed: with any place that excludes the truth.
        covered: of single intervals, that hold the true difference.
        power: with a mark at row 1.
        block: the same by the pooled block design with Holm's correction.
        block_marked: with any mark of the block design at a row without a true difference.
    """

    suites: int
    marked: float
    placed: float
    covered: float
    power: float
    block: float
    block_marked: float


def rates(suite: Suite, suites: int, seed: int = 7) -> Rates:
    """Simulate suites, and count what the model says of them."""
    random = np.random.default_rng(seed)
    found = [_verdicts(model_of(suite, random), suite) for _ in range(suites)] if suite.units else _fast(suite, suites, random)
    return Rates(suites, *(float(np.mean(column)) for column in zip(*found, strict=True)))


def baseline_pairs(suite: Suite) -> np.ndarray:
    return np.stack([np.arange(1, suite.rows), np.zeros(suite.methods, dtype=int)], axis=1)


def all_pairs(suite: Suite) -> np.ndarray:
    return np.stack(np.triu_indices(suite.rows, 1), axis=1)


def _verdicts(model: Model, suite: Suite) -> tuple[float, ...]:
    truth = suite.gain / 100 * (np.arange(suite.rows) == 1)
    found = contrasts(model, baseline_pairs(suite))
    best, worst = rank_sets(model, np.arange(suite.rows))
    true_best = 1 + (truth[:, None] < truth).sum(1)
    true_worst = suite.rows - (truth[:, None] > truth).sum(1)
    block = block_design(model.values[None])[0] < 1 - LEVEL
    null = truth[1:] == 0
    covered = np.abs(found.delta - truth[1:]) <= found.single
    placed = ((best > true_best) | (worst < true_worst)).any()
    return found.significant[null].any(), placed, covered.mean(), found.significant[0], block[0], block[null].any()


def _fast(suite: Suite, suites: int, random: np.random.Generator) -> list[tuple[float, ...]]:
    """The same for accuracies alone: critical values depend on the layout only, and are computed once."""
    values = np.stack([accuracies(suite, random) for _ in range(suites)])
    model = fit(values[0])
    assert model is not None
    variances, _ = moderate(values, model.shared)
    truth = suite.gain / 100 * (np.arange(suite.rows) == 1)
    means = values.mean(2) - truth

    def statistics(pairs: np.ndarray, shift: np.ndarray) -> np.ndarray:
        first, second = pairs.T
        away = (means + shift)[:, first] - (means + shift)[:, second]
        return np.asarray(np.abs(away) / np.sqrt((variances[:, first] + variances[:, second]) / suite.seeds))

    alone, every = baseline_pairs(suite), all_pairs(suite)
    one, many = contrasts(model, alone), contrasts(model, every, wild=True)
    null = truth[1:] == 0
    centred, shifted = statistics(alone, np.zeros(suite.rows)), statistics(alone, truth)
    marked = (shifted > one.half / one.error)[:, null].any(1)
    # A place excludes the truth only if an interval of a pair does.
    placed = (statistics(every, np.zeros(suite.rows)) > many.half / many.error).any(1)
    covered = (centred <= one.single / one.error).mean(1)
    power = shifted[:, 0] > one.half[0] / one.error[0]
    block = block_design(values) < 1 - LEVEL
    return list(zip(marked, placed, covered, power, block[:, 0], block[:, null].any(1), strict=True))


def block_design(values: np.ndarray) -> np.ndarray:
    """P values against row 0 of a randomised complete block design with pooled variance, by Holm.

    This is what the model is held to: Montgomery, "Design and Analysis of Experiments", section 4.1.

    Args:
        values: R×M×S.
    """
    rows, seeds = values.shape[1:]
    means = values.mean(2, keepdims=True)
    residuals = values - means - values.mean(1, keepdims=True) + means.mean(1, keepdims=True)
    freedom = (rows - 1) * (seeds - 1)
    error = np.sqrt(2 * (residuals**2).sum((1, 2)) / freedom / seeds)
    raw = 2 * stats.t.sf(np.abs(means[:, 1:, 0] - means[:, :1, 0]) / error[:, None], freedom)
    order = np.argsort(raw, axis=1)
    factors = np.arange(rows - 1, 0, -1)
    corrected = np.minimum(1, np.maximum.accumulate(np.take_along_axis(raw, order, 1) * factors, axis=1))
    return np.take_along_axis(corrected, np.argsort(order, axis=1), 1)
