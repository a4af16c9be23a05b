"""``kdbench show``: show a method with its formula, parameters and search ranges."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdbench.method import Method


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show", short_help="Show a method: formula, source, parameters, search ranges.")(show)


def show(
    name: Annotated[str, typer.Argument(metavar="METHOD", help="A name in `kdbench list methods`.")],
    plugin: options.Plugin = None,
) -> None:
    """Show a method: its formula and source, and its parameters.

    Each parameter has its default, and the range that tuning draws it from, unless tuning leaves it alone.
    """
    from kdbench.plugins.manager import load_registry

    registry = load_registry(plugin or ())
    print("\n".join(_lines(registry.find("method", registry.methods, name))))


def _lines(cls: type[Method]) -> Iterator[str]:
    """Yield the description of a method, line by line."""
    from tabulate import tabulate

    from kdbench.errors import printable
    from kdbench.method.create import params_class
    from kdbench.method.search import search_space
    from kdbench.suite.docstrings import arguments

    yield f"{cls.name} ({cls.family}): {cls.describe()}"
    if text := _file_docstring(cls):
        yield ""
        yield printable(text)
    params = params_class(cls)
    fields, searched, described = params.model_fields, search_space(params), arguments(params)
    yield ""
    if not fields:
        yield "It has no parameters."
        return
    rows = [[key, _shown(field.default), searched.get(key, "–"), described.get(key, "")] for key, field in fields.items()]
    yield tabulate(
        rows,
        headers=["parameter", "default", "search range", "meaning"],
        maxcolwidths=[None, None, 22, 34],
        disable_numparse=True,
    )
    yield ""
    yield "Where a suite tunes its methods (tuning:), the recipe's lr is tuned with each of them."


def _shown(default: object) -> str:
    return f"{default:.6g}" if isinstance(default, float) else str(default)


def _file_docstring(cls: type[Method]) -> str:
    """Return the docstring of the file that defines a method; "" if it is not known."""
    source = cls.source()
    try:
        return inspect.cleandoc(ast.get_docstring(ast.parse(source)) or "") if source else ""
    except SyntaxError:  # a class from a notebook, indented
        return ""
