"""What a worker decides for itself: batches of evaluation, the allocator; and what a suite may leave out."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdbench.engine.allocator import keep_freed_memory
from kdbench.engine.assembly import EVALUATION_BATCH, EVALUATION_MEMORY, evaluation_batch
from kdbench.engine.events import BatchTrained, TrialEnded, TrialStarted
from kdbench.engine.monitor import Monitor
from kdbench.engine.progress import Progress
from kdbench.models.factory import create_model
from kdbench.plugins.manager import load_registry
from kdbench.suite.schema import ModelSpec
from kdbench.train.timing import peak_memory_mb
from tests.results import made
from tests.support import small


class TestBatchesOfEvaluation:
    @pytest.mark.parametrize("model", ["lightcnn", "tiny_cnn", "resnet8", "resnet20", "mnist_mlp"])
    def test_are_500_for_small_networks_on_32_pixels(self, model: str) -> None:
        arguments = {"num_classes": 10, "in_chans": 3, "img_size": (32, 32)}
        network = create_model(ModelSpec(model=model), arguments=arguments, seed=0, factories=load_registry().models)
        assert evaluation_batch(network, torch.zeros(1, 3, 32, 32)) == EVALUATION_BATCH

    def test_shrink_with_the_image_and_with_the_network(self) -> None:
        class Plain(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x

        sizes = [evaluation_batch(Plain(), torch.zeros(1, 3, side, side)) for side in (32, 224, 1024, 8192)]
        assert sizes == sorted(sizes, reverse=True)
        assert all(1 <= b <= EVALUATION_BATCH for b in sizes)
        assert sizes[1] * 4 * 3 * 224 * 224 <= EVALUATION_MEMORY
        wide = nn.Sequential(nn.Conv2d(3, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1), nn.ReLU())
        assert evaluation_batch(wide, torch.zeros(1, 3, 224, 224)) < sizes[1]


def test_the_allocator_is_set_up_and_says_so() -> None:
    code = "from kdbench.engine.allocator import keep_freed_memory; print(keep_freed_memory())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert ("keeps freed memory" in said) == (platform.libc_ver()[0] == "glibc")


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert "left as it is" in keep_freed_memory()


def test_windows_has_a_peak_of_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from kdbench.train import timing

    info = type("Info", (), {"peak_wset": 5_000_000})()
    monkeypatch.setattr(timing.sys, "platform", "win32")
    monkeypatch.setattr(timing.psutil, "Process", type("P", (), {"memory_info": lambda self: info}))
    assert peak_memory_mb(timing.torch.device("cpu")) == 5.0


def test_a_suite_that_wants_no_costs_has_no_profiles_and_the_same_bits(tmp_path: Path) -> None:
    path = small.write_suite(tmp_path)
    with_costs = small.run(path, tmp_path / "with")
    without = small.run(
        small.write_suite(tmp_path, name="bare", measure={"cost": False, "latency": False}), tmp_path / "without"
    )
    assert with_costs.prepared.profiles
    assert not without.prepared.profiles
    assert not list((tmp_path / "without" / "profiles").iterdir())
    assert small.bits(tmp_path / "with") == small.bits(tmp_path / "without")


def test_work_that_is_left_out_or_done_again_is_accounted_for() -> None:
    """A trial of 2 epochs of 100 samples: a worker dies in its first epoch; another goes on, and the trial fails later."""
    trial = made.trial("kd")  # of 2 epochs
    total = trial.recipe.epochs * 100
    moved: list[float] = []

    class Counts(Progress):
        def batch(self, trials: object, epoch: int, samples: int, work: float) -> None:
            moved.append(work)

        def skipped(self, work: float) -> None:
            moved.append(work)

    plan = made.plan((trial, made.entry(trial, "kd")))
    monitor = Monitor(plan, load_registry(), Counts(), {trial.id: 3.0}, {trial.id: 100})
    monitor(TrialStarted(trial=trial.id, epoch=0))
    monitor(BatchTrained(trials=(trial.id,), epoch=0, samples=60))
    monitor(TrialStarted(trial=trial.id, epoch=0))  # again, from the beginning
    assert sum(moved) == 0
    monitor(BatchTrained(trials=(trial.id,), epoch=0, samples=100))
    monitor(TrialEnded(record=made.record(trial, error="no")))
    assert sum(moved) == 3.0 * total
    assert monitor.ended == {trial.id}
