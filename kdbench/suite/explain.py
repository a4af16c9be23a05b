"""What pydantic finds wrong with a suite, in plain words and with its location."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from kdbench.errors import Location, SuiteError, did_you_mean
from kdbench.suite.locations import KeyLocations, Locations
from kdbench.suite.schema import Suite
from kdbench.suite.spelling import spelling_at

MOST = 5
"""Number of mistakes told at once."""

MAPPINGS = ("model_type", "dict_type")
"""Pydantic's types of mistake that it describes in Python's words: a dictionary, or an instance of a class."""


def explain(error: ValidationError, locations: Locations, raw: Mapping[str, Any]) -> SuiteError:
    """All that is wrong with a suite, a line for each mistake.

    Args:
        error: what pydantic found.
        locations: where the suite's parts are.
        raw: what was validated.
    """
    seen: dict[str, Location] = {}
    findings = error.errors()
    deeper = {f["loc"][0] for f in findings if len(f["loc"]) > 1}
    for finding in findings:
        if finding["type"] == "too_short" and finding["loc"][0] in deeper:
            continue  # pydantic counts an item that is wrong as missing
        path = _written(finding, raw)
        location = locations.of(*path)
        seen[f"{location}: {_sentence(finding, path, named=isinstance(locations, KeyLocations))}"] = location
    lines = list(seen)
    more = f"\n(and {len(lines) - MOST} more)" if len(lines) > MOST else ""
    explained = SuiteError("\n".join(lines[:MOST]) + more)
    explained.location = next(iter(seen.values()))
    return explained


def plain(finding: Any) -> str:
    """Convert one of pydantic's findings to part of a sentence, with its value."""
    message = str(finding["msg"])
    if finding["type"] in MAPPINGS:
        message = "input should be a mapping"
    value = finding.get("input")
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) or value is None else ""
    return message[0].lower() + message[1:] + shown


def _written(finding: Any, raw: Any) -> tuple[str | int, ...]:
    """The path of a finding as the suite has it: pydantic also names alternatives, and seeds that were only counted."""
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
    """What is wrong at a path.

    Args:
        finding: what pydantic found.
        path: keys and indices that lead there.
        named: whether the location in front of the sentence is that path already.
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
