"""A few of the cases that ``python benchmarks/inject_faults.py signals`` runs by the hundred."""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.faults import signals
from tests.faults.case import Case, run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


@pytest.mark.parametrize("seed", range(3))
def test_a_disturbed_run_ends_with_the_same_bits(seed: int) -> None:
    random = Random(seed)
    makers = [lambda r: signals._signal_case(r, 1), signals._checkpoint_case]
    cases: list[Case] = [make(random) for make in makers]
    assert {o.kind: o.problem for o in run(cases)} == {c.kind: "" for c in cases}


def test_kinds_are_drawn_from_the_generator() -> None:
    first, again = ([c.kind for c in signals.cases(Random(7), 60)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 10
