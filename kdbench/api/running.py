"""Running a suite, from Python or from the command line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from kdbench.api import interrupt
from kdbench.api.planning import check_view
from kdbench.api.progress import display_for
from kdbench.api.results import FORMATS, Results, files_and_objects, results_in
from kdbench.api.suites import Settings, Source, listed, model_plugins, open_suite
from kdbench.api.trust import require_trust
from kdbench.engine.allocator import keep_freed_memory
from kdbench.engine.executors import ExecutorSettings, early_executor, make_executor
from kdbench.engine.prepare import Prepared, choose_device, prepare, suitable_jobs
from kdbench.engine.progress import Progress
from kdbench.engine.quiet import ignore_notes_to_developers
from kdbench.engine.suite import Summary, run_suite
from kdbench.errors import KdbenchError
from kdbench.report.formats import parse_formats
from kdbench.results.store import Store
from kdbench.suite.load import LoadedSuite
from kdbench.tasks.load import data_root as find_data_root


def run(
    suite: Source,
    *,
    methods: Iterable[Any] | None = None,
    add: Iterable[Any] = (),
    models: Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]] = (),
    datasets: Iterable[type[Any]] = (),
    plugins: Iterable[Any] = (),
    data_root: Path | str | None = None,
    runs: Path | str = "runs",
    jobs: int | Literal["auto"] = 1,
    threads: int | None = None,
    device: str = "auto",
    seeds: int | Iterable[int] | None = None,
    epochs: int | None = None,
    settings: Settings = (),
    fresh: bool = False,
    remeasure: bool = False,
    trust: bool = False,
    progress: bool | Progress = True,
) -> Results:
    """Train and measure the networks of a suite, except those that are finished.

    In a suite given as a dict, objects may stand in for names: a Method, Dataset or Task class, or a
    function (or class) that makes a model. The weights are bit for bit those of ``kdbench run``. Nothing
    is printed to standard output.

    Args:
        suite: the name of a suite that comes with kdbench (``"digits"``), a file, a dict with the keys
            of such a file, or a :class:`kdbench.Suite`.
        methods: method entries to use instead of the suite's: names, dicts as in a suite, Method
            classes.
        add: method entries to run beside the suite's.
        models: functions that make models, by the names that the suite uses; or a list of functions that
            have these names themselves.
        datasets: Dataset classes that the suite names.
        plugins: further plugins: files, classes, objects with hooks.
        data_root: folder of the data, also for downloads; ``$KDBENCH_DATA`` or ``./data`` by default.
        runs: the folder of records and checkpoints.
        jobs: number of worker processes that train at the same time; ``"auto"`` chooses one for the
            machine.
        threads: torch's CPU threads per worker; by default torch's own number with one job, and an equal
            share of the cores with several.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``.
        seeds: a number of seeds, or a list of them.
        epochs: number of epochs of every network.
        settings: values of the suite to replace, by keys joined with dots: ``{"recipe.lr": 0.1}``.
        fresh: whether to discard the suite's finished trials and run them again.
        remeasure: whether to measure latencies that are known again, because they were unstable.
        trust: whether to run plugin files that the suite's file names, if it did not come with kdbench.
            Those of a dict, and those given as ``plugins``, are trusted.
        progress: whether to show progress (in the notebook's cell, or on standard error); or a display
            of your own.

    Returns:
        The results. A failed trial does not raise; ``results.failed`` lists these trials with their
        errors.

    Raises:
        KdbenchError: there is a problem with the suite, a plugin, the data or the runs folder; nothing
            was trained.
        KeyboardInterrupt: on Ctrl-C; finished trials are stored, and the next run resumes after the last
            finished epoch.
    """
    loaded, objects = open_suite(suite, methods=methods, add=add, settings=settings, seeds=seeds, epochs=epochs)
    files, more = files_and_objects(plugins)
    require_trust(loaded, files, given=trust or isinstance(suite, Mapping))
    factories = model_plugins(models)
    with _as_a_library():
        results = execute(
            loaded,
            plugins=files,
            objects=(*objects, *listed(datasets), *([factories] if factories else []), *more),
            data_root=data_root,
            runs=Path(runs),
            jobs=None if jobs == "auto" else jobs,
            threads=threads,
            device=device,
            fresh=fresh,
            remeasure=remeasure,
            progress=(display := display_for(progress)),
            command=f"kdbench.run({str(suite) if isinstance(suite, str | Path) else loaded.suite.name!r})",
        )
        if gone := missing_text(results):
            display.warn(gone)
        if results.stale:
            display.warn(stale_text(results, "fresh=True runs them again"))
    return results


def execute(
    loaded: LoadedSuite,
    *,
    plugins: tuple[Path, ...] = (),
    objects: tuple[Any, ...] = (),
    data_root: Path | str | None = None,
    runs: Path,
    jobs: int | None = 1,
    executor: str | None = None,
    threads: int | None = None,
    device: str = "auto",
    cohorts: bool = True,
    fresh: bool = False,
    remeasure: bool = False,
    formats: str = ",".join(FORMATS),
    progress: Progress,
    command: str,
    verbose: bool = False,
) -> Results:
    """Run a loaded suite, for both :func:`run` and the command line.

    Args:
        loaded: the suite.
        plugins: plugin files.
        objects: plugins that are objects.
        data_root: folder of the data.
        runs: the runs folder.
        jobs: number of jobs that run at the same time; ``None`` chooses it automatically.
        executor: name of the executor; by default one that suits the number of jobs.
        threads: torch's CPU threads per worker.
        device: where networks train.
        cohorts: whether trials train together.
        fresh: whether to discard finished trials.
        remeasure: whether to measure known latencies again.
        formats: formats of the report to be written afterwards, separated by commas; checked before
            training.
        progress: the display.
        command: the command or call, for provenance.
        verbose: whether to report how workers are set up.

    Raises:
        KdbenchError: there is a problem with the arguments, the suite, a plugin, the data or the runs
            folder; nothing was trained.
        KeyboardInterrupt: the run was interrupted; finished trials are stored.
    """
    for name, number in (("jobs", jobs), ("threads", threads)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise KdbenchError(f"{name} is a number from 1, not {number!r}")
    allocator = keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    where = choose_device(device)
    store = Store(runs, warn=progress.warn)
    store.open()
    limit = loaded.suite.limits.trial_minutes
    if limit is not None and executor == "local":
        raise KdbenchError("limits.trial_minutes needs worker processes: leave out --executor local")
    settings = ExecutorSettings(name=executor, jobs=jobs, device=str(where), threads=threads, trial_minutes=limit)
    made = early_executor(settings)  # its processes start while this one reads data
    try:
        prepared = prepare(
            loaded, find_data_root(_path(data_root)), plugins=plugins, objects=objects, cohorts=cohorts, progress=progress
        )
        check_view(prepared)
        parse_formats(formats, prepared.registry.reporters)
        made = made or make_executor(settings, prepared.registry, suitable_jobs(prepared, Store(runs), where))
        if verbose:
            progress.note(f"{allocator}; {type(made).__name__} runs {made.slots} job{'s' * (made.slots != 1)} at a time")
        summary = run_suite(
            prepared,
            store,
            device=where,
            fresh=fresh,
            remeasure=remeasure,
            executor=made,
            progress=progress,
            command=command,
        )
    except BaseException:
        progress.suite_finished()  # the display may be open
        raise
    finally:
        if made is not None:
            made.close()
    return _results(summary, store)


def stale_text(results: Results, remedy: str) -> str:
    """Return a sentence that names the methods whose records are out of date."""
    names = sorted({record.trial.method for record in results.stale})
    return f"{len(results.stale)} records were made by other versions of {', '.join(names)}; {remedy}"


def missing_text(results: Results) -> str:
    """Whose records are not there any more, in a sentence; empty if all are there."""
    store = results.store
    gone = sum(store is not None and not (store.folder(i) / "record.json").exists() for i in results.asked)
    if not gone:
        return ""
    records = "the record of 1 trial is" if gone == 1 else f"the records of {gone} trials are"
    return f"{records} missing from {results.folder}: deleted during the run; the same command trains what is missing"


def _results(summary: Summary, store: Store) -> Results:
    prepared: Prepared = summary.prepared
    found = results_in(store, prepared.plan.suite, prepared.registry)
    return Results(
        found.shown,
        prepared.registry,
        store.root,
        store,
        asked=tuple(prepared.plan.trials),
        done_before=summary.done_before,
        stale=tuple(summary.records[i] for i in summary.stale),
    )


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


@contextmanager
def _as_a_library() -> Iterator[None]:
    """Restore torch's threads, the warning filters and the Ctrl-C handler afterwards."""
    threads = torch.get_num_threads()
    with interrupt.remembered(), warnings.catch_warnings():
        ignore_notes_to_developers()
        try:
            yield
        finally:
            torch.set_num_threads(threads)
