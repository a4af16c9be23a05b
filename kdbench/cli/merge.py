"""``kdbench merge``: merge the records of several runs folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("merge")(merge)


def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="RUNS…", help="Runs folders, for example of several machines.")],
    into: Annotated[Path, typer.Option("--into", help="The runs folder that receives all records; created if missing.")],
) -> None:
    """Merge the records of several runs folders into one.

    Nothing is overwritten; conflicting records are listed.
    """
    from kdbench.results.merge import merge_stores
    from kdbench.results.store import Store

    def warn(message: str) -> None:
        typer.echo(f"warning: {message}", err=True)

    merged = merge_stores([Store(path, warn=warn) for path in sources], Store(into, warn=warn))
    for conflict in merged.conflicts:
        typer.echo(f"conflict: {conflict}", err=True)
    typer.echo(f"{merged.copied} records copied into {into}, {merged.known} were there already")
    for suite in merged.suites:
        typer.echo(f"suite {suite}: kdbench report {suite} --runs {into}")
    if merged.conflicts:
        raise typer.Exit(1)
