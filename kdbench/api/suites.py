"""Suites given as names, files or dicts, with objects in place of names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from kdbench.errors import KdbenchError, SuiteError
from kdbench.plugins.objects import CLASS_HOOKS
from kdbench.suite import load
from kdbench.suite.load import LoadedSuite
from kdbench.suite.resolve import anchored
from kdbench.suite.schema import Suite

Source: TypeAlias = str | Path | Mapping[str, Any] | Suite | LoadedSuite
"""A suite: a packaged suite's name, a file, a dict of its keys, or a loaded suite."""
Settings: TypeAlias = Mapping[str, Any] | Sequence[str]
"""Values to replace: ``{"recipe.lr": 0.1}`` or ``["recipe.lr=0.1"]``."""
PLAIN = frozenset({"kwargs", "params", "grid", "options", "recipe", "preprocessing"})
"""Keys of a suite whose values never name plugins."""


def load_suite(
    source: Source,
    *,
    methods: Iterable[Any] | None = None,
    settings: Settings = (),
    seeds: int | Iterable[int] | None = None,
    epochs: int | None = None,
) -> Suite:
    """Load a suite, and check it as far as possible without plugins and data.

    In a file, relative paths of plugins and weights become absolute. In a dict, objects are replaced by
    their names: pass these objects to :func:`kdbench.run` as ``plugins``, or pass it the dict itself.

    Args:
        source: the name of a suite that comes with kdbench, a file, or a dict with the keys of such a
            file.
        methods: method entries, as in a suite, to use instead of the suite's.
        settings: values to replace, by keys joined with dots.
        seeds: a number of seeds, or a list of them.
        epochs: number of epochs of every network.

    Raises:
        KdbenchError: the suite is missing or invalid; the message gives the place and the nearest valid
            spelling.
    """
    loaded, _ = open_suite(source, methods=methods, settings=settings, seeds=seeds, epochs=epochs)
    return anchored(loaded)


def open_suite(
    source: Source,
    *,
    methods: Iterable[Any] | None = None,
    add: Iterable[Any] = (),
    settings: Settings = (),
    only: Sequence[str] = (),
    seeds: int | str | Iterable[int] | None = None,
    epochs: int | None = None,
) -> tuple[LoadedSuite, tuple[Any, ...]]:
    """Load a suite, and replace objects in it by their names.

    Args:
        source: the suite.
        methods: method entries to use instead of the suite's: names, dicts, Method classes.
        add: method entries to use beside the suite's.
        settings: values to replace.
        only: names of the method entries to keep; all by default.
        seeds: a number of seeds, or a list of them; as text, spelled as on the command line.
        epochs: number of epochs of every network.

    Returns:
        The suite, which holds names only, and the objects that it named.

    Raises:
        KdbenchError: the suite is missing or invalid.
    """
    named = Named()
    given: Any = source
    if isinstance(source, Mapping):
        given = named.replaced(source)
    elif isinstance(source, LoadedSuite):
        given = source.suite
    elif not isinstance(source, str | Path | Suite):
        raise KdbenchError(f"a suite is a name, a file, a dict or a Suite, not {source!r}")
    loaded = load.load_suite(
        given,
        methods=None if methods is None else named.replaced(listed(methods)),
        add=named.replaced(listed(add)),
        settings=_settings(settings),
        only=only,
        seeds=_seeds(seeds),
        epochs=epochs,
    )
    if isinstance(source, LoadedSuite):
        loaded = replace(loaded, path=source.path, folder=source.folder)
    return loaded, named.objects


def listed(given: Any) -> list[Any]:
    """Return several values, or a single one, as a list."""
    alone = isinstance(given, str | Mapping | type) or callable(given) or not isinstance(given, Iterable)
    return [given] if alone else list(given)


def model_plugins(models: Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return model factories by name: the given name, or the factory's own.

    Raises:
        KdbenchError: a factory has no name.
    """
    return dict(models) if isinstance(models, Mapping) else {_name_of(factory): factory for factory in listed(models)}


@dataclass
class Named:
    """Replaces objects by their names, and keeps them.

    The objects are Method, Dataset and Task classes, and model factories.
    """

    _classes: list[type] = field(default_factory=list)
    _models: list[dict[str, Callable[..., Any]]] = field(default_factory=list)

    def replaced(self, value: Any) -> Any:
        """Return a copy with names in place of objects."""
        if isinstance(value, type) and getattr(value, "plugin_hook", None) in CLASS_HOOKS:
            self._classes.append(value)
            return value.name  # type: ignore[attr-defined]
        if isinstance(value, Mapping):
            return {key: inner if key in PLAIN else self.replaced(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.replaced(inner) for inner in value]
        if callable(value):
            name = _name_of(value)
            if not any(known.get(name) is value for known in self._models):
                self._models.append({name: value})
            return name
        return value

    @property
    def objects(self) -> tuple[Any, ...]:
        """The objects that were replaced, as plugins for the registry."""
        return (*dict.fromkeys(self._classes), *self._models)


def _name_of(factory: Any) -> str:
    while hasattr(factory, "func"):  # functools.partial
        factory = factory.func
    name = getattr(factory, "__name__", "")
    if not name.isidentifier():
        raise KdbenchError(
            f"{factory!r} stands for a model and has no name: write its name, and give models={{name: function}}"
        )
    return str(name)


def _settings(settings: Settings) -> list[str]:
    if not isinstance(settings, Mapping):
        return listed(settings)
    try:
        return [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    except TypeError as error:
        raise SuiteError(f"in settings: values are plain data ({error})") from error


def _seeds(seeds: int | str | Iterable[int] | None) -> str | None:
    if seeds is None or isinstance(seeds, str):
        return seeds
    return str(seeds) if isinstance(seeds, int) else "".join(f"{seed}," for seed in seeds)
