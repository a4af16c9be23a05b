"""The source of a method: its text, and a digest to compare with records.

A digest is prefixed with its scheme (``2:…``). Digests of another scheme are compared by their own scheme or
count as unknown, rather than as different. The schemes cover:

1. (no prefix) the modules of the class and of the methods that it inherits from;
2. these modules, the modules of the same package or folder that they import, and the definitions of an
   interactive session.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from kdbench.method import cells, imports
from kdbench.method.fingerprint import fingerprint
from kdbench.seeding import digest

SCHEME = "2"


def text_of(cls: type) -> str | None:
    """Return the source to keep with a record.

    Args:
        cls: the class of a method.

    Returns:
        The whole module for a class from a file; for one from an interactive session, the definitions of the
        session that it uses, followed by its own statement; ``None`` if no text is available.
    """
    module = cells.module_of(cls)
    if module is not None:
        return imports.read(Path(module.__file__ or ""), module)
    texts = [text for _, text, thing in cells.definitions(cls, set()) if not isinstance(thing, ModuleType)]
    return None if None in texts else "\n\n".join(t for t in texts if t is not None)


def digest_of(classes: Sequence[type]) -> str:
    """Return a digest of all source that defines these classes, with its scheme."""
    sources: dict[str, str] = {}
    for cls in classes:
        sources |= _sources(cls)
    return f"{SCHEME}:{digest(sources)}"


def first_digest_of(classes: Sequence[type]) -> str:
    """Return the digest of these classes by the first scheme."""
    return digest({cls.__module__: _module_text(cls) for cls in classes})


def scheme_of(recorded: str) -> str:
    """Return the scheme of a digest."""
    return recorded.rpartition(":")[0] or "1"


def sources_differ(some: Iterable[str], others: Iterable[str]) -> bool:
    """Return whether two collections of digests certainly belong to different sources.

    Digests of different schemes cannot be compared.
    """
    by_scheme = [_by_scheme(some), _by_scheme(others)]
    return any(by_scheme[0][s] != by_scheme[1][s] for s in by_scheme[0].keys() & by_scheme[1].keys())


def is_from_file(cls: type) -> bool:
    """Return whether a file, not an interactive session, defines a class."""
    return cells.module_of(cls) is not None


def is_installed(thing: Any) -> bool:
    """Return whether a class, function or module is part of an installed distribution.

    The standard library and editable installations count too.
    """
    module = thing if isinstance(thing, ModuleType) else cells.module_of(thing)
    name = module.__name__ if module is not None else thing.__module__
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return True
    file = getattr(module, "__file__", None)
    if file is None:
        return False
    return any(_holds(d, Path(file)) for d in _distributions(top))


def _sources(cls: type) -> dict[str, str]:
    module = cells.module_of(cls)
    if module is not None:
        return imports.module_sources(module) or {module.__name__: fingerprint(cls)}
    found: dict[str, str] = {}
    for name, text, thing in cells.definitions(cls, set()):
        if not isinstance(thing, ModuleType):
            guessed = isinstance(thing, type) and not cells.codes(thing)  # the text was found by the class's name alone
            found[f"session:{name}"] = fingerprint(thing) if text is None or guessed else text
        elif getattr(thing, "__file__", None) and not is_installed(thing):
            found |= imports.module_sources(thing)
    return found


def _module_text(cls: type) -> str:
    try:
        return inspect.getsource(inspect.getmodule(cls) or cls)
    except (OSError, TypeError):  # defined in an interactive session
        return cls.__qualname__


def _by_scheme(digests: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for recorded in digests:
        found.setdefault(scheme_of(recorded), set()).add(recorded)
    return found


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    """Return distribution names by top-level package; cached because reading is slow."""
    return packages_distributions()


def _distributions(top: str) -> Iterator[Distribution]:
    for name in dict.fromkeys(_packages().get(top, ())):
        try:
            yield distribution(name)
        except PackageNotFoundError:
            continue


def _holds(found: Distribution, file: Path) -> bool:
    """Return whether a file is where a distribution was installed.

    The name alone is not enough: a module in the working folder may have the same name.
    """
    if '"editable": true' in (found.read_text("direct_url.json") or "").replace('"editable":true', '"editable": true'):
        return True
    return file.resolve().is_relative_to(Path(str(found.locate_file(""))).resolve())
