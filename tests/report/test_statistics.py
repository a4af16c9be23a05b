"""Means and intervals, held to scipy's own tests and to published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdbench.report.statistics import estimate, paired_difference, wilson

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
