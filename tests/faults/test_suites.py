"""A few of the suites that ``python benchmarks/inject_faults.py suites`` tries by the thousand."""

from __future__ import annotations

import random

from tests.faults import suites
from tests.faults.case import run, summary


def test_strange_suites_are_told_in_a_sentence() -> None:
    cases, problems = summary(run(suites.cases(random.Random(10), len(suites.KINDS))))
    slow = {kind: [p for p in found if not p.startswith("took")] for kind, found in problems.items()}
    assert not any(slow.values()), problems
    assert len(cases) == len(suites.KINDS)
