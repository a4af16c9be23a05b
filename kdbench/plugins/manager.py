"""Finding plugins: entry points, files, and objects."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import traceback
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from kdbench.errors import KdbenchError, Location, PluginError, did_you_mean
from kdbench.method.guard import Guard, PluginFailed, cause_of
from kdbench.paths import real_path
from kdbench.plugins import hookspecs
from kdbench.plugins.objects import adopt_classes, as_plugin
from kdbench.plugins.registry import Registry
from kdbench.seeding import digest

__all__ = ["ENTRY_POINT_GROUP", "Registry", "load_registry"]

ENTRY_POINT_GROUP = "kdbench"

BUILT_IN = ("kdbench_methods", "kdbench_models", "kdbench_datasets", "kdbench_tasks", "kdbench_executors", "kdbench_reporters")
"""Hooks that kdbench itself implements.

If one of them has no implementation, kdbench is not installed correctly.
"""


def load_registry(
    files: Sequence[Path | str] = (),
    locations: Mapping[str, Location] | None = None,
    objects: Iterable[Any] = (),
    own: Collection[str] | None = None,
) -> Registry:
    """Find every plugin: entry points, then files, then objects.

    Entry points are those of the group ``kdbench``, kdbench's own first. No hook is called yet:
    :meth:`Registry.check` does so before a run.

    Args:
        files: Python files, in order; a file named twice is loaded once.
        locations: where a suite names these files, for messages.
        objects: Method, Dataset or Task classes, mappings of names to model factories, and objects or modules
            with hooks.
        own: names of kdbench's own entry points that are wanted, all by default. Without its methods and
            models, torch need not be imported.

    Raises:
        PluginError: a plugin cannot be found or imported, or implements a hook that does not exist.
    """
    manager = pluggy.PluginManager("kdbench")
    manager.add_hookspecs(hookspecs)
    for entry in _entry_points():
        if own is None or entry.name in own or not _is_own(entry):
            _register_entry_point(manager, entry)
    expected = [h for h in BUILT_IN if own is None or h.removeprefix("kdbench_") in own]
    if not all(getattr(manager.hook, hook).get_hookimpls() for hook in expected):
        raise PluginError(
            "kdbench is not installed, or its installation is older than its code: its methods, models and data sets are found "
            'through its entry points; run "pip install -e ." in the checkout'
        )
    for path in dict.fromkeys(real_path(f) for f in files):
        location = (locations or {}).get(str(path))
        _register(manager, _import_file(path, location), str(path))
    for given in {id(o): o for o in objects}.values():
        if not manager.is_registered(given):
            plugin, name = as_plugin(given, lambda o: _has_hooks(manager, o))
            _register(manager, plugin, _free(manager, name))
    return Registry(manager)


def _entry_points() -> list[EntryPoint]:
    found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return sorted(found, key=lambda e: not _is_own(e))


def _is_own(entry: EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name == "kdbench"


def _register_entry_point(manager: pluggy.PluginManager, entry: EntryPoint) -> None:
    where = f'entry point "{entry.name}" ({entry.value})'
    try:
        with Guard().calling(where, "its import"):
            plugin = entry.load()
    except PluginFailed as error:
        raise PluginError(f"{where} cannot be imported: {cause_of(error)}") from error
    if not manager.is_registered(plugin):
        _register(manager, plugin, where)


def _register(manager: pluggy.PluginManager, plugin: Any, name: str) -> None:
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = [n for n in vars(hookspecs) if n.startswith("kdbench_")]
        unknown = next((n for n in dir(plugin) if n.startswith("kdbench_") and n not in known), "")
        raise PluginError(f"{name}: {str(error).splitlines()[-1]}{did_you_mean(unknown, known)}") from error
    for hook in manager.get_hookcallers(plugin) or ():
        if any(i.plugin is plugin and (i.wrapper or i.hookwrapper) for i in hook.get_hookimpls()):
            raise PluginError(
                f"{name}: {hook.name} is a wrapper, which kdbench's hooks do not have; write an ordinary function"
            )


def _has_hooks(manager: pluggy.PluginManager, plugin: Any) -> bool:
    return any(n.startswith("kdbench_") and manager.parse_hookimpl_opts(plugin, n) is not None for n in dir(plugin))


def _free(manager: pluggy.PluginManager, name: str) -> str:
    """Return the name, with a number if another plugin has it."""
    number, free = 1, name
    while manager.has_plugin(free):
        number += 1
        free = f"{name} ({number})"
    return free


def _import_file(path: Path, location: Location | None) -> ModuleType:
    if not path.is_file():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.py")]) if path.parent.is_dir() else ""
        raise PluginError(f"plugin file {path} does not exist{near}", location)
    name = f"kdbench_plugin_{path.stem}_{digest(str(path), 8)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin file {path} is not a Python file", location)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with Guard().calling("the plugin", "its import"):
            spec.loader.exec_module(module)
            adopt_classes(module)
    except KdbenchError as failure:
        sys.modules.pop(name, None)
        error = failure.__cause__ if isinstance(failure, PluginFailed) and failure.__cause__ else failure
        line = next((f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), None)
        if isinstance(error, SyntaxError):
            line = error.lineno
        raise PluginError(f"the plugin cannot be imported: {cause_of(failure)}", Location(path, line)) from failure
    return module
