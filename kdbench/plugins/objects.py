"""Plugins from Python objects: classes, model factories, objects with hooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from kdbench.errors import PluginError
from kdbench.plugins import hookspecs

CLASS_HOOKS = ("kdbench_methods", "kdbench_datasets", "kdbench_tasks")
"""Hooks that return classes; a class names its hook in ``plugin_hook``."""


class Provider:
    """A plugin that provides one thing."""

    def __init__(self, hook: str, provided: Any) -> None:
        setattr(self, hook, hookspecs.hookimpl(lambda: provided))


def as_plugin(given: Any, has_hooks: Callable[[Any], bool]) -> tuple[Any, str]:
    """Return a plugin for an object, and its name.

    Args:
        given: a Method, Dataset or Task class, a mapping of names to model factories, or anything with hooks
            (a module, an object).
        has_hooks: whether an object implements a hook.

    Raises:
        PluginError: it is none of these.
    """
    hook = getattr(given, "plugin_hook", None)
    if inspect.isclass(given) and hook in CLASS_HOOKS:
        return Provider(hook, [given]), f"{given.__module__}.{given.__qualname__}"
    if isinstance(given, Mapping):
        wrong = next((f"{k!r}: {v!r}" for k, v in given.items() if not (isinstance(k, str) and callable(v))), None)
        if wrong is not None:
            raise PluginError(f"models are given as names with the functions that make them, not as {{{wrong}}}")
        return Provider("kdbench_models", given), f"models {', '.join(given)}"
    if hook in CLASS_HOOKS:
        raise PluginError(f"a class is expected, not an instance of it: give {type(given).__qualname__} itself")
    if has_hooks(given):
        return given, str(getattr(given, "__name__", None) or type(given).__qualname__)
    raise PluginError(
        f"{given!r} is not a plugin: give a Method, Dataset or Task class, a dict of model factories, or an object with functions "
        "marked by kdbench.hookimpl"
    )


def adopt_classes(module: ModuleType) -> None:
    """Add hooks to a file that only defines Method, Dataset or Task classes."""
    for hook in CLASS_HOOKS:
        own = [c for c in vars(module).values() if _is_offered(c, hook, module)]
        if own and not hasattr(module, hook):
            setattr(module, hook, hookspecs.hookimpl(_returning(own)))


def _is_offered(thing: Any, hook: str, module: ModuleType) -> bool:
    return (
        inspect.isclass(thing)
        and getattr(thing, "plugin_hook", None) == hook
        and thing.__module__ == module.__name__
        and not thing.__name__.startswith("_")
        and not inspect.isabstract(thing)
    )


def _returning(classes: list[type]) -> Callable[[], Iterable[type]]:
    return lambda: classes
