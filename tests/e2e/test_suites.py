"""Packaged suites whose data are not at hand, on data of the same structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kdbench.results.store import Store


def class_folders(root: Path) -> None:
    """Two classes of noise around another grey, as ImageNet lies on a disk."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for i, name in enumerate(("n01440764", "n01443537")):
            folder = root / "imagenet" / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                pixels = rng.integers(60 * i, 60 * i + 120, (40, 36 + k, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}_{k}.JPEG")


def test_the_imagenet_suite_plans_and_runs_on_a_small_folder(
    kdbench_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its pretrained weights, which would have to be downloaded, and at 32 pixels."""
    class_folders(tmp_path)
    monkeypatch.chdir(tmp_path)
    smaller = [
        "networks.resnet50.weights=scratch",
        "networks.resnet50.model=resnet50",
        "networks.resnet50.recipe.epochs=1",
        "dataset.options.size=32",
        "dataset.validation=0.25",
        "recipe.epochs=1",
        "recipe.batch_size=8",
        "recipe.warmup_epochs=0",
        "recipe.precision=fp32",
        "recipe.augmentation.crop_padding=2",
        "measure.latency=false",
    ]
    options = ["--data-root", ".", *(part for setting in smaller for part in ("--set", setting))]
    planned = kdbench_command("plan", "imagenet-mobilenet", *options)
    assert planned.status == 0, planned.err
    assert "mobilenetv3_large_100" in planned.out
    ran = kdbench_command("run", "imagenet-mobilenet", *options)
    assert ran.status == 0, ran.err
    records = Store(tmp_path / "runs").records()
    assert {(r.trial.model.model, r.trial.method) for r in records.values()} == {
        ("resnet50", "supervised"),
        ("mobilenetv3_large_100", "supervised"),
        ("mobilenetv3_large_100", "kd"),
    }
    assert "distilled" in (tmp_path / "runs/reports/imagenet-mobilenet/leaderboard.md").read_text()
