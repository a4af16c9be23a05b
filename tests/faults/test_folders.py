"""A few of the hostile folders, with a fixed seed; benchmarks/inject_faults.py reads hundreds."""

from __future__ import annotations

import random

from tests.faults import folders
from tests.faults.case import run


def test_hostile_folders_do_no_harm() -> None:
    found = [
        f"{o.kind}: {o.problem}" for o in run(folders.cases(random.Random(4), 16)) if o.problem and "took" not in o.problem
    ]
    assert found == []
