"""Members that change what others share are found out, and the others get the bits that they get without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import small

PLUGIN = '''
import threading, time
import torch
import kdbench
from kdbench import Method, Needs
from torch.nn import functional as F


class Base(Method):
    """Cross-entropy, until the second epoch."""

    family = "test"
    needs = Needs(teachers=1, indices=True, teacher_features=(-1,))
    done = False
    calls = 0

    def loss(self, step):
        self.calls += 1
        loss = F.cross_entropy(step.student.logits, step.targets)
        if self.due(step) and not self.done:
            self.done = True
            self.spoil(step)
        return {"ce": loss}

    def due(self, step):
        return step.epoch == 1


class Late(Base):
    """Changes one value of a large tensor, which only the sum at the step's end shows."""

    def spoil(self, step):
        step.inputs.detach().numpy()[7, 0, 3, 4] += 0.5


class Quiet(Base):
    """Changes the teacher's logits behind the version counter."""

    def spoil(self, step):
        step.teacher.logits.data.mul_(0)


class Labels(Base):
    """Changes the labels in build, which are a copy."""

    def build(self, context):
        context.labels.zero_()

    def spoil(self, step):
        pass


class Threads(Base):
    """Changes the batch from a thread, while another member may be running."""

    def spoil(self, step):
        x = step.teacher.logits

        def later():
            for _ in range(400):
                time.sleep(0.001)
                x.data.mul_(0)

        threading.Thread(target=later).start()
        time.sleep(0.02)


class Data(Base):
    """Changes the training labels themselves, wherever they are."""

    def spoil(self, step):
        import gc
        for thing in gc.get_objects():
            if type(thing).__name__ == "Split":
                thing.targets.data.zero_()


class Weights(Base):
    """Changes the teacher's weights."""

    def spoil(self, step):
        import gc
        for thing in gc.get_objects():
            if type(thing).__name__ == "Teacher":
                for parameter in thing.model.parameters():
                    parameter.data.mul_(1.01)


class Once(Weights):
    """Changes the teacher's weights, and not in the repetition, whose four steps come too early."""

    def due(self, step):
        return self.calls == 5
'''
CULPRITS = ("late", "quiet", "threads", "data", "weights")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("alone")
    small.run(small.write_suite(folder, methods=["supervised", "kd", "fitnets"]), folder / "runs")
    return dict(small.bits(folder / "runs"))


@pytest.mark.parametrize("culprit", [*CULPRITS, "labels", "once"])
def test_the_culprit_alone_fails(
    culprit: str, alone: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if culprit == "late":
        monkeypatch.setattr("kdbench.train.shared.EXACT", 16)
        monkeypatch.setattr("kdbench.train.shared.SUMMED", 64)
        monkeypatch.setattr("kdbench.train.shared.SAMPLES", 2)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    path = small.write_suite(tmp_path, methods=["supervised", culprit, "kd", "fitnets"], plugins=["plugin.py"])
    summary = small.run(path, tmp_path / "runs")
    failed = {r.trial.method: r.failure.message for r in summary.failed if r.failure}
    assert set(failed) == set(CULPRITS) & {culprit}
    assert all(culprit in message for message in failed.values())
    bits = small.bits(tmp_path / "runs")
    assert {i: bits[i] for i in alone} == alone
