"""``kdbench report``: tables from records; trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    suite: Annotated[
        str | None, typer.Argument(metavar="[SUITE]", help="Name of a suite that was run; the only one by default.")
    ] = None,
    runs: options.Runs = Path("runs"),
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the report.  [default: RUNS/reports/SUITE]", show_default=False)
    ] = None,
    formats: options.Formats = "md,csv",
    readme: Annotated[
        Path | None, typer.Option("--readme", help="A markdown file whose leaderboard (between its markers) is renewed.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="With --readme: change nothing, exit 1 when it is out of date.")
    ] = False,
    plugin: options.Plugin = None,
) -> None:
    """Make the report again from the records alone."""
    from kdbench.errors import KdbenchError, did_you_mean
    from kdbench.plugins.manager import load_registry
    from kdbench.report.formats import parse_formats, write_report
    from kdbench.report.leaderboard import leaderboard_tables
    from kdbench.report.readme import update_readme
    from kdbench.results.frame import suite_frame
    from kdbench.results.store import Store

    registry = load_registry(plugin or ())
    wanted = parse_formats(formats, registry.reporters)
    store = Store(runs, warn=lambda message: typer.echo(f"warning: {message}", err=True))
    known = store.plans()
    name = suite if suite is not None else (known[0] if len(known) == 1 else None)
    if name is not None:
        name = Path(name).stem if name not in known else name
    if name is None or name not in known:
        if not known:
            raise KdbenchError(f"no suite was run in {runs} yet: kdbench run SUITE --runs {runs}")
        hint = did_you_mean(name, known) if name else ""
        raise KdbenchError(f"name one of the suites that were run in {runs}: {', '.join(known)}{hint}")
    frame = suite_frame(store, name)
    if readme is not None:
        changed = update_readme(readme, name, leaderboard_tables(frame), check=check)
        if check:
            typer.echo(f"{readme}: the leaderboard of {name} is {'out of date' if changed else 'up to date'}")
            raise typer.Exit(1 if changed else 0)
        typer.echo(f"{readme}: {'renewed' if changed else 'nothing to renew'}")
    for path in write_report(frame, out or runs / "reports" / name, wanted, registry.reporters):
        typer.echo(f"report: {path}")
