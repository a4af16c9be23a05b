"""``kdbench report``: write tables, figures and pages from records."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.cli import options
from kdbench.cli.notice import notice

if TYPE_CHECKING:
    from kdbench.api.results import Results


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
    latency: options.Latency = None,
    readme: Annotated[
        Path | None, typer.Option("--readme", help="A markdown file whose leaderboard (between its markers) is updated.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="With --readme: change nothing, and exit with status 1 if it is out of date.")
    ] = False,
    plugin: options.Plugin = None,
) -> None:
    """Write the report again from its records, and print its table.

    Whatever the folder already holds (index.html, figures) is written again too. --columns, --sort and
    --latency are for this once; those of the suite stay in its records.
    """
    with notice("loading"):
        from kdbench.api.results import find_results, registry_of
        from kdbench.errors import KdbenchError
        from kdbench.report.formats import parse_formats
        from kdbench.report.leaderboard import leaderboard_text
        from kdbench.report.readme import update_readme
        from kdbench.report.text import without_controls

    if check and readme is None:
        raise KdbenchError("--check needs --readme: it says whether a markdown file's leaderboard is up to date")
    registry = registry_of(plugin or (), own={"reporters"})
    parse_formats(formats, registry.reporters)
    results = find_results(what, runs, registry, lambda message: typer.echo(f"warning: {message}", err=True))
    results = results.shown_with(options.split(columns), sort, latency)
    folder = results.report_folder if out is None else out
    if readme is not None:
        suite = results.plan.suite
        changed = update_readme(readme, suite, _tables(results, folder, readme), check=check)
        if check:
            typer.echo(f"{readme}: the leaderboard of {suite} is {'out of date' if changed else 'up to date'}")
            raise typer.Exit(1 if changed else 0)
    written = results.report(out, formats)
    typer.echo(without_controls(leaderboard_text(results.analysis, options.width())))
    if readme is not None:
        typer.echo(f"{readme}: {'updated' if changed else 'already up to date'}")
    typer.echo(files_text(written, folder))


def _tables(results: Results, folder: Path, readme: Path) -> str:
    """Return the tables for a markdown file, with figures if it can link to them."""
    from kdbench.report.beside import figures_in
    from kdbench.report.leaderboard import leaderboard_tables

    with suppress(ValueError):  # a report elsewhere is not published with the file
        path = folder.resolve().relative_to(readme.resolve().parent).as_posix()
        return leaderboard_tables(results.analysis, figures_in(results.analysis.boards, path))
    return leaderboard_tables(results.analysis)


def files_text(written: Sequence[Path], folder: Path) -> str:
    """Say in a line what was written: the first page, and the number of other files."""
    first = next((p for name in ("index.html", "leaderboard.md") for p in written if p.name == name), written[0])
    more = len(written) - 1
    return f"report: {first}" + (f", and {more} more file{'s' * (more > 1)} in {folder}" if more else "")
