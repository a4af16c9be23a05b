"""Suites as a caller gives them: names, files, dicts, and objects where names stand."""

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
"""A suite that comes with kdbench, by name; a file; a dict of the same keys; or a suite as it was loaded."""
Settings: TypeAlias = Mapping[str, Any] | Sequence[str]
"""``{"recipe.lr": 0.1}``, or ``["recipe.lr=0.1"]``."""
PLAIN = frozenset({"kwargs", "params", "grid", "options", "recipe", "preprocessing"})
"""Keys of a suite in which nothing is a name of a plugin's."""


def load_suite(
    source: Source,
    *,
    methods: Iterable[Any] | None = None,
    settings: Settings = (),
    seeds: int | Iterable[int] | None = None,
    epochs: int | None = None,
) -> Suite:
    """Load a suite, and check it as far as that takes no plugins and no data.

    Relative paths of plugins and weights in a file are made absolute. Objects in it are replaced by their names: hand them to
    :func:`kdbench.run` as ``plugins``, or hand it the dict itself.

    Args:
        source: the name of a suite that comes with kdbench, a file, or a dict of the same keys.
        methods: method entries, as a suite spells them, in place of its own.
        settings: values to replace, by keys joined by dots.
        seeds: a number of seeds, or a list of them.
        epochs: epochs of every network.

    Raises:
        KdbenchError: the suite is missing or wrong; the sentence says where, and gives the nearest valid spelling.
    """
    loaded, _ = open_suite(source, methods=methods, settings=settings, seeds=seeds, epochs=epochs)
    return anchored(loaded)


def open_suite(
    source: Source,
    *,
    methods: Iterable[Any] | None = None,
    settings: Settings = (),
    only: Sequence[str] = (),
    seeds: int | str | Iterable[int] | None = None,
    epochs: int | None = None,
) -> tuple[LoadedSuite, tuple[Any, ...]]:
    """A suite with names alone, and the objects that stood where some of the names stand now.

    Args:
        source: the suite.
        methods: method entries in place of its own: names, dicts, Method classes.
        settings: values to replace.
        only: keep only the method entries of these names.
        seeds: a number of seeds, or a list of them; as text, in the spelling of the command line.
        epochs: epochs of every network.

    Raises:
        KdbenchError: the suite is missing or wrong.
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
        settings=_settings(settings),
        only=only,
        seeds=_seeds(seeds),
        epochs=epochs,
    )
    if isinstance(source, LoadedSuite):
        loaded = replace(loaded, path=source.path, folder=source.folder)
    return loaded, named.objects


def listed(given: Any) -> list[Any]:
    """Several things, or one of them alone, as a list."""
    alone = isinstance(given, str | Mapping | type) or callable(given) or not isinstance(given, Iterable)
    return [given] if alone else list(given)


def model_plugins(models: Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Model factories by name: as given, else by their own names.

    Raises:
        KdbenchError: a factory has no name of its own.
    """
    return dict(models) if isinstance(models, Mapping) else {_name_of(factory): factory for factory in listed(models)}


@dataclass
class Named:
    """Replaces objects by their names, and keeps them: Method, Dataset and Task classes, and model factories."""

    _classes: list[type] = field(default_factory=list)
    _models: list[dict[str, Callable[..., Any]]] = field(default_factory=list)

    def replaced(self, value: Any) -> Any:
        """A copy with names in place of objects."""
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
        """Plugins for the registry."""
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
