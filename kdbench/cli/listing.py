"""``kdbench list``: list the names that a suite or an option can use."""

from __future__ import annotations

import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli import options
from kdbench.cli.catalogue import OF_KDBENCH, OF_PLUGINS, Listing
from kdbench.cli.notice import notice

NARROWEST = 60
"""Width of a terminal below which tables are as wide as if it were this wide."""
PIPE = 100_000
"""Width of a table that is not printed on a terminal: a line a row."""


class Kind(StrEnum):
    """What can be listed."""

    methods = "methods"
    models = "models"
    datasets = "datasets"
    tasks = "tasks"
    metrics = "metrics"
    formats = "formats"
    executors = "executors"
    suites = "suites"
    columns = "columns"
    optimizers = "optimizers"
    schedules = "schedules"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", short_help="List what a suite may name: methods, models, data sets and more.")(list_)


def list_(
    kind: Annotated[Kind, typer.Argument(help="What to list.")] = Kind.methods,
    pattern: Annotated[
        str | None,
        typer.Option("--filter", metavar="TEXT", help="Only names that contain TEXT, or fit it if it has *, ? or […]."),
    ] = None,
    plugin: options.Plugin = None,
) -> None:
    """List what a suite may name, with what each thing is and takes.

    Models of kdbench and of plugins come before timm's.
    """
    name = str(kind)
    with notice(f"loading {name}"):
        found = _listing(name, plugin or []).matching(pattern)
    if not found.rows:
        print(f'no {name} fit "{pattern}"' if pattern else f"there are no {name}", file=sys.stderr)
        raise typer.Exit(1)
    print(render(found, max(shutil.get_terminal_size().columns, NARROWEST) if sys.stdout.isatty() else PIPE))


def _listing(name: str, plugin: list[Path]) -> Listing:
    if name in OF_KDBENCH:
        return OF_KDBENCH[name]()
    from kdbench.plugins.manager import load_registry

    return OF_PLUGINS[name](load_registry(plugin))


def render(listing: Listing, width: int) -> str:
    """Return a table of a given width.

    A list of names without headings has a name a line.
    """
    if not listing.headings:
        return "\n".join(name for (name,) in listing.rows)
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for number, heading in enumerate(listing.headings):
        table.add_column(heading, no_wrap=number == 0, overflow="fold")
    for row in listing.rows:
        table.add_row(*map(Text, row))
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
