"""Plugins that exist as objects only (a class of a notebook, a lambda), carried to processes that this process starts.

They are pickled, so whoever unpickles them runs code: only a worker that its own parent started does so, and nothing that is
stored ever holds them.
"""

from __future__ import annotations

import base64
import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from kdbench.errors import PluginError
from kdbench.method import Method


def pack(objects: Sequence[Any]) -> str:
    """Objects as text; "" for none. Methods keep their source, which another process could not find.

    Raises:
        PluginError: one of them cannot be pickled.
    """
    if not objects:
        return ""
    import cloudpickle

    parts = []
    for given in objects:
        try:
            with _by_value(given):
                parts.append(cloudpickle.dumps((given, _source(given))))
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            name = getattr(given, "__qualname__", None) or repr(given)
            raise PluginError(
                f"{name} cannot be sent to worker processes ({reason}): run it with one job, or put it into a file and name that as a"
                " plugin"
            ) from error
    return base64.b64encode(pickle.dumps(parts)).decode()


def unpack(text: str) -> tuple[Any, ...]:
    """The objects that :func:`pack` made a text of: to be called in a process on what its own parent sent, and nowhere else.

    Raises:
        PluginError: this process cannot make them, because it cannot import a module that the other had.
    """
    found = []
    for part in pickle.loads(base64.b64decode(text)) if text else ():  # noqa: S301 (of the parent process, see above)
        try:
            given, source = pickle.loads(part)  # noqa: S301
        except Exception as error:
            raise PluginError(f"a plugin that was sent to a worker process cannot be made there: {error}") from error
        if source is not None:
            given.keep_source(*source)
        found.append(given)
    return tuple(found)


def _source(given: Any) -> tuple[str | None, str] | None:
    """Text and digest of a method's source."""
    if isinstance(given, type) and issubclass(given, Method):
        return given.source(), given.source_digest()
    return None


@contextmanager
def _by_value(given: Any) -> Iterator[None]:
    """Pickle what an object's module defines by value where another process could not import that module."""
    import cloudpickle

    things = given.values() if isinstance(given, Mapping) else [given]
    modules = {m for thing in things if (m := _module(thing)) is not None and not _can_be_imported(m)}
    known = cloudpickle.list_registry_pickle_by_value()
    modules = {m for m in modules if m.__name__ not in known}
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _module(thing: Any) -> ModuleType | None:
    if isinstance(thing, ModuleType):
        return thing
    return sys.modules.get(getattr(thing, "__module__", None) or type(thing).__module__)


def _can_be_imported(module: ModuleType) -> bool:
    """Whether another process with the same path finds a module: its being imported here is no proof."""
    top = module.__name__.partition(".")[0]
    return top == "__main__" or any(f.find_spec(top, None) for f in sys.meta_path if hasattr(f, "find_spec"))
