"""The parameters of a method as plain data, as ids and records hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel


def plain_data(params: BaseModel) -> dict[str, Any]:
    """Return parameters as JSON, defaults included.

    A number that is not finite becomes a string (``"Infinity"``), which pydantic reads as that number. Only
    fields declared with ``Field(allow_inf_nan=True)`` accept one.

    Raises:
        ValueError: a number is not finite and would not be read again; the text begins with its name.
    """
    found: dict[str, Any] = params.model_dump(mode="json")
    infinite = list(_infinite(found, ()))
    if not infinite:
        return found
    encoded: dict[str, Any] = json.loads(params.model_dump_json())
    for path in infinite:
        if not isinstance(_at(encoded, path), str):
            raise ValueError(f"{'.'.join(map(str, path))} is not a finite number")
    return encoded


def _infinite(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _infinite(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _infinite(inner, (*path, index))


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        value = value[part]
    return value
