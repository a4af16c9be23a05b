"""Means and intervals, held to scipy's own tests and to published numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from kdbench.analysis.statistics import (
    blocked_differences,
    critical_difference,
    effect_size,
    estimate,
    friedman,
    holm,
    iqm_interval,
    mean_ranks,
    nemenyi,
    paired_difference,
    performance_profile,
    places,
    t_test,
    units_interval,
    units_test,
    wilson,
)

SHARES = st.integers(0, 10_000).map(lambda n: n / 10_000)


@given(st.lists(SHARES, min_size=2, max_size=10))
def test_the_interval_of_a_mean_is_the_one_of_scipy_s_t_test(values: list[float]) -> None:
    found = estimate(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    if found.deviation > 1e-9:
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@given(st.lists(st.tuples(SHARES, SHARES), min_size=2, max_size=10))
def test_the_interval_of_a_difference_is_the_one_of_scipy_s_paired_t_test(pairs: list[tuple[float, float]]) -> None:
    values, baseline = zip(*pairs, strict=True)
    found = paired_difference(values, baseline)
    if found.deviation > 1e-9:
        expected = stats.ttest_rel(values, baseline).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_student_s_sleep_data() -> None:
    """Student (1908), the additional hours of sleep of ten patients: 1.58 hours apart, 95 % interval 0.70 to 2.46 (R's t.test)."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = paired_difference(second, first)
    assert found.mean == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)


def test_pairing_by_seed_takes_out_what_seeds_share() -> None:
    baseline = [0.5, 0.7, 0.9]
    found = paired_difference([b + d for b, d in zip(baseline, [0.010, 0.011, 0.012], strict=True)], baseline)
    assert found.mean == pytest.approx(0.011)
    assert found.low > 0
    assert estimate(baseline).deviation == pytest.approx(0.2)


def test_differences_in_blocks_are_those_of_a_linear_model_of_statsmodels() -> None:
    values = np.random.default_rng(3).normal(0.7, 0.02, (6, 3))
    found, p_values = blocked_differences(values[1:], values[0].tolist())
    table = pd.DataFrame([{"row": i, "seed": s, "y": values[i, s]} for i in range(6) for s in range(3)])
    model = ols("y ~ C(row) + C(seed)", table).fit()
    assert model.df_resid == 10
    for i, (one, p) in enumerate(zip(found, p_values, strict=True), 1):
        name = f"C(row)[T.{i}]"
        assert one.mean == pytest.approx(model.params[name])
        assert (one.low, one.high) == pytest.approx(tuple(model.conf_int().loc[name]))
        assert p == pytest.approx(model.pvalues[name])


def test_one_row_in_blocks_is_the_paired_t_test() -> None:
    values, baseline = [0.71, 0.74, 0.69, 0.75], [0.70, 0.71, 0.68, 0.71]
    (found,), (p,) = blocked_differences(np.array([values]), baseline)
    expected = paired_difference(values, baseline)
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert found.deviation == pytest.approx(expected.deviation)
    assert p == pytest.approx(t_test(values, baseline))


def test_intervals_in_blocks_cover_what_they_claim_with_two_seeds() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0, 0.01, 20)
    covered = []
    for _ in range(400):
        seeds = random.normal(0, 0.02, 2)
        values = truth[:, None] + seeds + random.normal(0, 0.003, (20, 2))
        found, _ = blocked_differences(values[1:], values[0].tolist())
        covered += [e.low <= t - truth[0] <= e.high for e, t in zip(found, truth[1:], strict=True)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_one_seed_and_equal_rows_have_no_interval_in_blocks() -> None:
    for values, baseline in ((np.array([[0.5], [0.6]]), [0.4]), (np.array([[0.5, 0.6]]), [0.4, 0.5])):
        found, p_values = blocked_differences(values, baseline)
        assert found[0].mean == pytest.approx(0.1)
        assert all(math.isnan(v) for v in (found[0].low, found[0].high, *p_values))
    with pytest.raises(ValueError, match="dimension"):
        blocked_differences(np.zeros((2, 3)), [0.0, 0.0])


def test_one_value_has_neither_deviation_nor_interval_and_none_has_no_mean() -> None:
    one = estimate([0.9])
    assert one.mean == 0.9
    assert one.count == 1
    assert all(math.isnan(v) for v in (one.deviation, one.low, one.high))
    assert math.isnan(estimate([]).mean)
    assert estimate([]).count == 0


def test_values_of_other_seeds_are_not_paired() -> None:
    with pytest.raises(ValueError, match="same seeds"):
        paired_difference([0.1, 0.2], [0.1])


def test_wilson_s_interval_is_newcombe_s_worked_example() -> None:
    """Newcombe (1998), Statistics in Medicine 17:857, table I: 81/263 gives 0.2553 to 0.3662; 0/20 gives 0 to 0.1611."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_s_interval_holds_the_share_and_stays_in_bounds(counts: tuple[int, int]) -> None:
    correct, total = counts
    low, high = wilson(correct / total, total)
    assert 0 <= low <= correct / total + 1e-12
    assert correct / total - 1e-12 <= high <= 1


def test_no_samples_give_no_interval() -> None:
    assert all(math.isnan(end) for end in wilson(float("nan"), 0))


SLEEP = ([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def test_the_paired_t_test_of_student_s_sleep_data() -> None:
    """R's t.test(paired = TRUE): p = 0.002833; Cohen's d of paired samples 1.28."""
    assert t_test(SLEEP[1], SLEEP[0]) == pytest.approx(0.002833, abs=5e-7)
    assert effect_size(SLEEP[1], SLEEP[0]) == pytest.approx(1.285, abs=1e-3)


def test_a_t_test_without_spread_or_without_pairs() -> None:
    assert math.isnan(t_test([0.91, 0.93], [0.90, 0.92]))  # equal by chance, or by rounding: nothing to judge by
    assert math.isnan(paired_difference([0.91, 0.93], [0.90, 0.92]).low)
    assert t_test([0.5, 0.75], [0.5, 0.75]) == 1.0
    assert math.isnan(t_test([0.5], [0.25]))
    assert math.isnan(effect_size([0.91, 0.93], [0.90, 0.92]))


def test_holm_by_hand() -> None:
    """0.01·4, max(0.04, 0.02·3), max(0.06, 0.03·2), 0.04 after 0.06; what is not known does not count."""
    assert holm([0.03, 0.01, math.nan, 0.04, 0.02]) == pytest.approx([0.06, 0.04, math.nan, 0.06, 0.06], nan_ok=True)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gc.collect", lambda *_: 0)  # slow, and called each time
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def approval() -> tuple[np.ndarray, np.ndarray]:
    """Agresti, "Categorical Data Analysis", table 10.1: two surveys of 1,600 people; 794 yes-yes, 150 yes-no, 86 no-yes, 570 no-no."""
    first = np.repeat([True, True, False, False], [794, 150, 86, 570])
    second = np.repeat([True, False, True, False], [794, 150, 86, 570])
    return first, second


def test_one_seed_is_compared_by_mcnemar_s_exact_test() -> None:
    first, second = approval()
    assert units_test(first[None], second[None]) == pytest.approx(mcnemar([[794, 150], [86, 570]], exact=True).pvalue)
    assert units_test(first[None], first[None]) == 1.0


def test_several_seeds_are_compared_by_random_signs() -> None:
    """Two seeds that agree are McNemar's test without correction: z² = (150 − 86)² / (150 + 86) = 17.36 (Agresti)."""
    first, second = approval()
    p = units_test(np.stack([first, first]), np.stack([second, second]))
    assert stats.norm.isf(p / 2) ** 2 == pytest.approx(17.36, abs=0.01)
    assert units_test(np.stack([first, second]), np.stack([first, second])) == 1.0


def test_the_interval_over_units_is_that_of_a_proportion_s_difference() -> None:
    first, second = approval()
    low, high = units_interval(first[None], second[None])
    difference, n = (150 - 86) / 1600, 1600
    half = 1.96 * math.sqrt((236 / n - difference**2) / n)
    assert (low, high) == pytest.approx((difference - half, difference + half), abs=0.0015)


def test_the_intervals_cover_and_the_tests_err_as_often_as_they_claim() -> None:
    """Simulated: 5 seeds, 400 images, no true difference; 500 times, so that 3 standard errors are 2.9 points."""
    rng = np.random.default_rng(1)
    covered = t_errors = unit_errors = unit_covered = 0
    for _ in range(500):
        seeds = rng.normal(0.8, 0.02, 5)  # what methods share
        a, b = seeds + rng.normal(0, 0.01, 5), seeds + rng.normal(0, 0.01, 5)
        found = paired_difference(a, b)
        covered += found.low <= 0 <= found.high
        t_errors += t_test(a, b) < 0.05
        easy = rng.random(400)
        one, other = rng.random((2, 400)) < easy, rng.random((2, 400)) < easy
        unit_errors += units_test(one, other) < 0.05
        low, high = units_interval(one, other)
        unit_covered += low <= 0 <= high
    assert covered / 500 == pytest.approx(0.95, abs=0.029)
    assert t_errors / 500 == pytest.approx(0.05, abs=0.029)
    assert unit_errors / 500 == pytest.approx(0.05, abs=0.029)
    assert unit_covered / 500 == pytest.approx(0.95, abs=0.029)


def test_equal_methods_seldom_get_different_places() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        scores = rng.normal(0, 1, (4, 5)) + rng.normal(0, 1, (1, 5))
        p = np.array([[t_test(a, b) for b in scores] for a in scores])
        wrong += len(set(places(scores.mean(1).tolist(), p))) > 1
    assert wrong / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_places_are_shared_by_what_does_not_differ_significantly() -> None:
    p = np.array([[1, 0.5, 0.001], [0.5, 1, 0.2], [0.001, 0.2, 1]])
    assert places([0.9, 0.85, 0.8], p) == [1, 1, 3]
    assert places([0.8, 0.85, 0.9], p[::-1, ::-1]) == [3, 1, 1]
    assert places([0.9, math.nan, 0.8], np.where(np.eye(3) == 1, 1, 0.9)) == [1, 0, 1]


BLOCKS = pd.DataFrame({"kd": [0.9, 0.8, 0.7, 0.9], "at": [0.8, 0.7, 0.7, 0.8], "supervised": [0.7, 0.6, 0.6, 0.85]})


def test_mean_ranks_by_hand() -> None:
    """Ranks 1 2 3, 1 2 3, 1.5 1.5 3, 1 3 2."""
    assert mean_ranks(BLOCKS).to_dict() == {"kd": 4.5 / 4, "at": 8.5 / 4, "supervised": 11 / 4}


def test_friedman_and_nemenyi_by_their_formulas() -> None:
    """Friedman's χ² with Conover's correction for ties; Nemenyi's p from the studentized range of the mean ranks."""
    ranks = BLOCKS.rank(axis=1, ascending=False)
    squares = (ranks**2).to_numpy().sum()
    expected = (3 - 1) * ((ranks.sum() ** 2).sum() / 4 - 4 * 3 * 4**2 / 4) / ((squares - 4 * 3 * 4**2 / 4) / 4)
    statistic, p = friedman(BLOCKS)
    assert statistic == pytest.approx(expected)
    assert p == pytest.approx(stats.chi2.sf(statistic, 2))
    apart = 11 / 4 - 4.5 / 4
    q = apart / math.sqrt(3 * 4 / (6 * 4)) * math.sqrt(2)
    assert nemenyi(BLOCKS).loc["kd", "supervised"] == pytest.approx(stats.studentized_range.sf(q, 3, np.inf), abs=1e-6)


def test_the_critical_difference_is_demsar_s() -> None:
    """Demšar (2006), section 3.2.3: 2.569·√(4·5/(6·14)) = 1.25 for four methods on fourteen data sets."""
    assert critical_difference(4, 14) == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 14)), abs=0.001)


def test_the_interquartile_mean_leaves_out_the_outer_quarters() -> None:
    runs = np.array([[0.0, 0.4], [0.5, 0.6], [0.7, 9.0], [0.55, 0.65]])
    mean, low, high = iqm_interval({"kd": runs})["kd"]
    assert mean == pytest.approx(np.mean([0.5, 0.55, 0.6, 0.65]))
    assert low < mean < high


def test_a_performance_profile_is_the_share_above_each_threshold() -> None:
    runs = np.array([[0.1, 0.4], [0.5, 0.6]])
    share, low, high = performance_profile({"kd": runs}, np.array([0.0, 0.45, 1.0]))["kd"]
    assert share.tolist() == [1.0, 0.5, 0.0]
    assert (low <= share).all()
    assert (share <= high).all()
