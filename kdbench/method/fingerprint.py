"""Fingerprints of compiled code, for classes and functions without source."""

from __future__ import annotations

import inspect
import json
import re
from types import CodeType, FunctionType
from typing import Any

from kdbench.method.cells import functions_of, is_constant, module_of

IMMUTABLE_TYPE = 1 << 8
"""Flag of the types that C code defines (``Py_TPFLAGS_IMMUTABLETYPE``)."""


def fingerprint(thing: type | FunctionType) -> str:
    """Describe the compiled code of a class or function as text without addresses.

    The text is equal for equal sources, under one version of Python.
    """
    return json.dumps(_plain(thing, set()), sort_keys=True)


def _plain(value: Any, seen: set[int]) -> Any:
    """Convert any object to plain data that do not depend on the process."""
    if is_constant(value):
        return repr(value)
    if id(value) in seen:
        return "seen"
    seen.add(id(value))
    if isinstance(value, CodeType):
        found: Any = _plain_code(value, seen)
    elif isinstance(value, FunctionType):
        found = _plain_function(value, seen)
    elif isinstance(value, type):
        found = _plain_class(value, seen)
    elif functions := functions_of(value):  # a property, a static or a class method
        found = [type(value).__name__, *(_plain(f, seen) for f in functions)]
    elif isinstance(value, dict):
        found = [[_plain(k, seen), _plain(v, seen)] for k, v in value.items()]
    elif isinstance(value, set | frozenset):
        found = sorted(json.dumps(_plain(v, seen)) for v in value)
    elif isinstance(value, list | tuple):
        found = [_plain(v, seen) for v in value]
    else:
        found = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    seen.discard(id(value))
    return found


def _plain_code(code: CodeType, seen: set[int]) -> Any:
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    names = [code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    return [code.co_code.hex(), counts, [list(n) for n in names], [_plain(c, seen) for c in code.co_consts]]


def _plain_function(function: FunctionType, seen: set[int]) -> Any:
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None:  # the decorator by name, so that a new release of its library changes nothing
        return [function.__code__.co_qualname, _plain(wrapped, seen)]
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    closure = [[name, _plain(_contents(cell), seen)] for name, cell in cells if name != "__class__"]
    return [
        _plain(function.__code__, seen),
        _plain(function.__defaults__, seen),
        _plain(function.__kwdefaults__, seen),
        closure,
    ]


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _plain_class(cls: type, seen: set[int]) -> Any:
    name = f"{cls.__module__}.{cls.__qualname__}"
    if module_of(cls) is not None or cls.__flags__ & IMMUTABLE_TYPE:
        return name
    members = {
        key: _plain(value, seen)
        for key, value in vars(cls).items()
        if functions_of(value) or key in ("__doc__", "__pydantic_fields__") or not key.startswith("_")
    }
    annotations = {key: _plain(value, seen) for key, value in inspect.get_annotations(cls).items()}
    return [cls.__qualname__, [_plain(b, seen) for b in cls.__bases__], members, annotations]
