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
    b: Annotated[Path, typer.Argument(metavar="RUNS_B", help="Another.")],
    suite: Annotated[str | None, typer.Option("--suite", help="The suite, where a runs folder holds several.")] = None,
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit 1 when B lost accuracy significantly.")
    ] = False,
) -> None:
    """Print what changed from A to B (accuracy, paired by seed, with intervals; time; data, code, libraries, machine)."""
    from kdbench.analysis.source import frame_in
    from kdbench.report.compare import compare_frames, comparison_text

    def warn(message: str) -> None:
        typer.echo(f"warning: {message}", err=True)

    found = compare_frames(frame_in(a, suite, warn), frame_in(b, suite, warn))
    typer.echo(comparison_text(found))
    worse = found.regressions
    if len(worse):
        typer.echo(f"significant losses of accuracy: {', '.join(worse['label'])}")
        if fail_on_regression:
            raise typer.Exit(1)
