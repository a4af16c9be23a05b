"""``kdbench run``: a suite from YAML to leaderboard."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from kdbench.cli import interrupt, options
from kdbench.errors import KdbenchError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    suite: options.SuiteArgument,
    data_root: options.DataRoot = None,
    runs: options.Runs = Path("runs"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    only: options.Only = None,
    seeds: options.Seeds = None,
    epochs: options.Epochs = None,
    set_: options.Set = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget this suite's finished trials and run them again.")] = False,
    plugin: options.Plugin = None,
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
            help="Threads of torch on the CPU, of each worker.  [default: torch's own; with --jobs the cores are shared out]",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Folder of the report.  [default: RUNS/reports/SUITE]", show_default=False)
    ] = None,
    formats: options.Formats = options.FORMATS,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say how workers are set up.")] = False,
) -> None:
    """Train what a suite asks for, measure it, and write the report.

    What is finished is never done again; a run that was stopped or killed goes on from the last finished epoch.
    """
    from kdbench.engine.allocator import keep_freed_memory

    allocator = keep_freed_memory()  # before torch makes its first tensor
    import torch

    from kdbench.cli.display import make_display
    from kdbench.engine.executors import ExecutorSettings, early_executor, make_executor
    from kdbench.engine.prepare import choose_device, prepare, suitable_jobs
    from kdbench.engine.suite import run_suite
    from kdbench.report.columns import check_report
    from kdbench.report.formats import parse_formats
    from kdbench.results.store import Store
    from kdbench.suite.load import load_suite
    from kdbench.tasks.load import data_root as find_data_root

    number = _number_of_jobs(jobs)
    if threads:
        torch.set_num_threads(threads)
    where = choose_device(device)
    loaded = load_suite(suite, settings=set_ or (), only=only or (), seeds=seeds, epochs=epochs)
    check_report(loaded.suite.report, loaded.places.of)
    display = make_display()
    store = Store(runs, warn=display.warn)
    store.open()

    settings = ExecutorSettings(name=executor, jobs=number, device=str(where), threads=threads)
    made = early_executor(settings)  # its processes start while this one reads data
    try:
        prepared = prepare(
            loaded, find_data_root(data_root), plugins=tuple(plugin or ()), cohorts=not no_cohorts, progress=display
        )
        wanted = parse_formats(formats, prepared.registry.reporters)
        made = made or make_executor(settings, prepared.registry, suitable_jobs(prepared, store, where))
        if verbose:
            display.note(f"{allocator}; {type(made).__name__} runs {made.slots} job{'s' * (made.slots != 1)} at a time")
        summary = run_suite(prepared, store, device=where, fresh=fresh, executor=made, progress=display, command=command_line())
    except KeyboardInterrupt:
        display.suite_finished()
        print(f"\nstopped; what is finished is kept in {runs}; to go on: {command_line()}", file=sys.stderr)
        raise typer.Exit(interrupt.status()) from None
    finally:
        if made is not None:
            made.close()
    folder = report or runs / "reports" / prepared.plan.suite
    _conclude(summary, store, folder, wanted)
    if summary.failed:
        raise typer.Exit(1)


def _number_of_jobs(text: str) -> int | None:
    """The number of jobs, ``None`` for ``auto``."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise KdbenchError(f'--jobs takes a number of worker processes or auto, not "{text}"')
    return int(text)


def command_line() -> str:
    """The command as a person would type it again."""
    return shlex.join([os.path.basename(sys.argv[0]) if sys.argv[0] else "kdbench", *sys.argv[1:]])


def _conclude(summary, store, folder: Path, formats) -> None:  # type: ignore[no-untyped-def]
    """Write the report, print the leaderboard, say what is not well."""
    from kdbench.analysis.source import gather
    from kdbench.report.formats import write_report
    from kdbench.report.leaderboard import leaderboard_text

    prepared = summary.prepared
    frame = gather(store, prepared.plan.suite)
    written = write_report(frame, folder, formats, prepared.registry.reporters)
    trained = len(summary.records) - len(summary.done_before)
    print(leaderboard_text(frame))
    print(f"{trained} trials run now, {len(summary.done_before)} were finished before")
    if summary.stale:
        names = sorted({summary.records[i].trial.method for i in summary.stale})
        print(
            f"warning: {len(summary.stale)} records were made by other versions of {', '.join(names)}; --fresh runs them again",
            file=sys.stderr,
        )
    for record in summary.failed:
        if record.failure is not None:
            print(
                f"failed: {record.trial.method} on {record.trial.model.model}, seed {record.trial.seed}: "
                f"{record.failure.kind}: {record.failure.message} ({store.root / 'trials' / record.trial.id / 'record.json'})",
                file=sys.stderr,
            )
    for path in written:
        print(f"report: {path}")
    print(f"records: {store.root / 'trials'}")
