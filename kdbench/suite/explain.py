"""Pydantic's errors about a suite, in plain words and with their locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from kdbench.errors import Location, SuiteError, did_you_mean
from kdbench.suite.locations import Locations
from kdbench.suite.schema import Suite
from kdbench.suite.spelling import spelling_at
from kdbench.suite.values import shown

MOST = 5
"""Maximum number of mistakes reported at once."""

EXAMINED = 100
"""Number of mistakes that are looked at; the others are only counted."""

MAPPINGS = ("model_type", "dict_type")
"""Types of pydantic's errors whose messages use Python's terms, not YAML's."""


def explain(error: ValidationError, locations: Locations, raw: Mapping[str, Any]) -> SuiteError:
    """Convert pydantic's error to one with a line for each mistake in a suite.

    Args:
        error: pydantic's error.
        locations: where the suite's parts are.
        raw: the suite that was validated.
    """
    seen: dict[str, Location] = {}
    findings = error.errors(include_url=False)
    deeper = {f["loc"][0] for f in findings if len(f["loc"]) > 1}
    for finding in findings[:EXAMINED]:
        if finding["type"] == "too_short" and finding["loc"][0] in deeper:
            continue  # pydantic counts an invalid item as missing
        path = _written(finding, raw)
        location = locations.of(*path)
        named = str(location) == ".".join(map(str, path))
        seen[f"{location}: {_sentence(finding, path, named=named)}"] = location
    lines = list(seen)
    left = len(lines) - MOST + max(0, len(findings) - EXAMINED)
    more = f"\n(and {left:,} more)" if left > 0 else ""
    explained = SuiteError("\n".join(lines[:MOST]) + more)
    explained.location = next(iter(seen.values()))
    return explained


def plain(finding: Any) -> str:
    """Convert one of pydantic's findings to part of a sentence, with its value."""
    message = str(finding["msg"])
    if finding["type"] in MAPPINGS:
        message = "input should be a mapping"
    elif finding["type"] == "string_pattern_mismatch":
        message = "input should be a name without a folder" if "/" in finding["ctx"]["pattern"] else "input should be one line"
    value = finding.get("input")
    told = f", not {shown(value)}" if isinstance(value, str | int | float | bool) or value is None else ""
    return message[0].lower() + message[1:] + told


def _written(finding: Any, raw: Any) -> tuple[str | int, ...]:
    """Return the path of a finding as it is written in the suite.

    Pydantic's own path also names alternatives of a union, and the seeds of a suite that gives only their
    number.
    """
    path: list[str | int] = []
    here = raw
    for number, part in enumerate(finding["loc"], 1):
        if _holds(here, part):
            here = here[part]
            path.append(part)
        elif number == len(finding["loc"]) and finding["type"] == "missing":
            path.append(part)
    return tuple(path)


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, Sequence) and not isinstance(value, str) and isinstance(part, int) and part < len(value)


def _sentence(finding: Any, path: tuple[str | int, ...], *, named: bool) -> str:
    """Say in a sentence what is wrong at a path.

    Args:
        finding: one of pydantic's findings.
        path: keys and indices that lead to it.
        named: whether the location in front of the sentence already names the path.
    """
    name = ".".join(map(str, path)) or "the suite"
    if finding["type"] == "extra_forbidden":
        model = spelling_at(Suite, path[:-1]).model
        known = model.model_fields if model else ()
        hint = did_you_mean(str(path[-1]), known) or f"; known are {', '.join(known)}"
        return f'unknown key "{path[-1]}"{hint}'
    if finding["type"] == "missing":
        return "this key is missing" if named else f"{name} is missing"
    said = plain(finding)
    if finding["type"] in MAPPINGS and spelling_at(Suite, path).name:
        said = said.replace("a mapping", "a name or a mapping", 1)
    return said if named else f"{name}: {said}"
