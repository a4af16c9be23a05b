"""``kdbench.load_student``: the trained network, with all that its users must know, and without the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import kdbench
from kdbench import KdbenchError, Results
from kdbench.results.store import Store
from kdbench.tasks.images.embedded import Digits
from tests.api import made
from tests.tasks import test_stranger

METHODS = ["kd", "byot", "dkd"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A student as large as the images, one of another size; and no profile of either."""
    folder = tmp_path_factory.mktemp("students")
    big = {"model": "tiny_cnn", "kwargs": {"width": 6}, "preprocessing": {"mean": [0.5], "std": [0.25], "size": [12, 10]}}
    suite = made.suite(folder, methods=METHODS, seeds=2, networks={"big": big, "other": "mnist_mlp"})
    suite["measure"]["cost"] = False
    return kdbench.run(suite, runs=folder / "runs", data_root=folder, progress=False)


def accuracy(network: nn.Module) -> float:
    """By hand, image by image, with the preprocessing that timm works out; no part of kdbench but the raw images."""
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config)
    test = Digits().load(Path()).test
    size = len(test)
    with torch.inference_mode():
        shown = torch.stack([transform(Image.fromarray(i[0].numpy())) for i in test.inputs])
        return int((network(shown).argmax(1) == test.targets).sum()) / size


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loads data fails."""
    import kdbench.tasks.load as load

    monkeypatch.setattr(load, "load_data", None)
    monkeypatch.setattr(Digits, "load", lambda *_: pytest.fail("the data were read"))


@pytest.mark.parametrize("selection", [{"method": "kd"}, {"method": "byot"}, {"method": "big", "role": "teacher"}])
def test_its_accuracy_by_hand_is_that_of_its_record(tmp_path: Path, selection: dict[str, Any]) -> None:
    big = {"model": "tiny_cnn", "kwargs": {"width": 6}, "preprocessing": {"mean": [0.5], "std": [0.25]}}
    suite = made.suite(tmp_path, methods=["kd", "byot"], networks={"big": big, "other": "mnist_mlp"}, dataset="digits")
    found = kdbench.run(suite, runs=tmp_path / "runs", data_root=tmp_path, progress=False)
    network = found.student(**selection)
    label = selection["method"]
    (entry,) = (e for e in found.plan.entries if e.label == label)
    assert not network.training
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    assert accuracy(network) == found.records[entry.trial].metrics["test"]["accuracy"]


def test_it_is_made_without_the_data_and_gives_the_logits_that_were_kept(results: Results, no_data: None) -> None:
    store = Store(results.folder)
    for entry in results.plan.entries:
        trial = results.plan.trials[entry.trial]
        network = kdbench.load_student(results.folder, trial=entry.trial)
        state = store.student(entry.trial)
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
        config: Any = network.pretrained_cfg
        assert config["label_names"] == tuple("0123456789")
        if trial.preprocessing is not None:
            assert (config["input_size"], config["mean"], config["std"]) == ((1, 12, 10), (0.5,), (0.25,))
        else:
            assert config["input_size"] == (1, 8, 8)


def test_images_are_resized_as_in_training(results: Results) -> None:
    network = results.student(method="big", role="teacher")
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config)
    shown = transform(Image.fromarray(np.zeros((8, 8), np.uint8)))
    assert shown.shape == (1, 12, 10)
    assert torch.allclose(shown, torch.tensor(-2.0))


def test_the_file_of_a_student_is_enough_to_use_it_elsewhere(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 8)):
        for c, cls in enumerate(("cat", "dog")):
            (folder := tmp_path / "pets" / part / cls).mkdir(parents=True)
            for i in range(count):
                pixels = draw.integers(0, 256, (12, 24, 3), dtype=np.uint8)
                pixels[:, 6:18, c] //= 4  # where the center crop is
                Image.fromarray(pixels).save(folder / f"{i}.png")
    data = {"name": "folder", "options": {"path": "pets", "size": 12}}
    suite = made.suite(tmp_path, methods=["kd"], dataset=data)
    found = kdbench.run(suite, runs=tmp_path / "runs", data_root=tmp_path, progress=False)
    (trial,) = (e.trial for e in found.plan.entries if e.label == "kd")
    file = tmp_path / "runs" / "trials" / trial / "student.safetensors"
    with safe_open(file, framework="pt") as opened:  # from here on nothing of kdbench but the network's code
        about = json.loads(opened.metadata()["kdbench"])
    network = timm.create_model(
        about["model"]["model"], **about["model"]["kwargs"], num_classes=len(about["classes"]), in_chans=3
    )
    network.load_state_dict(load_file(file))
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=about["preprocessing"]))
    shown = [(transform(Image.open(f)), f.parent.name) for f in sorted((tmp_path / "pets" / "test").rglob("*.png"))]
    with torch.inference_mode():
        logits = network.eval()(torch.stack([image for image, _ in shown]))
    assert about["classes"] == ["cat", "dog"]
    kept = Store(tmp_path / "runs").predictions(trial)["logits"]
    assert torch.allclose(logits, torch.tensor(kept), atol=1e-5)
    with torch.inference_mode():
        loaded = found.student(method="kd")
    assert timm.data.create_transform(**timm.data.resolve_model_data_config(loaded))(Image.new("RGB", (30, 14))).shape == (
        3,
        12,
        12,
    )


def test_without_a_selection_it_is_the_one_behind_the_first_row(results: Results) -> None:
    table = results.standings
    first = table[table["role"] == "student"].iloc[0]
    best = max(first["trials"].split(), key=lambda t: results.records[t].metrics["validation"]["accuracy"])
    state = Store(results.folder).student(best)
    assert all(torch.equal(value, state[name]) for name, value in results.student().state_dict().items())


def test_a_selection_that_fits_several_or_none_lists_the_choices(results: Results) -> None:
    with pytest.raises(
        KdbenchError, match=r"2 networks fit; choose by .*: kd of pair, seed 0 \(trial \w+\); kd of pair, seed 1"
    ):
        results.student(method="kd")
    with pytest.raises(KdbenchError, match='no network of the method "dkdd"; did you mean "dkd"'):
        results.student(method="dkdd")
    with pytest.raises(KdbenchError, match="no network of the seed 7; there are 0; 1"):
        results.student(method="kd", seed=7)
    with pytest.raises(KdbenchError, match='no network of the role "techer"; did you mean "teacher"'):
        results.student(role="techer")
    with pytest.raises(KdbenchError, match='no trial begins with "zz": '):
        results.student(trial="zz")
    assert isinstance(results.student(method="kd", pair="pair", seed=1), nn.Module)
    assert isinstance(results.student(trial=next(iter(results.plan.trials))[:8]), nn.Module)


def test_a_report_keeps_no_weights(results: Results, tmp_path: Path) -> None:
    results.report(tmp_path, "md")
    with pytest.raises(KdbenchError, match="is a report, which keeps no weights: load the network from the runs folder"):
        kdbench.load_student(tmp_path)


def test_a_method_that_is_not_at_hand_any_more_is_not_needed(tmp_path: Path) -> None:
    kdbench.run(made.suite(tmp_path), methods=[made.cell()["Mine"]], runs=tmp_path, data_root=tmp_path, progress=False)
    assert isinstance(kdbench.load_student(tmp_path, method="mine"), nn.Module)


def test_a_model_that_has_changed_is_one_sentence(results: Results, tmp_path: Path) -> None:
    trial = next(i for i, t in results.plan.trials.items() if t.method == "kd")
    record = results.records[trial]
    wider = record.trial.model.model_copy(update={"kwargs": {"width": 3}})
    changed = record.model_copy(update={"trial": record.trial.model_copy(update={"model": wider})})
    from kdbench.api.students import restored

    assert results.store is not None
    with pytest.raises(KdbenchError, match=f"the weights of trial {changed.trial.id}"):
        restored(changed, results.plan.trials, _Weights(results.store, trial), results.registry)


class _Weights(Store):
    """A store that has the weights of one trial for all."""

    def __init__(self, store: Store, trial: str) -> None:
        super().__init__(store.root)
        self._trial = trial

    def student(self, trial_id: str) -> dict[str, torch.Tensor]:
        return super().student(self._trial)


def test_records_of_older_versions_leave_inputs_to_the_profile(tmp_path: Path) -> None:
    found = kdbench.run(made.suite(tmp_path), runs=tmp_path, data_root=tmp_path, progress=False)
    for trial in found.records:
        path = tmp_path / "trials" / trial / "record.json"
        written = json.loads(path.read_text())
        for name in ("inputs", "statistics"):
            del written["data"][name]
        del written["digest"]  # they had none
        path.write_text(json.dumps(written))
    network = kdbench.load_student(tmp_path, method="kd")
    assert not hasattr(network, "pretrained_cfg")
    for profile in (tmp_path / "profiles").iterdir():
        profile.unlink()
    with pytest.raises(KdbenchError, match="is not known any more: run its suite again"):
        kdbench.load_student(tmp_path, method="kd")


def test_networks_of_another_task_know_their_classes(tmp_path: Path) -> None:
    path = test_stranger.suite(tmp_path, methods=["kd"])
    found = kdbench.run(path, trust=True, runs=tmp_path / "runs", data_root=tmp_path, progress=False)
    network = found.student(method="kd")
    assert network.pretrained_cfg == {"num_classes": 2, "label_names": ("odd", "even")}
    with torch.inference_mode():
        logits = network(tokens=torch.ones(3, 9, dtype=torch.int64), mask=torch.ones(3, 9, dtype=torch.bool))
    assert logits.shape == (3, 2)
