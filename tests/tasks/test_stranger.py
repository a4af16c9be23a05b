"""A second task, written as a stranger would, runs from suite to leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.plan.trial import Plan
from kdbench.results.store import Store
from tests.support import small

STRANGER = Path(__file__).with_name("stranger.py")
METHODS = [
    "supervised", "kd", "dkd", "dist", "sp", "rkd", "tf_kd", "dml", {"method": "born_again", "generations": 1}
]  # fmt: skip


def suite(folder: Path, **changes: Any) -> Path:
    network = {"model": "tiny_transformer", "kwargs": {"width": 16}}
    student = {"model": "tiny_transformer", "kwargs": {"width": 8}}
    own = {
        "task": "sentence-classification",
        "dataset": {"name": "sentences", "label": "Made-up sentences"},
        "networks": {"big": network},
        "pairs": [{"name": "text", "student": student, "teacher": "big"}],
        "methods": METHODS,
        "recipe": {"epochs": 2, "batch_size": 32, "optimizer": "adamw", "lr": 0.01},
        "plugins": [str(STRANGER)],
        **changes,
    }
    return small.write_suite(folder, name="text", **own)


def run(path: Path, runs: Path) -> tuple[Plan, Store]:
    summary = small.run(path, runs)
    assert [r.failure for r in summary.failed] == []
    return summary.prepared.plan, Store(runs)


def test_sentences_are_learnt_by_methods_that_know_nothing_of_them(tmp_path: Path) -> None:
    plan, store = run(suite(tmp_path), tmp_path / "runs")
    assert {t.task for t in plan.trials.values()} == {"sentence-classification"}
    assert plan.task.unit == "sentence"
    records = store.records(plan.trials)
    assert {r.trial.method for r in records.values()} == {m if isinstance(m, str) else m["method"] for m in METHODS}
    for record in records.values():
        kept = store.predictions(record.trial.id)
        assert kept["logits"].shape == (120, 2)
        assert np.isfinite(kept["logits"]).all()
        profile = store.profile(record.profile)
        assert profile is not None
        assert profile.macs > 0


def test_units_are_tokens_without_padding(tmp_path: Path) -> None:
    tags = {
        "task": "tagging",
        "dataset": {"name": "tags"},
        "networks": {"big": {"model": "tiny_transformer", "kwargs": {"width": 16, "tags": True}}},
        "pairs": [{"name": "tags", "student": {"model": "tiny_transformer", "kwargs": {"tags": True}}, "teacher": "big"}],
        "methods": ["supervised", "kd", "dkd", "dist", "rkd", "dml"],
    }
    plan, store = run(suite(tmp_path, **tags), tmp_path / "runs")
    records = store.records(plan.trials)
    assert len(records) == 7
    data = next(iter(records.values())).data
    assert data["test"] == 120  # sentences
    for record in records.values():
        kept = store.predictions(record.trial.id)
        assert kept["logits"].shape == (len(kept["targets"]), 3)
        assert 120 * 3 < len(kept["targets"]) < 120 * 9
        assert kept["targets"].min() == 0
        history = store.history(record.trial.id)
        assert "test_perplexity" in history
        assert not [name for name in history if "accuracy" in name]


def test_past_logits_are_refused_where_a_sample_is_many_units(tmp_path: Path) -> None:
    pairs = [{"name": "tags", "student": {"model": "tiny_transformer", "kwargs": {"tags": True}}}]
    changes = {"task": "tagging", "dataset": {"name": "tags"}, "networks": {}, "pairs": pairs}
    path = suite(tmp_path, **changes, methods=["ps_kd"])
    summary = small.run(path, tmp_path / "runs")
    (failed,) = summary.failed
    assert failed.failure is not None
    assert "past_logits" in failed.failure.message


@pytest.mark.parametrize("name", ["kd", "supervised"])
def test_a_member_gets_the_same_bits_alone(tmp_path: Path, name: str) -> None:
    together = small.run(suite(tmp_path), tmp_path / "together")
    small.run(suite(tmp_path), tmp_path / "alone", cohorts=False)
    trial = next(t for t in together.prepared.plan.trials.values() if t.method == name)
    a, b = (small.bits(tmp_path / folder)[trial.id] for folder in ("together", "alone"))
    assert a == b
