"""Bad input gets one sentence with the place and the nearest valid name, exit status 2, before anything trains."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import small


def edited(folder: Path, old: str, new: str) -> Path:
    """A good suite with one thing replaced in its text."""
    path = small.write_suite(folder)
    text = path.read_text()
    assert old in text, text
    path.write_text(text.replace(old, new, 1))
    return path


def line_of(path: Path, text: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)


@pytest.fixture
def refused(kdbench_command: Any, tmp_path: Path) -> Any:
    """Run a suite that must be refused; returns what was said."""

    def call(path: Path | str, *more: str | Path) -> str:
        outcome = kdbench_command("run", path, "--runs", tmp_path / "runs", "--data-root", tmp_path, *more)
        assert outcome.status == 2, outcome
        assert "Traceback" not in outcome.err + outcome.out
        trials = tmp_path / "runs" / "trials"
        assert not trials.exists() or not list(trials.iterdir())
        return str(next(line for line in outcome.err.splitlines() if line.startswith("error: ")))

    return call


CASES = {
    "misspelt key": ("recipe:", "recipes:", "recipes:", "recipe"),
    "misspelt key inside": ("epochs: 2", "epoch: 2", "epoch: 2", "epochs"),
    "unknown method": ("- kd", "- kdd", "kdd", '"kd"'),
    "unknown model": ("model: tiny_cnn", "model: tiny_cn", "tiny_cn\n", '"tiny_cnn"'),
    "unknown data set": ("name: digits", "name: digit", "name: digit", '"digits"'),
    "unknown network": ("- big", "- bgi", "- bgi", '"big"'),
    "unknown optimizer": ("lr: 0.05", "lr: 0.05\n  optimizer: adamww", "adamww", '"adamw"'),
    "unknown schedule": ("lr: 0.05", "lr: 0.05\n  schedule: cosin", "cosin", '"cosine"'),
    "out of range": ("lr: 0.05", "lr: -0.05", "lr: -0.05", "greater than 0"),
    "wrong type": ("batch_size: 32", "batch_size: many", "batch_size: many", "integer"),
    "parameter out of range": ("- kd", "- {method: kd, params: {alpha: 1.5}}", "alpha", "less than or equal to 1"),
    "unknown parameter": ("- kd", "- {method: kd, params: {temprature: 2}}", "temprature", '"temperature"'),
    "bad grid point": ("- kd", "- {method: kd, grid: {temperature: [1, -1]}}", "grid", "greater than 0"),
    "cycle among teachers": ("model: mnist_mlp", "model: mnist_mlp\n    method: kd\n    teachers: [other]", "", "cycle"),
    "too few teachers": ("  - other\n", "", "", "teacher"),
    "duplicate name": ("- kd", "- kd\n- kd", "", '"kd"'),
    "duplicate key": ("seeds: 1", "seeds: 1\nseeds: 2", "seeds: 2", "seeds"),
    "invalid yaml": ("seeds: 1", "seeds: [1", "", ""),
    "missing plugin": ("seeds: 1", "seeds: 1\nplugins: [absent.py]", "absent.py", "absent.py"),
    "misspelt key of latency": ("latency: false", "latency: {min_second: 1}", "min_second", "min_seconds"),
    "unknown runtime": ("latency: false", "latency: {runtimes: [eagr]}", "eagr", "'eager'"),
    "no latency": ("latency: false", "latency: 'off'", "latency", "latency"),
    "missing weights": (
        "model: mnist_mlp",
        "model: mnist_mlp\n    weights: absent.safetensors",
        "absent.safetensors",
        "absent",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_suite_that_is_wrong(case: str, refused: Any, tmp_path: Path) -> None:
    old, new, where, hint = CASES[case]
    path = edited(tmp_path, old, new)
    if case == "too few teachers":
        path.write_text(path.read_text().replace("- kd", "- mean_teachers"))
    said = refused(path)
    assert hint in said
    found = re.search(r"small\.yaml:(\d+)", said)
    assert found, said
    if where:
        assert int(found[1]) == line_of(path, where.strip()), said


def test_model_arguments_that_the_model_does_not_take(refused: Any, tmp_path: Path) -> None:
    said = refused(edited(tmp_path, "width: 6", "widht: 6"))
    assert "widht" in said
    assert "tiny_cnn" in said


def test_a_suite_that_does_not_exist(refused: Any, tmp_path: Path) -> None:
    assert '"digits"' in refused("digts")
    assert "absent.yaml" in refused(tmp_path / "absent.yaml")


def test_settings_that_do_not_exist(refused: Any, tmp_path: Path) -> None:
    path = small.write_suite(tmp_path)
    assert "epochs" in refused(path, "--set", "recipe.epoch=3")
    assert "kd" in refused(path, "--only", "kdd")
    assert "device" in refused(path, "--device", "cudda")
    assert "markdown" in refused(path, "--format", "markdown")


def test_a_plugin_that_cannot_be_imported(refused: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import kdbench\nimport nowhere\n")
    said = refused(small.write_suite(tmp_path), "--plugin", plugin)
    assert "plugin.py:2" in said
    assert "nowhere" in said
    plugin.write_text("def broken(:\n")
    assert "plugin.py:1" in refused(small.write_suite(tmp_path), "--plugin", plugin)


def test_a_plugin_that_claims_a_taken_name(refused: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text("from kdbench import Method\nclass KD(Method):\n    '''Mine.'''\n    name = 'kd'\n")
    said = refused(small.write_suite(tmp_path), "--plugin", plugin)
    assert "kdbench_methods" in said
    assert str(plugin) in said
    assert '"kd"' in said


def test_a_plugin_with_a_hook_that_does_not_exist(refused: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import kdbench\n@kdbench.hookimpl\ndef kdbench_method():\n    return []\n")
    said = refused(small.write_suite(tmp_path), "--plugin", plugin)
    assert '"kdbench_methods"' in said


def test_a_data_root_without_data(refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # no network, quickly
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    said = refused(small.write_suite(tmp_path, dataset="mnist"))
    assert "MNIST" in said
    assert str(tmp_path) in said


def test_a_truncated_data_file(refused: Any, tmp_path: Path, real_data: Path) -> None:
    shutil.copytree(real_data / "MNIST", tmp_path / "MNIST")
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.chmod(0o644)
    os.truncate(file, 1_000_000)
    said = refused(small.write_suite(tmp_path, dataset="mnist"))
    assert "train-images-idx3-ubyte" in said


def test_a_runs_folder_that_cannot_be_written(kdbench_command: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = kdbench_command("run", small.write_suite(tmp_path), "--runs", tmp_path / "file" / "runs", "--data-root", tmp_path)
    assert outcome.status == 2
    assert str(tmp_path / "file") in outcome.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
def test_a_full_disk(kdbench_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write into the runs folder fails as on a full disk."""
    import errno

    from kdbench.results import store

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.os, "replace", full)
    outcome = kdbench_command("run", small.write_suite(tmp_path), "--runs", tmp_path / "runs", "--data-root", tmp_path)
    assert outcome.status == 2
    assert "no space left" in outcome.err.lower()
    assert "Traceback" not in outcome.err


def test_a_damaged_record_is_quarantined_reported_and_done_again(kdbench_command: Any, tmp_path: Path) -> None:
    path = small.write_suite(tmp_path)
    arguments = ("run", path, "--runs", tmp_path / "runs", "--data-root", tmp_path)
    assert kdbench_command(*arguments).status == 0
    before = small.bits(tmp_path / "runs")
    victims = sorted((tmp_path / "runs" / "trials").iterdir())
    (victims[0] / "record.json").write_text('{"version": 1, "trial"')
    weights = victims[1] / "student.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    outcome = kdbench_command(*arguments)
    assert outcome.status == 0
    for victim in victims[:2]:
        assert victim.name in outcome.err
        assert list((tmp_path / "runs" / "quarantine").glob(f"{victim.name}*"))
    assert small.bits(tmp_path / "runs") == before


def test_the_traceback_comes_with_debug(kdbench_command: Any, tmp_path: Path) -> None:
    outcome = kdbench_command("--debug", "run", "digts", "--runs", tmp_path / "runs")
    assert outcome.status == 2
    assert "Traceback" in outcome.err


def test_the_good_suite_is_good(kdbench_command: Any, tmp_path: Path) -> None:
    path = small.write_suite(tmp_path)
    assert yaml.safe_load(path.read_text())["seeds"] == 1
    assert kdbench_command("plan", path, "--runs", tmp_path / "runs", "--data-root", tmp_path).status == 0
    assert not (tmp_path / "runs").exists()
