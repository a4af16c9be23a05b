"""Plugins from Python objects: the same kinds, the same sentences."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from kdbench import Dataset, Method, RawData, hookimpl
from kdbench.errors import PluginError
from kdbench.plugins.manager import load_registry


class Mine(Method):
    """Mine."""


class Noise(Dataset):
    """Noise."""

    name = "noise"

    def load(self, root: Path) -> RawData:
        raise NotImplementedError


class Sorting:
    """A task."""

    plugin_hook, name = "kdbench_tasks", "sorting"


class Plugin:
    """An object with hooks."""

    @hookimpl
    def kdbench_metrics(self) -> Any:
        return {"zero": lambda logits, targets: 0.0}


def test_classes_factories_and_objects_with_hooks_are_plugins() -> None:
    module = types.ModuleType("session")
    module.kdbench_methods = hookimpl(lambda: [Mine])  # type: ignore[attr-defined]
    registry = load_registry(objects=[Mine, Noise, Sorting, {"line": nn.Linear}, Plugin(), module])
    registry.check()
    assert registry.methods["mine"] is Mine
    assert registry.datasets["noise"] is Noise
    assert registry.tasks["sorting"] is Sorting
    assert registry.models["line"] is nn.Linear
    assert "zero" in registry.metrics


def test_an_object_that_is_known_already_changes_nothing() -> None:
    kd = load_registry().methods["kd"]
    assert load_registry(objects=[kd, kd]).methods["kd"] is kd


def test_a_taken_name_is_answered_with_both_owners() -> None:
    class KD(Method):
        """Another one."""

    with pytest.raises(PluginError, match=r'claim the method "kd": entry point "methods" .* and .*\.KD; rename one'):
        load_registry(objects=[KD]).check()


def test_two_classes_of_one_qualified_name_are_both_named() -> None:
    def define() -> type[Method]:
        class Twice(Method):
            """Defined twice."""

        return Twice

    with pytest.raises(PluginError, match=r'claim the method "twice": .*Twice and .*Twice \(2\)'):
        load_registry(objects=[define(), define()]).check()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "3 is not a plugin: give a Method, Dataset or Task class"),
        (nn.Linear, "is not a plugin"),
        (Mine(), "a class is expected, not an instance of it: give Mine itself"),
        ({"line": 3}, "not as {'line': 3}"),
        (types.ModuleType("empty"), "is not a plugin"),
    ],
)
def test_anything_else_is_answered_with_what_is_expected(given: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        load_registry(objects=[given])
