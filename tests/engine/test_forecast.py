"""How long a run takes: by the speed of what has finished, or roughly."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdbench.engine import forecast as module
from kdbench.engine.estimate import OVERHEAD
from kdbench.engine.forecast import CORE, forecast
from kdbench.results.record import Record
from kdbench.results.store import Store
from tests.support import small


def test_without_finished_trials_it_is_the_work_at_the_usual_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    prepared = small.prepared(small.write_suite(tmp_path, methods=["supervised"]))
    found = forecast(prepared, Store(tmp_path / "runs"))
    assert (found.known, found.latency) == (0, 0.0)
    (trial,) = [t for t in prepared.plan.trials.values() if t.model.kwargs == {"width": 2}]
    profile = prepared.profile_of(trial)
    assert profile is not None
    macs = profile.macs + OVERHEAD
    # 2 epochs of 3 passes over 128 training samples, and one over 32 validation and 160 test samples
    assert found.trials[trial.id] == pytest.approx(2 * (3 * 128 + 192) * macs / (2 * CORE))


class Slow(Store):
    """A runs folder of a machine that trains 100 samples a second."""

    def record(self, trial_id: str) -> Record | None:
        found = super().record(trial_id)
        if found is None:
            return None
        return found.model_copy(update={"costs": found.costs.model_copy(update={"samples_per_second": 100.0})})


def test_finished_trials_tell_the_speed_and_are_not_left(tmp_path: Path) -> None:
    path = small.write_suite(tmp_path)
    small.run(path, tmp_path / "runs")
    store = Slow(tmp_path / "runs")
    records = store.records()
    prepared = small.prepared(path, seeds="3")
    found = forecast(prepared, store)
    assert found.known == len(records)
    new = [i for i in prepared.plan.trials if i not in records]
    for i in new:
        trained = 2 * 128 / 100.0
        assert 0.9 * trained < found.trials[i] < 1.9 * trained  # and evaluation: 3 networks tell one speed
    assert found.left(list(records)) == pytest.approx(sum(found.trials[i] for i in new) + found.report)


def test_latency_counts_until_it_is_known(tmp_path: Path) -> None:
    settings = {"latency": {"batch_sizes": [1, 8], "min_seconds": 2.0, "processes": 3, "devices": ["cpu"]}}
    prepared = small.prepared(small.write_suite(tmp_path, methods=["supervised"], measure=settings))
    networks = len({prepared.profile_id_of(t) for t in prepared.plan.trials.values()})
    seconds = module.latency_seconds(prepared, Store(tmp_path / "runs"))
    assert seconds == pytest.approx(3 * module.START + networks * 2 * 2.0 * module.WARM_UP)
