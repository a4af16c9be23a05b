"""The parameters of a method as plain data, as ids and records hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


class AddedLater:
    """Marks a parameter that a method got when there were results of it already.

    ``margin: Annotated[float, AddedLater] = 0.0`` counts in a trial's id only where it differs from its
    default, so that earlier results stay those of the method with the default. The default must mean what
    the method did before there was the parameter, and never change afterwards.
    """


def plain_data(params: BaseModel) -> dict[str, Any]:
    """Return parameters as JSON, defaults included.

    Those of :class:`AddedLater` are left out where they have their default. A number that is not finite
    becomes a string (``"Infinity"``), which pydantic reads as that number. Only fields declared with
    ``Field(allow_inf_nan=True)`` accept one.

    Raises:
        ValueError: a number is not finite and would not be read again; the text begins with its name. Or a
            parameter that was added later has no default.
    """
    later = {name for name, field in type(params).model_fields.items() if _counts_not(name, field, getattr(params, name))}
    found: dict[str, Any] = params.model_dump(mode="json", exclude=later)
    infinite = list(_infinite(found, ()))
    if not infinite:
        return found
    encoded: dict[str, Any] = json.loads(params.model_dump_json(exclude=later))
    for path in infinite:
        if not isinstance(_at(encoded, path), str):
            raise ValueError(f"{'.'.join(map(str, path))} is not a finite number")
    return encoded


def _counts_not(name: str, field: FieldInfo, value: Any) -> bool:
    """Whether a parameter is as if the method did not have it yet."""
    if not any(mark is AddedLater or isinstance(mark, AddedLater) for mark in field.metadata):
        return False
    if field.is_required():
        raise ValueError(f"{name}, which was added later, needs a default that means what the method did before")
    return bool(value == field.get_default(call_default_factory=True))


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
