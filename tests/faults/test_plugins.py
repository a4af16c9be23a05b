"""A few misbehaving plugins of the harness, drawn with a fixed seed."""

from __future__ import annotations

import random

from tests.faults import plugins
from tests.faults.case import run, summary


def test_misbehaving_plugins_cost_themselves_alone() -> None:
    cases, problems = summary(run(plugins.cases(random.Random(3), 4)))
    assert cases.total() == 4
    assert problems == {}
