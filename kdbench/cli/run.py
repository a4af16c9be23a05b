"""``kdbench run``: a suite from YAML to leaderboard."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdbench.api import interrupt
from kdbench.cli import options
from kdbench.cli.notice import notice
from kdbench.errors import KdbenchError

if TYPE_CHECKING:
    from kdbench.api.results import Results


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    suite: options.SuiteArgument,
    data_root: options.DataRoot = None,
    runs: options.Runs = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    only: options.Only = None,
    add: options.Add = None,
    with_: options.With = None,
    seeds: options.Seeds = None,
    epochs: options.Epochs = None,
    set_: options.Set = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard this suite's finished trials and run them again.")] = False,
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="Measure latencies again, such as those that were unstable (≈).")
    ] = False,
    plugin: options.Plugin = None,
    trust: options.Trust = False,
    no_cohorts: options.NoCohorts = False,
    jobs: Annotated[str, typer.Option(metavar="N|auto", help="Worker processes that train at the same time.")] = "1",
    executor: Annotated[
        str | None,
        typer.Option(
            help="Where cohorts train: local, processes, or a plugin's name.  [default: by --jobs]", show_default=False
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Torch's CPU threads per worker.  [default: torch's own; with --jobs an equal share of the cores]",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder of the report.  [default: RUNS/reports/SUITE]", show_default=False)
    ] = None,
    formats: options.Formats = options.FORMATS,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print how workers are set up.")] = False,
) -> None:
    """Train what a suite asks for, measure it, and write the report.

    Finished trials are not run again. A run that was stopped or killed resumes after its last finished
    epoch.
    """
    number = _number_of_jobs(jobs)
    with notice(f"loading {suite}", log=True):
        from kdbench.engine.allocator import keep_freed_memory

        keep_freed_memory()  # before torch creates its first tensor
        from kdbench.api.progress import make_display
        from kdbench.api.running import execute, missing_text
        from kdbench.api.suites import open_suite
        from kdbench.api.trust import require_trust

        plugins = (*(plugin or ()), *(with_ or ()))
        more = options.with_methods(add, with_)
        loaded, _ = open_suite(suite, add=more, settings=set_ or (), only=only or (), seeds=seeds, epochs=epochs)
    with interrupt.orderly():
        require_trust(loaded, plugins, given=trust, ask=options.ask())
        try:
            results = execute(
                loaded,
                plugins=plugins,
                data_root=data_root,
                runs=runs,
                jobs=number,
                executor=executor,
                threads=threads,
                device=device,
                cohorts=not no_cohorts,
                fresh=fresh,
                remeasure=remeasure,
                formats=formats,
                progress=make_display(),
                command=command_line(),
                verbose=verbose,
            )
        except KeyboardInterrupt:
            raise interrupt.Stopped(f"stopped; what is finished is kept in {runs}; to go on: {command_line()}") from None
        _conclude(results, report, formats)
    if results.failed or missing_text(results):
        raise typer.Exit(1)


def _number_of_jobs(text: str) -> int | None:
    """Return the number of jobs; ``None`` for ``auto``."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise KdbenchError(f'--jobs takes a number of worker processes or auto, not "{text}"')
    return int(text)


def command_line() -> str:
    """Return the command line as the user typed it, quoted for a shell."""
    return shlex.join([os.path.basename(sys.argv[0]) if sys.argv[0] else "kdbench", *sys.argv[1:]])


def _conclude(results: Results, folder: Path | None, formats: str) -> None:
    """Write the report, and print the leaderboard, failures and paths."""
    from kdbench.api.running import missing_text, stale_text
    from kdbench.cli.report import files_text
    from kdbench.report.leaderboard import leaderboard_text

    written = results.report(folder, formats)
    print(leaderboard_text(results.analysis, options.width()))
    print(f"{len(results.asked) - len(results.done_before)} trials run now, {len(results.done_before)} were finished before")
    if results.stale:
        print(f"warning: {stale_text(results, '--fresh runs them again')}", file=sys.stderr)
    trials = results.folder / "trials"
    for record in results.failed:
        if record.failure is not None:
            print(
                f"failed: {record.trial.method} on {record.trial.model.model}, seed {record.trial.seed}: "
                f"{record.failure.kind}: {record.failure.message} ({trials / record.trial.id / 'record.json'})",
                file=sys.stderr,
            )
    if gone := missing_text(results):
        print(f"failed: {gone}", file=sys.stderr)
    print(files_text(written, results.report_folder if folder is None else folder))
    print(f"records: {trials}")
