"""``kdbench compare``: what changed between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", short_help="Print what changed from one run to another.")(compare)


def compare(
    a: Annotated[Path, typer.Argument(metavar="RUNS_A", help="A runs folder, or a report's folder.")],
    b: Annotated[Path, typer.Argument(metavar="RUNS_B", help="The folder to compare it with.")],
    suite: Annotated[str | None, typer.Option("--suite", help="The suite, if a runs folder holds several.")] = None,
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit with status 1 if a row of B is significantly worse.")
    ] = False,
) -> None:
    """Print what changed from one run to another.

    This covers results (paired by seed, with intervals), time, data, code, libraries and machine.
    """
    from kdbench.analysis.compare import compare_runs
    from kdbench.api.results import open_results, registry_of
    from kdbench.report.compare import comparison_text, regressions_text
    from kdbench.report.text import without_controls

    def warn(message: str) -> None:
        typer.echo(f"warning: {message}", err=True)

    registry = registry_of((), own=())
    found = compare_runs(*(open_results(folder, suite, registry, warn).analysis for folder in (a, b)))
    typer.echo(without_controls(comparison_text(found)))
    if len(found.regressions):
        typer.echo(without_controls(regressions_text(found)))
        if fail_on_regression:
            raise typer.Exit(1)
