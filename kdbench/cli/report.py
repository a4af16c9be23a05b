"""``kdbench report``: write tables, figures and pages from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[SUITE|FOLDER]",
            help="A suite that was run, a runs folder, or a report's own folder; by default the only suite in --runs.",
        ),
    ] = None,
    runs: options.Runs = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the report.  [default: RUNS/reports/SUITE, or FOLDER]", show_default=False),
    ] = None,
    formats: options.Formats = options.FORMATS,
    columns: options.Columns = None,
    sort: options.Sort = None,
    readme: Annotated[
        Path | None, typer.Option("--readme", help="A markdown file whose leaderboard (between its markers) is updated.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="With --readme: change nothing, and exit with status 1 if it is out of date.")
    ] = False,
    plugin: options.Plugin = None,
) -> None:
    """Write the report again, from the records alone."""
    from kdbench.api.results import find_results, registry_of
    from kdbench.errors import KdbenchError
    from kdbench.report.formats import parse_formats
    from kdbench.report.readme import update_readme

    if check and readme is None:
        raise KdbenchError("--check needs --readme: it says whether a markdown file's leaderboard is up to date")
    registry = registry_of(plugin or (), own={"reporters"})
    parse_formats(formats, registry.reporters)
    results = find_results(what, runs, registry, lambda message: typer.echo(f"warning: {message}", err=True))
    names = options.split(columns)
    if readme is not None:
        suite = results.plan.suite
        changed = update_readme(readme, suite, results.leaderboard(names, sort), check=check)
        if check:
            typer.echo(f"{readme}: the leaderboard of {suite} is {'out of date' if changed else 'up to date'}")
            raise typer.Exit(1 if changed else 0)
        typer.echo(f"{readme}: {'updated' if changed else 'already up to date'}")
    for path in results.report(out, formats, names, sort):
        typer.echo(f"report: {path}")
