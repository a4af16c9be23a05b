"""A few of the changed files, with a fixed seed; benchmarks/inject_faults.py changes a thousand."""

from __future__ import annotations

import random

from tests.faults import files
from tests.faults.case import run


def test_no_number_is_wrong_without_a_word() -> None:
    found = [f"{o.kind}: {o.problem}" for o in run(files.cases(random.Random(4), 24)) if o.problem and "took" not in o.problem]
    assert found == []
