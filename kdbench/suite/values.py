"""Limits on all values of a suite: text, numbers, depth."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kdbench.errors import SuiteError
from kdbench.suite.locations import Locations
from kdbench.suite.parse import MAX_DEPTH, MAX_VALUES

MAX_TEXT = 10_000
"""Maximum length of a text."""

MAX_KEY = 200
"""Maximum length of a key."""

MAX_INT = 2**63 - 1
"""Largest whole number: files and tensors hold 64 bits."""

OPEN = frozenset({"params", "grid"})
"""Keys below which a method decides whether a number may be infinite."""

_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
"""Control characters (but for tabs and line breaks) and halves of characters.

No file name or terminal takes them.
"""


def check_values(raw: Mapping[str, Any], locations: Locations) -> None:
    """Check every value of a suite as it was written.

    Args:
        raw: the suite.
        locations: the locations of its parts.

    Raises:
        SuiteError: a key is not text; a text holds control characters or is too long; a number is not finite
            or has more than 64 bits; or there are too many values or levels.
    """
    for number, (path, value) in enumerate(_walk(raw)):
        if number > MAX_VALUES:
            raise SuiteError(f"a suite has {MAX_VALUES:,} values at most", locations.of(*path))
        if problem := _problem(path, value):
            raise SuiteError(problem, locations.of(*path))
        for key in value if isinstance(value, Mapping) else ():
            if problem := _problem_of_key(key):
                raise SuiteError(problem, locations.of(*path, key))


def shown(value: Any, most: int = 60) -> str:
    """Return a value for a message: shortened, printable, on one line."""
    text = repr(value if not isinstance(value, str) else value[: 2 * most])
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _walk(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every value with its path, in the order of the suite."""
    pending: list[tuple[tuple[str | int, ...], Any]] = [(path, value)]
    while pending:
        path, value = pending.pop()
        yield path, value
        if len(path) > MAX_DEPTH:
            continue  # refused by now
        if isinstance(value, Mapping):
            pending.extend(((*path, key), inner) for key, inner in reversed(list(value.items())))
        elif isinstance(value, list | tuple):
            pending.extend(((*path, index), inner) for index, inner in reversed(list(enumerate(value))))


def _problem(path: tuple[Any, ...], value: Any) -> str:
    """Return what is wrong with a value; empty if nothing is."""
    if len(path) > MAX_DEPTH:
        return f"{shown(path[0])} is nested too deeply, in more than {MAX_DEPTH} levels"
    name = ".".join(map(str, path))
    if isinstance(value, str) and (unfit := _unfit(value, MAX_TEXT)):
        return f"{name}: the text {shown(value)} {unfit}"
    if isinstance(value, int) and not -MAX_INT <= value <= MAX_INT:
        return f"{name}: input should be a number of 64 bits at most"
    if isinstance(value, float) and not math.isfinite(value) and OPEN.isdisjoint(path):
        return f"{name}: input should be a finite number, not {value}"
    return ""


def _problem_of_key(key: Any) -> str:
    if not isinstance(key, str):
        return f"keys should be strings, not {shown(key)}"
    unfit = _unfit(key, MAX_KEY)
    return f"the key {shown(key)} {unfit}" if unfit else ""


def _unfit(text: str, most: int) -> str:
    if len(text) > most:
        return f"has more than {most:,} characters"
    found = _UNFIT.search(text)
    return f"holds the character U+{ord(found[0]):04X}, which is not printable" if found else ""
