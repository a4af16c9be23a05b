"""kdbench's built-in methods: a plugin like any other, found through the entry-point group ``kdbench``."""

from __future__ import annotations

from collections.abc import Iterable

from kdbench import Method, hookimpl

METHODS: list[type[Method]] = []


@hookimpl
def kdbench_methods() -> Iterable[type[Method]]:
    """Every built-in method."""
    return METHODS
