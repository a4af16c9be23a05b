"""Means and intervals, held to scipy's own tests and to published numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdbench.analysis.statistics import (
    critical_difference,
    estimate,
    friedman,
    iqm_interval,
    mean_ranks,
    nemenyi,
    performance_profile,
    units_interval,
    wilson,
)

SHARES = st.integers(0, 10_000).map(lambda n: n / 10_000)


@given(st.lists(SHARES, min_size=3, max_size=10))
def test_the_interval_of_a_mean_is_the_one_of_scipy_s_t_test(values: list[float]) -> None:
    found = estimate(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    if found.deviation > 1e-9:
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_two_values_have_a_deviation_but_no_interval_of_thirteen_standard_errors() -> None:
    found = estimate([0.5, 0.6])
    assert found.deviation == pytest.approx(0.1 / 2**0.5)
    assert math.isnan(found.low)


def test_one_value_has_neither_deviation_nor_interval_and_none_has_no_mean() -> None:
    one = estimate([0.9])
    assert one.mean == 0.9
    assert one.count == 1
    assert all(math.isnan(v) for v in (one.deviation, one.low, one.high))
    assert math.isnan(estimate([]).mean)
    assert estimate([]).count == 0


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


def approval() -> tuple[np.ndarray, np.ndarray]:
    """Agresti, "Categorical Data Analysis", table 10.1: two surveys of 1,600 people; 794 yes-yes, 150 yes-no, 86 no-yes, 570 no-no."""
    first = np.repeat([True, True, False, False], [794, 150, 86, 570])
    second = np.repeat([True, False, True, False], [794, 150, 86, 570])
    return first, second


def test_the_interval_over_units_is_that_of_a_proportion_s_difference() -> None:
    first, second = approval()
    low, high = units_interval(first[None], second[None])
    difference, n = (150 - 86) / 1600, 1600
    half = 1.96 * math.sqrt((236 / n - difference**2) / n)
    assert (low, high) == pytest.approx((difference - half, difference + half), abs=0.0015)


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
