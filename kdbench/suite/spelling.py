"""Annotations for the types of a suite's keys, and their lookup by path."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Short:
    """Marks a mapping that may be written as a plain string, the value of one key.

    Args:
        key: the key: with ``method``, the string ``kd`` means ``{method: kd}``.
    """

    key: str

    def written_out(self, value: Any) -> Any:
        """Return the mapping that a string stands for; other values are unchanged."""
        return {self.key: value} if isinstance(value, str) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.written_out, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


@dataclass(frozen=True)
class KeysOf:
    """Marks a mapping with some of a model's keys, which is checked after merging.

    Args:
        model: the model.
    """

    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Leave the mapping unchanged; describe it by the model in the JSON Schema."""
        return core_schema.no_info_before_validator_function(
            lambda value: value, handler(source), json_schema_input_schema=handler.generate_schema(self.model)
        )


@dataclass(frozen=True)
class Spelling:
    """The values that are allowed at a path of keys.

    Args:
        model: the model whose keys a mapping has; ``None`` if any keys are allowed, or no mapping is.
        short: how a plain string is written out; ``None`` if a string is not a short spelling.
        name: whether a plain string is accepted, as a short spelling or unchanged.
    """

    model: type[BaseModel] | None
    short: Short | None
    name: bool


def spelling_at(model: type[BaseModel], path: Sequence[str | int]) -> Spelling:
    """Look up what is allowed at a path of keys and indices of a model."""
    here: list[Any] = [model]
    for part in path:
        here = [inner for outer in here for inner in _inside(outer, part)]
    models = [alternative for alternative in here if _is_model(alternative)]
    short = [alternative for alternative in here if isinstance(alternative, Short)]
    return Spelling(models[0] if models else None, short[0] if short else None, bool(short) or str in here)


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    """Yield the types that are allowed at one key or index of a value of this type."""
    if _is_model(annotation):
        field: FieldInfo | None = annotation.model_fields.get(part)
        if field is not None:
            yield from _alternatives(field.annotation, field.metadata)
    elif get_origin(annotation) in (tuple, list):
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) is dict:
        yield from _alternatives(get_args(annotation)[1])


def _alternatives(annotation: Any, marks: Sequence[Any] = ()) -> Iterator[Any]:
    """Unpack a union into its types and the marks for short spellings."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        yield from _alternatives(inner, [*more, *marks])
        return
    yield from (mark for mark in marks if isinstance(mark, Short))
    keys_of = [mark.model for mark in marks if isinstance(mark, KeysOf)]
    if keys_of:
        yield from keys_of
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
