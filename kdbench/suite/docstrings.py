"""Descriptions of a model's keys, taken from its docstring.

They are written once and shown in the JSON Schema and in the editors that use it.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

_ENTRY = re.compile(r"    (\w+): (.*)")


def summary(cls: type[Any]) -> str:
    """Return the first paragraph of a class's docstring."""
    return _plain(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0])


def arguments(cls: type[Any]) -> dict[str, str]:
    """Collect descriptions in the ``Args`` sections of a class and its bases, by name."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _section(inspect.cleandoc(vars(base).get("__doc__") or ""))
    return found


def _section(text: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.partition("\nArgs:\n")[2].splitlines():
        if entry := _ENTRY.fullmatch(line):
            lines = found.setdefault(entry[1], [])
            lines.append(entry[2])
        elif line.startswith("        "):
            lines.append(line.strip())
        else:
            break
    return {name: _sentence(" ".join(parts)) for name, parts in found.items()}


def _sentence(text: str) -> str:
    text = _plain(text)
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """Remove reStructuredText's roles and doubled backquotes."""
    return re.sub(r"``(.+?)``|:\w+:`(?:[\w.]+\.)?(\w+)`", lambda m: f"`{m[1] or m[2]}`", " ".join(text.split()))
