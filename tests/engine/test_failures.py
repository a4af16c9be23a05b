"""A failure costs one trial: it is recorded and leaves its cohort, the others go on undisturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import small

PLUGIN = '''
import torch
from kdbench import Method, MethodError, Needs
from torch.nn import functional as F


class Base(Method):
    """Cross-entropy, until something goes wrong."""

    family = "test"
    needs = Needs(teachers=1)
    calls = 0

    def loss(self, step):
        self.calls += 1
        loss = F.cross_entropy(step.student.logits, step.targets)
        return self.spoil(step, loss) if self.calls == 5 else {"ce": loss}


class Nan(Base):
    """Not a number."""

    def spoil(self, step, loss):
        return {"ce": loss, "kd": loss * float("nan")}


class Raises(Base):
    """An exception of its own."""

    def spoil(self, step, loss):
        raise KeyError("no such thing")


class Memory(Base):
    """Out of memory."""

    def spoil(self, step, loss):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class Tamper(Base):
    """Changes what all members share."""

    def spoil(self, step, loss):
        step.inputs.mul_(0)
        step.teacher.logits.zero_()
        return {"ce": loss}


class Vector(Base):
    """A loss that is no scalar."""

    def spoil(self, step, loss):
        return {"ce": step.student.logits}


class Peeks(Base):
    """Reads what it did not ask for."""

    def spoil(self, step, loss):
        return {"ce": step.student.features[0].sum()}


class Unbuildable(Method):
    """Cannot be built."""

    family = "test"
    needs = Needs(teachers=1)

    def build(self, context):
        raise MethodError("these networks do not suit me")

    def loss(self, step):
        return {}
'''
EXPECTED = {
    "nan": ("NonFiniteLoss", "kd = nan"),
    "raises": ("KeyError", "no such thing"),
    "memory": ("OutOfMemoryError", "out of memory"),
    "tamper": ("MethodError", "in place"),
    "vector": ("MethodError", "scalar"),
    "peeks": ("MethodError", "features"),
    "unbuildable": ("MethodError", "do not suit me"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("failures")
    (folder / "broken.py").write_text(PLUGIN)
    good = small.write_suite(folder, name="good", methods=["supervised", "kd", "fitnets"])
    bad = small.write_suite(folder, name="bad", methods=["supervised", *EXPECTED, "kd", "fitnets"], plugins=["broken.py"])
    small.run(good, folder / "good")
    small.run(bad, folder / "bad")
    return folder / "good", folder / "bad"


@pytest.mark.parametrize("method", EXPECTED)
def test_the_error_is_recorded(runs: tuple[Path, Path], method: str) -> None:
    kind, text = EXPECTED[method]
    failure = next(r.failure for r in small.Store(runs[1]).records().values() if r.trial.method == method)
    assert failure is not None
    assert failure.kind == kind
    assert text in failure.message
    assert "Traceback" in failure.traceback


def test_the_other_members_get_the_bits_they_get_without_it(runs: tuple[Path, Path]) -> None:
    good, bad = map(small.bits, runs)
    assert bad == good


def test_no_checkpoint_is_left_behind(runs: tuple[Path, Path]) -> None:
    assert not list((runs[1] / "checkpoints").glob("*"))


def test_a_failed_trial_is_tried_again_and_a_finished_one_is_not(runs: tuple[Path, Path]) -> None:
    folder = runs[1].parent
    summary = small.run(folder / "bad.yaml", runs[1])
    assert {r.trial.method for r in summary.failed} == set(EXPECTED)
    assert set(summary.done_before) == set(small.bits(runs[0]))


def test_students_of_a_failed_teacher_fail_and_the_suite_goes_on(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(PLUGIN)
    path = small.write_suite(
        tmp_path,
        networks={
            "big": {"model": "tiny_cnn", "method": "nan", "teachers": ["first"]},
            "first": {"model": "tiny_cnn"},
        },
        pairs=[{"student": {"model": "tiny_cnn", "kwargs": {"width": 2}}, "teacher": "big"}],
        plugins=["broken.py"],
    )
    summary = small.run(path, tmp_path / "runs")
    kinds = {r.trial.method: r.failure.kind for r in summary.failed if r.failure}
    assert kinds == {"nan": "NonFiniteLoss", "kd": "TeacherFailed"}
    finished = {r.trial.method for r in summary.records.values() if r.status == "finished"}
    assert finished == {"supervised"}


def test_the_command_says_so_and_exits_1(tmp_path: Path, kdbench_command) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "broken.py").write_text(PLUGIN)
    path = small.write_suite(tmp_path, methods=["supervised", "nan"], plugins=["broken.py"])
    outcome = kdbench_command("run", path, "--trust", "--runs", tmp_path / "runs", "--data-root", tmp_path)
    assert outcome.status == 1
    assert "NonFiniteLoss" in outcome.err
    assert "NonFiniteLoss" in outcome.out  # in the leaderboard too
    assert "Traceback" not in outcome.err + outcome.out
