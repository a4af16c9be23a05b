"""Finding plugins and asking them what they provide."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from kdbench.errors import Place, PluginError, did_you_mean
from kdbench.method import Method
from kdbench.plugins import hookspecs
from kdbench.seeding import digest

ENTRY_POINT_GROUP = "kdbench"
BUILT_INS = ("kdbench.models.small", "kdbench.tasks.images.catalog", "kdbench.run.executors", "kdbench.report.formats")
"""Modules of kdbench that come in through the same hooks as a stranger's plugin."""

T = TypeVar("T")


@dataclass(frozen=True)
class Registry:
    """What all plugins provide, by name.

    Args:
        manager: the pluggy manager; ``registry.hook`` calls events.
    """

    manager: pluggy.PluginManager

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks, to be called with keyword arguments."""
        return self.manager.hook

    @cached_property
    def methods(self) -> Mapping[str, type[Method]]:
        """Method classes by name."""
        return self._classes("kdbench_methods", "method", Method)

    @cached_property
    def models(self) -> Mapping[str, Callable[..., Any]]:
        """Model factories by name (timm's own models are not among them)."""
        return self._collect("kdbench_models", "model", lambda given: dict(given).items())

    @cached_property
    def datasets(self) -> Mapping[str, type[Any]]:
        """Data set classes by name."""
        return self._classes("kdbench_datasets", "data set", object)

    @cached_property
    def tasks(self) -> Mapping[str, type[Any]]:
        """Task classes by name."""
        return self._classes("kdbench_tasks", "task", object)

    @cached_property
    def metrics(self) -> Mapping[str, Callable[..., float]]:
        """Extra metrics by name."""
        return self._collect("kdbench_metrics", "metric", lambda given: dict(given).items())

    @cached_property
    def executors(self) -> Mapping[str, Any]:
        """Executors by name."""
        return self._collect("kdbench_executors", "executor", lambda given: dict(given).items())

    @cached_property
    def reporters(self) -> Mapping[str, Callable[..., list[Path]]]:
        """Report formats by name."""
        return self._collect("kdbench_reporters", "report format", lambda given: dict(given).items())

    def check(self) -> None:
        """Ask every providing hook once, so that what is wrong with a plugin shows before anything trains.

        Raises:
            PluginError: a hook raises, provides something else than it should, or claims a taken name.
        """
        for kind in ("methods", "models", "datasets", "tasks", "metrics", "executors", "reporters"):
            getattr(self, kind)

    def find(self, kind: str, table: Mapping[str, T], name: str, place: Place | None = None) -> T:
        """Look a name up, or raise :class:`PluginError` with the nearest known one."""
        if name not in table:
            hint = did_you_mean(name, table) or f"; known are {', '.join(sorted(table))}"
            raise PluginError(f'unknown {kind} "{name}"{hint}', place)
        return table[name]

    def _classes(self, hook: str, noun: str, base: type) -> Mapping[str, type[Any]]:
        def items(given: Iterable[Any]) -> Iterable[tuple[str, Any]]:
            for cls in given:
                name = getattr(cls, "name", None)
                if not (inspect.isclass(cls) and issubclass(cls, base) and isinstance(name, str)):
                    raise PluginError(f"{hook} must return {base.__name__} classes with a name, not {cls!r}")
                yield name, cls

        return self._collect(hook, noun, items)

    def _collect(self, hook: str, noun: str, items: Callable[[Any], Iterable[tuple[str, Any]]]) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        owner: dict[str, str] = {}
        implementations = getattr(self.hook, hook).get_hookimpls()
        for impl in implementations:  # in the order of registration
            plugin = _describe(impl.plugin, impl.plugin_name)
            try:
                given = list(items(impl.function() or ()))
            except PluginError as error:
                raise PluginError(f"{plugin}: {error.message}") from error
            except Exception as error:
                raise PluginError(f"{plugin}: its {hook} hook failed: {type(error).__name__}: {error}") from error
            for name, value in given:
                if name in owner and found[name] is not value:
                    raise PluginError(f'two plugins claim the {noun} "{name}": {owner[name]} and {plugin}; rename one of them')
                owner[name], found[name] = plugin, value
        return found


def load_registry(files: Sequence[Path | str] = (), places: Mapping[str, Place] | None = None) -> Registry:
    """Find every plugin: built-ins, entry points of the group ``kdbench``, then files.

    Args:
        files: Python files, in order; a file named twice is loaded once.
        places: for files that a suite names, where it does.

    Raises:
        PluginError: a plugin cannot be found or imported, implements a hook that does not exist, or claims a taken name.
    """
    manager = pluggy.PluginManager("kdbench")
    manager.add_hookspecs(hookspecs)
    for name in BUILT_INS:
        _register(manager, importlib.import_module(name), name)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        where = f'entry point "{entry.name}" ({entry.value})'
        try:
            plugin = entry.load()
        except Exception as error:
            raise PluginError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
        if not manager.is_registered(plugin):
            _register(manager, plugin, where)
    for path in dict.fromkeys(Path(f).resolve() for f in files):
        place = (places or {}).get(str(path))
        _register(manager, _import_file(path, place), str(path))
    registry = Registry(manager)
    registry.check()
    return registry


def _register(manager: pluggy.PluginManager, plugin: Any, name: str) -> None:
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = [n for n in vars(hookspecs) if n.startswith("kdbench_")]
        unknown = next((n for n in vars(plugin) if n.startswith("kdbench_") and n not in known), "")
        raise PluginError(f"{name}: {str(error).splitlines()[-1]}{did_you_mean(unknown, known)}") from error


def _import_file(path: Path, place: Place | None) -> ModuleType:
    if not path.is_file():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.py")]) if path.parent.is_dir() else ""
        raise PluginError(f"plugin file {path} does not exist{near}", place)
    name = f"kdbench_plugin_{path.stem}_{digest(str(path), 8)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin file {path} is not a Python file", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(name, None)
        line = next((f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), None)
        if isinstance(error, SyntaxError):
            line = error.lineno
        raise PluginError(f"the plugin cannot be imported: {type(error).__name__}: {error}", Place(path, line)) from error
    _adopt_methods(module)
    return module


def _adopt_methods(module: ModuleType) -> None:
    """Let a file that only defines Method subclasses do without a hook."""
    if hasattr(module, "kdbench_methods"):
        return
    own = [
        v
        for v in vars(module).values()
        if inspect.isclass(v) and issubclass(v, Method) and v.__module__ == module.__name__ and not v.__name__.startswith("_")
    ]
    if own:
        module.kdbench_methods = hookspecs.hookimpl(lambda: own)  # type: ignore[attr-defined]


def _describe(plugin: Any, name: str | None) -> str:
    file = getattr(plugin, "__file__", None)
    return name if name and (file is None or name == str(file)) else f"{name} ({file})"
