"""Each network sees images normalised and sized as it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from kdbench.engine import prepare
from kdbench.engine.progress import Progress
from kdbench.errors import KdbenchError, SuiteError
from kdbench.models import factory
from kdbench.models import small as own_models
from kdbench.models.factory import create_model
from kdbench.results.store import Store
from kdbench.suite.load import load_suite
from kdbench.suite.schema import ModelSpec
from tests.support import small
from tests.tasks.images.samples import write_folder

ARGUMENTS = {"num_classes": 10, "in_chans": 1, "img_size": (16, 16)}


@pytest.fixture
def teacher(tmp_path: Path) -> torch.nn.Module:
    """A network whose weights lie in teacher.safetensors."""
    spec = ModelSpec(model="tiny_cnn", kwargs={"width": 6})
    network = create_model(spec, arguments=ARGUMENTS, seed=5, factories=own_models.kdbench_models())
    save_file(network.state_dict(), tmp_path / "teacher.safetensors")
    return network.eval()


def suite(folder: Path, preprocessing: dict[str, Any] | None, **changes: Any) -> Path:
    own = {
        "model": "tiny_cnn",
        "kwargs": {"width": 6},
        "weights": "teacher.safetensors",
        "preprocessing": preprocessing,
        "recipe": {"epochs": 0},
    }
    pairs = [{"name": "pair", "student": {"model": "tiny_cnn", "kwargs": {"width": 2}}, "teacher": "own"}]
    return small.write_suite(folder, networks={"own": own}, pairs=pairs, **changes)


def test_a_network_from_a_file_sees_its_own_mean_deviation_and_size(tmp_path: Path, teacher: torch.nn.Module) -> None:
    path = suite(tmp_path, {"mean": [0.5], "std": [0.25], "size": [16, 16]})
    prepared = small.run(path, tmp_path / "runs").prepared
    trial = next(t for t in prepared.plan.trials.values() if t.weights_digest)
    assert trial.preprocessing == {"mean": [0.5], "std": [0.25], "size": [16, 16]}
    pixels = prepared.data.test.inputs.double() / 255
    inputs = F.interpolate(((pixels - 0.5) / 0.25).float(), (16, 16), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = teacher(inputs)
    kept = Store(tmp_path / "runs").predictions(trial.id)["logits"]
    np.testing.assert_allclose(kept, expected.numpy(), atol=1e-4)
    profile = Store(tmp_path / "runs").profile(Store(tmp_path / "runs").records()[trial.id].profile)
    assert profile is not None
    assert profile.inputs == [1, 16, 16]


def test_what_a_teacher_sees_does_not_change_what_the_student_sees(tmp_path: Path, teacher: torch.nn.Module) -> None:
    """The student trained alone keeps its bits beside a teacher that wants its inputs otherwise."""
    small.run(suite(tmp_path, None), tmp_path / "same")
    small.run(suite(tmp_path, {"mean": [0.5], "std": [0.25], "size": [16, 16]}), tmp_path / "other")
    same, other = (
        {r.trial.method: r for r in Store(tmp_path / runs).records().values() if not r.trial.weights_digest}
        for runs in ("same", "other")
    )
    weights = "student.safetensors"
    assert same["supervised"].files[weights] == other["supervised"].files[weights]
    assert same["kd"].files[weights] != other["kd"].files[weights]


def test_the_teacher_teaches_what_it_was_evaluated_with(tmp_path: Path, teacher: torch.nn.Module) -> None:
    path = suite(tmp_path, {"mean": [0.5], "std": [0.25]}, methods=["kd"])
    alone = small.run(path, tmp_path / "alone", cohorts=False)
    together = small.run(path, tmp_path / "together")
    assert small.bits(tmp_path / "alone") == small.bits(tmp_path / "together")
    assert not alone.failed
    assert not together.failed


def test_pretrained_networks_keep_the_mean_and_deviation_of_timm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = timm.create_model
    monkeypatch.setattr(factory, "require_pretrained", lambda name: None)  # weights cannot be downloaded here
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **more: made(name, **more))
    monkeypatch.setattr(prepare, "untrained_part", lambda *_: "")  # a classifier of 1,000 classes does not fit these data
    teacher = {"model": "resnet10t", "weights": "pretrained", "recipe": {"epochs": 0}}
    pairs = [{"name": "pair", "student": {"model": "tiny_cnn"}, "teacher": "imagenet"}]
    path = small.write_suite(tmp_path, networks={"imagenet": teacher}, pairs=pairs)
    trials = small.prepared(path).plan.trials.values()
    wanted = {t.model.model: t.preprocessing for t in trials}
    config = timm.get_pretrained_cfg("resnet10t")
    assert wanted == {"resnet10t": {"mean": list(config.mean), "std": list(config.std)}, "tiny_cnn": None}
    teacher["preprocessing"] = {"mean": [0.1], "std": [0.2]}
    path = small.write_suite(tmp_path, networks={"imagenet": teacher}, pairs=pairs)
    (own,) = [t for t in small.prepared(path).plan.trials.values() if t.model.model == "resnet10t"]
    assert own.preprocessing == {"mean": [0.1], "std": [0.2]}


def test_a_record_says_how_to_feed_its_student(tmp_path: Path) -> None:
    summary = small.run(small.write_suite(tmp_path), tmp_path / "runs")
    statistics = summary.prepared.data.statistics
    for record in summary.records.values():
        assert record.data["statistics"] == {name: values.tolist() for name, values in statistics.items()}


@pytest.mark.parametrize(
    ("preprocessing", "words"),
    [
        ({"mean": [0.5, 0.5]}, ["mean has 2 values", "have 1 channel"]),
        ({"std": [0.0]}, ["std", "greater than 0"]),
        ({"maen": [0.5]}, ['unknown key "maen"', 'did you mean "mean"']),
        ({"size": [16]}, ["size"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    tmp_path: Path, teacher: torch.nn.Module, preprocessing: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises((SuiteError, KdbenchError)) as caught:
        small.prepared(suite(tmp_path, preprocessing))
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_network_that_wants_more_pixels_is_told_where_they_come_from(tmp_path: Path) -> None:
    pairs = [{"name": "pair", "student": {"model": "test_convnext2", "kwargs": {"patch_size": 16}}}]
    path = small.write_suite(tmp_path, pairs=pairs, methods=["supervised"])
    with pytest.raises(KdbenchError, match=r"if they are too small for it: dataset: {name: digits, options: {size: 64, …}}"):
        small.prepared(path)
    data = {"name": "digits", "limit": 160, "options": {"size": 64}}
    assert small.prepared(small.write_suite(tmp_path, pairs=pairs, methods=["supervised"], dataset=data)).data.train


def test_what_is_odd_about_the_data_is_told_before_anything_trains(tmp_path: Path) -> None:
    class Log(Progress):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, message: str) -> None:
            self.notes.append(message)

    write_folder(tmp_path / "set", test="val", each=20)
    (tmp_path / "set" / "train" / "ant" / "._1.png").write_bytes(b"x")
    path = small.write_suite(tmp_path, dataset={"name": "folder", "options": {"path": "set"}})
    prepare.prepare(load_suite(path), tmp_path, progress=(log := Log()))
    assert log.notes == ["data: val/ is the test set, for there is no test/", "data: left out: 1 hidden file"]
