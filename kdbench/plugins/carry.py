"""Transfer of plugins that exist only as objects to worker processes.

Such plugins are for example classes defined in a notebook, or lambdas. They are pickled, and unpickling runs
code: therefore only a worker unpickles them, from its own parent, and they are never stored.
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
    """Convert objects to text, empty if there are none.

    Methods keep their source, which another process could not find.

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
    """Return the objects that :func:`pack` converted to text.

    Call it only on text that this process's own parent sent: unpickling runs code.

    Raises:
        PluginError: this process cannot create them, because it cannot import a module that its parent had.
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
    """Return text and digest of a method's source, or ``None`` for other objects."""
    if isinstance(given, type) and issubclass(given, Method):
        return given.source(), given.source_digest()
    return None


@contextmanager
def _by_value(given: Any) -> Iterator[None]:
    """Pickle an object's module by value if other processes cannot import it."""
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
    """Return whether another process with the same path can find a module.

    That it is imported in this process does not prove it.
    """
    top = module.__name__.partition(".")[0]
    return top == "__main__" or any(f.find_spec(top, None) for f in sys.meta_path if hasattr(f, "find_spec"))
