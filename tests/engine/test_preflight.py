"""What would fail hours later is known before anything trains, and said where it is written."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import KdbenchError
from tests.support import small


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(KdbenchError) as caught:
        small.prepared(path, **options)
    return str(caught.value)


def test_one_class_is_nothing_to_learn(tmp_path: Path) -> None:
    said = refusal(small.write_suite(tmp_path, dataset={"name": "digits", "classes": [3]}))
    assert "small.yaml:1: " in said
    assert 'of the class "3"' in said


@pytest.mark.parametrize("where", ["students", "one network"])
def test_a_batch_larger_than_the_data(where: str, tmp_path: Path) -> None:
    path = small.write_suite(tmp_path)
    text = path.read_text()
    old, new = (
        ("batch_size: 32", "batch_size: 129")
        if where == "students"
        else ("width: 6", "width: 6\n    recipe: {batch_size: 129}")
    )
    path.write_text(text.replace(old, new, 1))
    said = refusal(path)
    assert "128 samples, fewer than one batch of 129" in said
    line = next(n for n, t in enumerate(path.read_text().splitlines(), 1) if "129" in t)
    assert abs(int(said.split("small.yaml:")[1].split(":")[0]) - line) <= 2


def test_a_grid_without_validation_has_no_best_point(tmp_path: Path) -> None:
    grid = {"method": "kd", "grid": {"temperature": [2, 4]}}
    data = {"name": "digits", "limit": 160, "validation": 0}
    said = refusal(small.write_suite(tmp_path, dataset=data, methods=[grid]))
    assert 'the 2 points of "kd"' in said
    assert "dataset.validation" in said
    small.prepared(small.write_suite(tmp_path, dataset=data, methods=[{**grid, "grid": {"temperature": [2]}}]))


FIXED = """
    import kdbench
    from torch import nn

    def net(num_classes=10, in_chans=1, img_size=None, **kwargs):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 1000))

    @kdbench.hookimpl
    def kdbench_models():
        return {"stubborn": net}
"""


@pytest.mark.parametrize("cost", [True, False])
def test_a_model_that_ignores_the_number_of_classes(cost: bool, tmp_path: Path) -> None:
    (tmp_path / "fixed.py").write_text(textwrap.dedent(FIXED))
    pairs = [{"student": "stubborn", "teacher": "big"}]
    path = small.write_suite(tmp_path, pairs=pairs, plugins=["fixed.py"], measure={"cost": cost, "latency": False})
    said = refusal(path)
    assert 'model "stubborn" must give logits of 10 classes' in said
    assert "1000" in said
    assert "small.yaml:" in said


NORMED = """
    import kdbench
    from torch import nn
    from torch.nn import functional as F

    def net(num_classes=10, in_chans=1, img_size=None, **kwargs):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, num_classes))

    class Adapted(kdbench.Method):
        \"\"\"Has batch norm in its adapter.\"\"\"

        needs = kdbench.Needs(teachers=1, student_embedding=True)

        def build(self, context):
            self.adapter = nn.Sequential(nn.Linear(context.student.embedding, 4), nn.BatchNorm1d(4))

        def loss(self, step):
            return {"ce": F.cross_entropy(step.student.logits, step.targets), "a": self.adapter(step.student.embedding).mean()}

    @kdbench.hookimpl
    def kdbench_models():
        return {"normed": net}

    @kdbench.hookimpl
    def kdbench_methods():
        return [Adapted]
"""


def last_batch(folder: Path, *, size: int = 127, drop: bool = False, **changes: Any) -> Path:
    """128 training samples; a batch of 127 leaves one."""
    (folder / "normed.py").write_text(textwrap.dedent(NORMED))
    recipe = {"epochs": 1, "batch_size": size, "lr": 0.05, "drop_last": drop}
    return small.write_suite(folder, plugins=["normed.py"], recipe=recipe, **changes)


def test_batch_norm_cannot_train_on_a_last_batch_of_one(tmp_path: Path) -> None:
    pairs = [{"student": "normed", "teacher": "big"}]
    said = refusal(last_batch(tmp_path, pairs=pairs))
    assert "last batch of an epoch has 1 sample (128 in batches of 127)" in said
    assert "normed" in said
    assert "drop_last" in said
    small.prepared(last_batch(tmp_path, pairs=pairs, drop=True))
    small.prepared(last_batch(tmp_path, pairs=pairs, size=126))


def test_nor_can_a_methods_adapter(tmp_path: Path) -> None:
    said = refusal(last_batch(tmp_path, methods=["adapted"]))
    assert '"adapted" cannot train tiny_cnn' in said
    small.prepared(last_batch(tmp_path, methods=["kd", "fitnets", "at"]))  # networks with a grid of features can
