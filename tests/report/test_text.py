"""Numbers and names as a reader wants them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.errors import flat
from kdbench.report.text import code, duration, escape, percent, points, quantity, size, times

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (496, "496"), (999, "999"), (1_000, "1 k"), (3_628, "3.63 k"), (106_826, "107 k"), (999_499, "999 k"),
     (999_500, "1 M"), (4_664_970, "4.66 M"), (4_110_000_000, "4.11 G"), (2.5e12, "2.5 T"), (NAN, "–")],
)  # fmt: skip
def test_counts_have_three_digits_and_a_prefix(value: float, shown: str) -> None:
    assert quantity(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0176, "0.018 s"), (0.42, "0.42 s"), (8.0, "8 s"), (9.96, "10 s"), (85.2, "85 s"), (119.6, "2 min"), (850, "14 min"),
     (7_169, "119 min"), (7_200, "2.0 h"), (11_500, "3.2 h"), (NAN, "–")],
)  # fmt: skip
def test_times_come_in_the_unit_that_reads_best(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_shares_and_their_differences_are_in_percent() -> None:
    assert percent(0.98765) == "98.77"
    assert percent(NAN) == "–"
    assert points(0.0123) == "+1.23"
    assert points(-0.0123) == "−1.23"
    assert points(-0.00001) == points(0.0) == "0.00"


def test_sizes_and_ratios() -> None:
    assert (size(0.00366), size(0.42731), size(17.81), size(1234.5), size(NAN)) == ("0.00366", "0.427", "17.8", "1230", "–")
    assert (times(43.67), times(7.3145), times(123.4), times(NAN)) == ("43.7×", "7.3×", "123×", "–")


def test_names_are_harmless_in_a_table_and_readable_where_they_can_be() -> None:
    assert escape("tf_kd") == "tf_kd"
    assert escape("a|b\nc") == r"a\|b c"
    assert escape("_x_ *y* `z` <script>&amp; [l](u) ~s~ $m$ \\") == (
        r"\_x\_ \*y\* \`z\` \<script\>\&amp; \[l\](u) \~s\~ \$m\$ \\"
    )
    assert flat("a\x1b[31m\r\n\tb") == "a [31m b"


@given(st.text())
def test_escaped_text_is_one_line_in_which_no_bar_ends_a_cell(text: str) -> None:
    found = escape(text)
    assert len(found.splitlines()) <= 1
    bare = found.replace("\\\\", "")
    assert bare.count("|") == bare.count("\\|")
    assert bare.count("<") == bare.count("\\<")


def test_a_code_span_holds_backticks() -> None:
    assert code("kdbench run x") == "`kdbench run x`"
    assert code("a `b`") == "`` a `b` ``"
    assert code("`") == "`` ` ``"
