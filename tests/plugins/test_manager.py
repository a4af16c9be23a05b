"""Plugins: found in order, owned by name, refused with a sentence that names who is to blame."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from pathlib import Path

import pytest

from kdbench import Method, hookimpl
from kdbench.errors import PluginError
from kdbench.plugins.manager import load_registry

MINE = '''
from kdbench import Method


class Mine(Method):
    """Mine."""
'''


def write(folder: Path, text: str, name: str = "plugin.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_built_ins_come_through_the_same_hooks() -> None:
    registry = load_registry()
    assert {"supervised", "kd", "fitnets", "at", "rkd", "dml"} <= set(registry.methods)
    assert {"digits", "mnist", "cifar10", "parquet", "folder"} <= set(registry.datasets)
    assert "lightcnn" in registry.models
    assert set(registry.executors) == {"local", "processes"}
    assert {"md", "csv", "json"} <= set(registry.reporters)
    assert registry.methods["kd"].__module__.startswith("kdbench_methods.")


def test_a_file_that_only_defines_methods_needs_no_hook(tmp_path: Path) -> None:
    registry = load_registry([write(tmp_path, MINE)])
    assert registry.methods["mine"].describe() == "Mine."


def test_a_file_named_twice_is_loaded_once(tmp_path: Path) -> None:
    path = write(tmp_path, MINE)
    assert "mine" in load_registry([path, path]).methods


def test_two_files_that_claim_one_name_are_both_named(tmp_path: Path) -> None:
    paths = [write(tmp_path, MINE, "a.py"), write(tmp_path, MINE, "b.py")]
    with pytest.raises(PluginError, match=r'two plugins claim the method "mine": .*a\.py and .*b\.py'):
        load_registry(paths).check()


def test_a_hook_may_provide_everything(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
import kdbench
from kdbench import Dataset
from torch import nn

class Noise(Dataset):
    name = "noise"
    def load(self, root): ...

@kdbench.hookimpl
def kdbench_models(): return {"line": nn.Linear}
@kdbench.hookimpl
def kdbench_datasets(): return [Noise]
@kdbench.hookimpl
def kdbench_metrics(): return {"zero": lambda logits, targets: 0.0}
@kdbench.hookimpl
def kdbench_executors(): return {"mine": lambda settings: None}
@kdbench.hookimpl
def kdbench_reporters(): return {"mine": lambda frame, folder: []}
""",
    )
    registry = load_registry([path])
    assert "line" in registry.models
    assert "noise" in registry.datasets
    assert "zero" in registry.metrics
    assert "mine" in registry.executors
    assert "mine" in registry.reporters


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere", r"plugin\.py:1: .*ModuleNotFoundError.*nowhere"),
        ("\n\nraise RuntimeError('boom')", r"plugin\.py:3: .*boom"),
        ("def broken(:", r"plugin\.py:1: .*SyntaxError"),
        ("import kdbench\n@kdbench.hookimpl\ndef kdbench_methods(): return [3]", "must return Method classes"),
        ("import kdbench\n@kdbench.hookimpl\ndef kdbench_datasets(): return [kdbench.Method]", "must return Dataset classes"),
        (
            "import kdbench\n@kdbench.hookimpl\ndef kdbench_methods(): 1 / 0",
            "failed in its kdbench_methods hook: ZeroDivisionError",
        ),
        ("import kdbench\n@kdbench.hookimpl\ndef kdbench_method(): pass", 'did you mean "kdbench_methods"'),
        ("import kdbench\n@kdbench.hookimpl\ndef kdbench_trial_finished(record, wrong): pass", "wrong"),
        ("import pluggy\n@pluggy.HookimplMarker('kdbench')(wrapper=True)\ndef kdbench_methods(): yield", "is a wrapper"),
    ],
)
def test_a_plugin_that_breaks_is_named_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        load_registry([write(tmp_path, text)]).check()


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, MINE, "method.py")
    with pytest.raises(PluginError, match=r'methd\.py does not exist; did you mean "method\.py"'):
        load_registry([tmp_path / "methd.py"])


def entry_points(monkeypatch: pytest.MonkeyPatch, *more: importlib.metadata.EntryPoint) -> None:
    original = importlib.metadata.entry_points
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [*original(group=group), *more])


def test_an_installed_package_brings_methods_through_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strange(Method):
        """A stranger's."""

    module = types.ModuleType("strange_methods")
    module.kdbench_methods = hookimpl(lambda: [Strange])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "strange_methods", module)
    entry_points(monkeypatch, importlib.metadata.EntryPoint("strange", "strange_methods", "kdbench"))
    assert load_registry().methods["strange"] is Strange


def test_an_entry_point_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points(monkeypatch, importlib.metadata.EntryPoint("strange", "nowhere_at_all", "kdbench"))
    with pytest.raises(PluginError, match=r'entry point "strange" \(nowhere_at_all\) cannot be imported'):
        load_registry()


def test_a_checkout_that_is_not_installed_is_answered_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    with pytest.raises(PluginError, match=r'kdbench is not installed.*run "pip install -e \."'):
        load_registry()


def test_a_kind_is_asked_for_when_it_is_first_used(tmp_path: Path) -> None:
    registry = load_registry([write(tmp_path, "import kdbench\n@kdbench.hookimpl\ndef kdbench_reporters(): 1 / 0")])
    assert "kd" in registry.methods
    with pytest.raises(PluginError, match="failed in its kdbench_reporters hook"):
        _ = registry.reporters


def test_a_file_that_only_defines_data_sets_and_tasks_needs_no_hook(tmp_path: Path) -> None:
    text = """
from kdbench import Dataset

class Base(Dataset):
    pass

class Noise(Dataset):
    name = "noise"
    def load(self, root): ...

class Sorting:
    plugin_hook, name = "kdbench_tasks", "sorting"
"""
    registry = load_registry([write(tmp_path, text)])
    assert "noise" in registry.datasets
    assert "sorting" in registry.tasks
