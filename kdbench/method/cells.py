"""Source of definitions in an interactive session.

A session is a notebook's cells, a prompt, or ``exec``.

The source is read from ``linecache``, where IPython and the prompts of newer Pythons keep what they ran.
If it is not there, :mod:`kdbench.method.fingerprint` takes its place.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import os
import sys
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def module_of(thing: Any) -> ModuleType | None:
    """Find the module whose file defines a class or function.

    ``None`` if an interactive session defines it.
    """
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    files = {code.co_filename for code in codes(thing)}
    own = os.path.realpath(file)
    return module if not files or any(os.path.realpath(f) == own for f in files) else None


def codes(thing: Any) -> list[CodeType]:
    """Collect the code objects of a function or class, unwrapping decorators."""
    if isinstance(thing, FunctionType):
        return [inspect.unwrap(thing).__code__]
    own = (f for value in vars(thing).values() for f in functions_of(value) if f.__module__ == thing.__module__)
    return [inspect.unwrap(f).__code__ for f in own]


def functions_of(value: Any) -> list[FunctionType]:
    """Collect the Python functions behind a member of a class.

    The member is a method, a property, a static or a class method.
    """
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, property):
        found = [value.fget, value.fset, value.fdel]
    elif isinstance(value, functools.cached_property):
        found = [value.func]
    else:
        found = [value]
    return [f for f in found if isinstance(f, FunctionType)]


def is_constant(value: Any) -> bool:
    """Return whether ``repr`` describes a value completely."""
    return isinstance(value, CONSTANTS) or (isinstance(value, tuple) and all(is_constant(v) for v in value))


def definitions(thing: type | FunctionType, seen: set[int]) -> Iterator[tuple[str, str | None, Any]]:
    """Yield the session's definitions that a class or function uses, then itself.

    Args:
        thing: the class or function.
        seen: ids of the objects visited so far; the function adds to it.

    Yields:
        Name, source (``None`` if it is not available) and the object itself for each definition of the
        session that is used; name, ``None`` and the module for anything that comes from a module's file.
    """
    if id(thing) in seen:
        return
    seen.add(id(thing))
    text = statement(thing)
    names = _names(thing, text)
    scope = _scope(thing)
    for name in sorted(names & scope.keys()):
        value = scope[name]
        if isinstance(value, ModuleType):
            yield name, None, value
        elif isinstance(value, type | FunctionType):
            module = module_of(value)
            if module is not None:
                yield name, None, module
            elif value.__module__ == thing.__module__:
                yield from definitions(value, seen)
        elif is_constant(value):
            yield name, f"{name} = {value!r}\n", value
    yield thing.__qualname__, text, thing


def statement(thing: type | FunctionType) -> str | None:
    """Return the source of a class or function with its decorators, or ``None``."""
    own = codes(thing)
    files = [f for f in dict.fromkeys(code.co_filename for code in own) if linecache.getlines(f)]
    if not own or hasattr(thing, "__dataclass_fields__"):  # its functions do not tell where it was written
        own, files = [], files or _cells()
    kinds = ast.ClassDef if isinstance(thing, type) else (ast.FunctionDef, ast.AsyncFunctionDef)
    for file in files:
        text = "".join(linecache.getlines(file))
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except SyntaxError:
            continue
        for node in reversed([n for n in nodes if isinstance(n, kinds) and n.name == thing.__name__]):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if not own or any(first <= line <= (node.end_lineno or first) for line in (code.co_firstlineno for code in own)):
                return textwrap.dedent("\n".join(text.split("\n")[first - 1 : node.end_lineno])).rstrip() + "\n"
    return None


def _cells() -> list[str]:
    """List ``linecache``'s names that are not files: cells and prompts, newest first."""
    return [name for name in reversed(list(linecache.cache)) if not os.path.exists(name)]


def _names(thing: type | FunctionType, text: str | None) -> set[str]:
    """Return the names that a definition reads."""
    if text is not None:
        return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    pending, names = codes(thing), set[str]()
    while pending:
        code = pending.pop()
        names.update(code.co_names)
        pending.extend(c for c in code.co_consts if isinstance(c, CodeType))
    return names


def _scope(thing: type | FunctionType) -> dict[str, Any]:
    """Return the session's variables."""
    functions = [thing] if isinstance(thing, FunctionType) else [f for v in vars(thing).values() for f in functions_of(v)]
    for function in functions:
        return inspect.unwrap(function).__globals__  # type: ignore[no-any-return]
    return vars(sys.modules[thing.__module__]) if thing.__module__ in sys.modules else {}
