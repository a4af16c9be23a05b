"""The model of chance: error rates, coverage and power in simulated suites, and its parts by hand.

All numbers of suites are fixed, and so are the seeds; margins are three standard errors of Monte Carlo.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from kdbench.analysis.model import Model, contrasts, fieller, first_probabilities, fit, item_covariance, rank_sets
from kdbench.analysis.power import power_columns, seeds_for
from kdbench.analysis.variance import moderate
from tests.analysis.simulate import Suite, all_pairs, baseline_pairs, correct, model_of, rates

SUITES = 2000


def margin(share: float, suites: int = SUITES) -> float:
    """Three standard errors of a share, and what 10,000 draws leave uncertain of a critical value."""
    return 3 * math.sqrt(share * (1 - share) / suites) + 3 * math.sqrt(share * (1 - share) / 10_000)


@pytest.mark.parametrize("methods", [7, 20])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_methods_that_do_not_differ_get_a_mark_or_a_place_in_5_percent_of_suites(seeds: int, methods: int) -> None:
    found = rates(Suite(methods, seeds), SUITES)
    assert found.marked <= 0.05 + margin(0.05)
    assert found.placed <= 0.05 + margin(0.05)
    assert 0.93 <= found.covered <= 0.97


@pytest.mark.parametrize("methods", [7, 20])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_one_method_of_ten_times_the_variance_breaks_neither_marks_nor_places(seeds: int, methods: int) -> None:
    """With two or three seeds its own variance is hardly known, and marks are false in up to 8 and 6.5 % (docs/statistics.md)."""
    found = rates(Suite(methods, seeds, wild=methods // 2), SUITES)
    allowed = {2: 0.08, 3: 0.065}.get(seeds, 0.05)
    assert found.marked <= allowed + margin(allowed)
    assert found.placed <= 0.055 + margin(0.055)
    assert 0.93 <= found.covered <= 0.98
    assert found.marked < found.block_marked


@pytest.mark.parametrize("methods", [7, 20])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_a_gain_of_one_point_is_found_at_least_as_often_as_by_the_pooled_block_design(seeds: int, methods: int) -> None:
    for shared in (0.0, 0.5):  # what a seed does to all methods changes nothing: seeds are blocks
        found = rates(Suite(methods, seeds, gain=1.0, seed_deviation=shared), SUITES)
        assert found.power >= found.block - 0.01
        assert found.marked <= 0.05 + margin(0.05)


def test_simulated_image_by_image_marks_are_false_in_5_percent_and_intervals_cover() -> None:
    """Of 10,000 images, whether methods find the same images hard or others."""
    kinds = [
        Suite(7, 3, 0.55, units=10_000),
        Suite(7, 2, 0.55, units=10_000, scatter=1.0),
        Suite(7, 3, 0.30, accuracy=0.975, units=10_000, scatter=1.0),
        Suite(7, 5, 0.14, accuracy=0.975, units=10_000, scatter=1.0),
    ]
    each = 50
    found = [rates(kind, each, seed=i) for i, kind in enumerate(kinds)]
    suites = each * len(kinds)
    assert np.mean([f.marked for f in found]) <= 0.05 + margin(0.05, suites)
    assert np.mean([f.placed for f in found]) <= 0.05 + margin(0.05, suites)
    assert 0.92 <= np.mean([f.covered for f in found]) <= 0.98


def test_the_fast_simulation_says_what_the_model_says() -> None:
    random = np.random.default_rng(3)
    suite = Suite(7, 3)
    values = random.normal(0.7, 0.005, (20, suite.rows, suite.seeds))
    model = fit(values[0])
    assert model is not None
    variances, pooled = moderate(values, model.shared)
    for i in range(20):
        own = fit(values[i])
        assert own is not None
        assert own.variances == pytest.approx(variances[i])
        assert own.pooled == pytest.approx(pooled[i])


def test_a_mark_is_an_interval_without_0_and_a_corrected_p_value_below_5_percent() -> None:
    random = np.random.default_rng(5)
    suite = Suite(7, 3, gain=2.0)
    for _ in range(20):
        found = contrasts(model_of(suite, random), baseline_pairs(suite))
        assert (found.significant == (np.abs(found.delta) > found.half)).all()
        sure = np.abs(found.p_values - 0.05) > 0.002
        assert ((found.p_values < 0.05) == found.significant)[sure].all()
        assert (found.single < found.half).all()


def test_two_rows_are_a_paired_t_test() -> None:
    values = np.array([[0.71, 0.74, 0.69, 0.75, 0.72], [0.70, 0.71, 0.68, 0.71, 0.72]])
    model = fit(values, draws=10_000)
    assert model is not None
    found = contrasts(model, np.array([[0, 1]]))
    expected = stats.ttest_rel(*values)
    low, high = expected.confidence_interval(0.95)
    assert found.delta[0] == pytest.approx(0.018)
    assert found.half[0] == pytest.approx((high - low) / 2, rel=0.03)
    assert found.p_values[0] == pytest.approx(expected.pvalue, abs=0.01)


def test_many_rows_and_seeds_approach_dunnett() -> None:
    """Critical value of Dunnett's two-sided test, 7 methods, by scipy."""
    random = np.random.default_rng(0)
    values = random.normal(0, 1, (8, 200))
    model = fit(values, draws=4000)
    assert model is not None
    found = contrasts(model, baseline_pairs(Suite(7)))
    expected = stats.dunnett(*values[1:], control=values[0], random_state=0)
    interval = expected.confidence_interval(0.95)
    assert found.half.mean() == pytest.approx(float((interval.high - interval.low).mean()) / 2, rel=0.04)


@pytest.mark.parametrize("values", [np.array([[0.5], [0.6]]), np.array([[0.5, 0.6], [0.6, 0.7]]), np.full((5, 3), 0.5)])
def test_one_seed_two_runs_of_two_rows_and_equal_results_say_nothing_of_chance(values: np.ndarray) -> None:
    assert fit(values) is None


def test_a_wild_row_does_not_widen_the_intervals_of_others_and_has_a_wide_one() -> None:
    random = np.random.default_rng(1)
    values = random.normal(0.96, 0.002, (21, 3))
    calm = fit(values)
    values[5] = [0.93, 0.88, 0.90]
    wild = fit(values)
    assert calm is not None
    assert wild is not None
    before, after = (contrasts(m, baseline_pairs(Suite(20))) for m in (calm, wild))
    others = np.arange(20) != 4
    assert np.median(after.half[others]) < 1.35 * np.median(before.half[others])
    assert after.half[4] > 5 * np.median(after.half[others])


def test_a_row_that_lacks_a_seed_is_compared_over_the_seeds_it_has() -> None:
    random = np.random.default_rng(2)
    values = random.normal(0.7, 0.005, (8, 3))
    values[3, 2] = math.nan
    values[4, 1:] = math.nan
    model = fit(values)
    assert model is not None
    found = contrasts(model, baseline_pairs(Suite(7)))
    assert found.seeds.tolist() == [3, 3, 2, 1, 3, 3, 3]
    assert found.delta[2] == pytest.approx((values[3, :2] - values[0, :2]).mean())
    assert found.half[2] > found.half[[0, 1, 4, 5, 6]].min()
    assert math.isnan(found.half[3]), "one seed in common"


def test_the_covariance_of_items_holds_no_chance_of_training() -> None:
    """Two methods with the same probabilities: their difference over other test sets has no variance; by scatter, it has."""
    random = np.random.default_rng(0)
    same, other = (
        [item_covariance(correct(Suite(1, 4, 0.3, units=10_000, scatter=s), random), np.ones((2, 4), bool)) for _ in range(20)]
        for s in (0.0, 1.5)
    )
    of = lambda k: float(np.mean([c[0, 0] + c[1, 1] - 2 * c[0, 1] for c in k]))  # noqa: E731
    assert abs(of(same)) < 0.05 * of(other)


def test_rank_sets_and_the_probability_of_the_first() -> None:
    random = np.random.default_rng(4)
    values = random.normal(0, 0.001, (5, 5)) + np.array([0.9, 0.9, 0.8, 0.7, 0.7])[:, None]
    model = fit(values)
    assert model is not None
    best, worst = rank_sets(model, np.arange(5))
    assert best.tolist() == [1, 1, 3, 4, 4]
    assert worst.tolist() == [2, 2, 3, 5, 5]
    share = first_probabilities(model, np.arange(5))
    assert share.sum() == pytest.approx(1)
    assert share[2:].sum() == 0
    best, worst = rank_sets(model, np.arange(5), sign=-1)
    assert best.tolist() == [4, 4, 3, 1, 1]
    last = first_probabilities(model, np.arange(5), sign=-1)
    assert last[:3].sum() == 0


def test_fieller_s_interval_holds_0_exactly_if_that_of_the_difference_does() -> None:
    for delta in (-0.03, -0.0199, 0.0, 0.0201, 0.04):
        ratio, low, high = fieller(delta, 0.1, (0.01**2, 0.00005, 0.015**2), 2.0)
        assert ratio == pytest.approx(delta / 0.1)
        assert (low <= 0 <= high) == (abs(delta) <= 0.02)
    assert all(math.isnan(v) for v in fieller(0.03, 0.02, (0.01**2, 0.0, 0.015**2), 2.0)), "the gap itself may be noise"


def test_the_power_note_is_what_simulation_finds() -> None:
    random = np.random.default_rng(6)
    noted = []
    for _ in range(20):
        model = model_of(Suite(7, 5), random)
        noted.append(power_columns(model, lines(model), percent=True)["detectable"])
    found = rates(Suite(7, 5, gain=100 * float(np.mean(noted))), SUITES)
    assert found.power == pytest.approx(0.8, abs=0.06)


def test_seeds_needed_fall_with_the_size_of_the_difference() -> None:
    found = model_of(Suite(7, 3, 0.3), np.random.default_rng(0))
    noted = power_columns(found, lines(found), percent=True)
    assert 2 <= noted["seeds_one"] < noted["seeds_half"] <= 100
    assert seeds_for(0.01, 0.003, 7) < seeds_for(0.01, 0.006, 7) < math.inf
    assert math.isinf(seeds_for(0.0001, 0.006, 7))


def lines(model: Model) -> list[dict[str, float]]:
    found = contrasts(model, baseline_pairs(Suite(len(model.values) - 1)))
    critical = found.half / found.error
    return [{"error": e, "critical": c, "seeds": s} for e, c, s in zip(found.error, critical, found.seeds, strict=True)]


def test_all_pairs_are_all_pairs() -> None:
    assert len(all_pairs(Suite(7))) == 28
