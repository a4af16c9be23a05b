"""The promise that makes cohorts fair: a member gets bit for bit what it would get alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kdbench.plugins.manager import load_registry
from tests.support import small

METHODS = [name for name in load_registry().methods if name != "supervised"]


def entry(name: str) -> object:
    return {"method": name, "generations": 2} if name == "born_again" else name


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """All built-in methods and a teacher assistant, once in cohorts and once one by one."""
    folder = tmp_path_factory.mktemp("cohorts")
    methods = [
        *map(entry, METHODS),
        {"name": "takd", "method": "kd", "assistants": [{"model": "tiny_cnn", "kwargs": {"width": 4}}]},
    ]
    path = small.write_suite(folder, methods=methods)
    together, alone = small.run(path, folder / "together"), small.run(path, folder / "alone", cohorts=False)
    assert not together.failed, together.failed
    assert not alone.failed
    assert max(len(c.trials) for c in together.prepared.plan.cohorts) >= 10
    assert {len(c.trials) for c in alone.prepared.plan.cohorts} == {1}
    return folder / "together", folder / "alone"


def test_weights_predictions_and_metrics_are_the_same_bits(both_ways: tuple[Path, Path]) -> None:
    together, alone = map(small.bits, both_ways)
    assert together == alone


def test_histories_are_the_same_bits(both_ways: tuple[Path, Path]) -> None:
    together, alone = map(small.histories, both_ways)
    for trial, history in together.items():
        pd.testing.assert_frame_equal(history, alone[trial], check_exact=True)


def test_every_method_trained(both_ways: tuple[Path, Path]) -> None:
    trials = [r.trial.method for r in small.Store(both_ways[0]).records().values()]
    assert set(METHODS) <= set(trials)


def test_a_new_member_later_changes_nothing_for_those_before(tmp_path: Path) -> None:
    first = small.write_suite(tmp_path, methods=["supervised", "kd"])
    small.run(first, tmp_path / "runs")
    before = small.bits(tmp_path / "runs")
    later = small.write_suite(tmp_path, methods=["supervised", "dkd", "kd"])
    summary = small.run(later, tmp_path / "runs")
    after = small.bits(tmp_path / "runs")
    assert {i: after[i] for i in before} == before
    assert len(after) == len(before) + 1
    assert set(summary.done_before) == set(before)


def test_methods_that_share_a_seed_share_initial_weights_and_batches(tmp_path: Path) -> None:
    """With a learning rate of nearly nothing all students stay what they were, so the first losses tell."""
    path = small.write_suite(
        tmp_path,
        methods=["supervised", {"method": "kd", "params": {"alpha": 0.0}}],
        recipe={"epochs": 1, "batch_size": 32, "lr": 0.05},
    )
    summary = small.run(path, tmp_path / "runs")
    rows = {e.label: e.trial for e in summary.prepared.plan.entries if e.role == "student"}
    supervised, kd = (small.histories(tmp_path / "runs")[rows[name]] for name in ("supervised", "kd"))
    assert supervised["loss"].tolist() == pytest.approx(kd["loss"].tolist(), abs=1e-6)
    assert supervised["test_accuracy"].tolist() == kd["test_accuracy"].tolist()
