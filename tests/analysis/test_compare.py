"""Two runs of one suite: how often chance alone is taken for a change."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.compare import compare_runs
from kdbench.analysis.contrasts import Rows, Runs
from kdbench.report.compare import comparison_text
from tests.results import made
from tests.results.made import Row, row

RERUNS = 400


@pytest.mark.parametrize(("seeds", "together"), [(2, 0.0), (3, 0.0), (3, 0.5)])
def test_reruns_that_differ_by_chance_alone_raise_an_alarm_in_5_percent(seeds: int, together: float) -> None:
    """Eight rows of run sd 0.55; ``together`` is the share of variance that runs of one seed have in common."""
    random = np.random.default_rng(seeds)
    alarms = 0
    for _ in range(RERUNS):
        shared = together**0.5 * random.standard_normal((1, 8, seeds))
        values = 0.75 + 0.0055 * (shared + (1 - together) ** 0.5 * random.standard_normal((2, 8, seeds)))
        rows = {(side, i): Runs(dict(enumerate(values[side, i])), {}) for side in (0, 1) for i in range(8)}
        lines = Rows.of(rows).compare([((1, i), (0, i)) for i in range(8)])
        alarms += any(line["low"] > 0 or line["high"] < 0 for line in lines)
    assert alarms / RERUNS <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RERUNS)
    if not together:
        assert alarms / RERUNS >= 0.05 - 3 * math.sqrt(0.05 * 0.95 / RERUNS)


def run(gain: float, seed: int, seeds: int = 3) -> Analysis:
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    for label in ("supervised", "kd", "at", "dkd"):
        more = gain if label == "kd" else 0.0
        rows += [row(label, 0.7 + float(random.normal(0, 0.003)) + more, i) for i in range(seeds)]
    return Analysis(made.frame(*rows))


def test_a_loss_of_three_points_is_a_regression_and_a_gain_is_not() -> None:
    lost = compare_runs(run(0.03, 0), run(0.0, 1))
    assert lost.regressions["label"].tolist() == ["kd"]
    (kd,) = lost.rows[lost.rows["label"] == "kd"].to_dict("records")
    assert kd["delta_high"] < 0
    assert kd["p_value"] < 0.05
    won = compare_runs(run(0.0, 0), run(0.03, 1))
    assert won.rows["significant"].any()
    assert won.regressions.empty
    assert "excludes 0" in comparison_text(won)


def test_one_seed_gives_no_verdict_and_says_why() -> None:
    found = compare_runs(run(0.1, 0, seeds=1), run(0.0, 1, seeds=1))
    assert found.regressions.empty
    assert "no verdict: one seed in common does not tell a change from another training run" in comparison_text(found)
