"""Results of a run, as tables, figures and networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.audit import CLASSIFICATION
from kdbench.analysis.frame import SuiteFrame, frame_of_archive, suite_frame
from kdbench.analysis.source import Measure, complete, find_suite
from kdbench.errors import KdbenchError, did_you_mean, printable
from kdbench.plan.trial import Plan
from kdbench.plan.tuning import failed_draws
from kdbench.plugins.manager import load_registry
from kdbench.plugins.registry import Registry
from kdbench.results.archive import is_archive, load_archive
from kdbench.results.reading import Unreadable, refuse_links
from kdbench.results.record import Record
from kdbench.results.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

FORMATS = ("md", "csv")


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The results of a suite.

    :func:`kdbench.run` and :func:`kdbench.load_results` return it. Tables and figures are made on first
    use. In a notebook it is displayed as the leaderboard.

    Args:
        shown: the records.
        registry: all plugins.
        folder: the runs folder or report folder that holds the records.
        store: the runs folder; ``None`` for a report, which keeps no weights.
        asked: ids of the trials that the run covered; all trials of the plan if nothing was run.
        done_before: ids of those among them that were finished before the run.
        stale: records made by a different version of their method's source than the present one;
            ``fresh=True`` makes them again.
    """

    shown: SuiteFrame
    registry: Registry
    folder: Path
    store: Store | None = None
    asked: tuple[str, ...] = ()
    done_before: tuple[str, ...] = ()
    stale: tuple[Record, ...] = field(default=())

    @property
    def plan(self) -> Plan:
        """The suite's plan: its trials, and the rows that its report shows."""
        return self.shown.plan

    @property
    def records(self) -> Mapping[str, Record]:
        """Records by trial id."""
        return self.shown.records

    @property
    def failed(self) -> tuple[Record, ...]:
        """Records of the trials that failed; each says why in ``record.failure``.

        A draw of tuning may fail (a high learning rate diverges): it is among them only where all draws of
        its method failed.
        """
        excused = failed_draws(self.plan, [i for i, r in self.records.items() if r.status == "finished"])
        found = (self.records[i] for i in self.asked if i in self.records and i not in excused)
        return tuple(r for r in found if r.status == "failed")

    @cached_property
    def analysis(self) -> Analysis:
        """All tables. They are shared: copy one before you change it.

        Raises:
            KdbenchError: the predictions cannot be read.
        """
        if self.store is None:
            return Analysis(self.shown)
        return complete(self.store, self.shown, _measure(self.registry, self.plan.task.name))

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each trial that the suite asks for, with its metrics and costs.

        See :class:`kdbench.analysis.frame.SuiteFrame`.
        """
        return self.analysis.rows.copy()

    @property
    def standings(self) -> pd.DataFrame:
        """A row for each pair and method, best first.

        The columns are means over seeds, intervals, differences and places: see
        :func:`kdbench.analysis.standings.standings`.
        """
        return self.analysis.standings.copy()

    def shown_with(self, columns: Sequence[str] = (), sort: str | None = None, latency: str | None = None) -> Results:
        """Return the same results, shown otherwise than the suite says.

        Args:
            columns: names of the leaderboard's columns, in order. ``kdbench list columns`` lists them;
                beside them there is one for each latency setting and each metric of a plugin.
            sort: name of the column that students are sorted by; a leading ``-`` reverses the order.
            latency: the setting whose latency stands in tables and figures: ``onnxruntime@1``.

        Raises:
            KdbenchError: a column or a setting is unknown.
        """
        from kdbench.report.sections import with_view

        shown = replace(self)
        shown.__dict__["analysis"] = with_view(self.analysis, columns, sort, latency)  # where cached_property keeps it
        return shown

    @property
    def tuning(self) -> pd.DataFrame:
        """A row for each draw of tuning; empty if methods were not tuned.

        See :func:`kdbench.analysis.tuning.draws_table`.
        """
        return self.analysis.draws.copy()

    def leaderboard(self, columns: Sequence[str] = (), sort: str | None = None) -> str:
        """Return the leaderboard in markdown, with one table per pair.

        Args:
            columns: names of columns, in order; the suite's by default. ``kdbench list columns`` lists
                all.
            sort: name of the column that students are sorted by; a leading ``-`` reverses the order.

        Raises:
            KdbenchError: a column is unknown.
        """
        from kdbench.report.leaderboard import leaderboard_tables
        from kdbench.report.sections import with_view

        return leaderboard_tables(with_view(self.analysis, columns, sort))

    def plot(self, kind: str = "scores", pair: str | None = None) -> Figure:
        """Draw a figure.

        Every call draws a new one, which you may change freely.

        Args:
            kind: ``scores``, ``tradeoff`` (where students differ in cost), ``ranking``, ``difference``,
                ``curves``, ``grid``, ``confusion`` or ``reliability``; or the name of one figure of a
                report, such as ``"curves-loss-digits"``.
            pair: name of the pair, if each pair has its own figure; the first by default.

        Raises:
            KdbenchError: the kind is unknown, or these results have no data for it.
        """
        from kdbench.errors import flat
        from kdbench.report.figures.charts import SECTIONS, charts

        if kind not in SECTIONS and "-" not in kind:
            raise _unknown("kind of figure", kind, SECTIONS)
        fitting = [c for c in charts(self.analysis, [kind] if kind in SECTIONS else SECTIONS) if kind in (c.section, c.stem)]
        if not fitting and kind not in SECTIONS:
            raise _unknown("kind of figure", kind, SECTIONS)
        if pair is not None:
            pairs = list(dict.fromkeys(e.pair for e in self.plan.entries))
            if pair not in pairs:
                raise _unknown("pair", pair, pairs)
            fitting = [c for c in fitting if c.title.startswith(f"{flat(pair)}:")]
        if not fitting:
            raise KdbenchError(f'these results have nothing to draw of the kind "{kind}"')
        return fitting[0].figure

    def report(
        self,
        folder: Path | str | None = None,
        formats: str | Iterable[str] = FORMATS,
        columns: Sequence[str] = (),
        sort: str | None = None,
    ) -> list[Path]:
        """Write a report and a copy of its records.

        From that copy any machine can write the report again.

        Args:
            folder: where to write; by default ``RUNS/reports/SUITE``, or the folder of the loaded
                report.
            formats: any of ``md``, ``html``, ``csv``, ``json``, ``latex``, ``svg``, ``png`` and the
                formats of plugins; as a list, or as a string with commas.
            columns: names of the leaderboard's columns, as in :meth:`leaderboard`.
            sort: the column that students are sorted by, as in :meth:`leaderboard`.

        Returns:
            The paths of the files written.

        Raises:
            KdbenchError: a format or a column is unknown, or the folder cannot be written.
        """
        from kdbench.report.formats import parse_formats, write_report
        from kdbench.report.sections import with_view

        listed = formats if isinstance(formats, str) else ",".join(formats)
        wanted = parse_formats(listed, self.registry.reporters, "in formats: ")
        if folder is None and self.store is not None:
            _refuse_links(self.folder, "reports", self.plan.suite)
        into = Path(folder) if folder is not None else self.report_folder
        return write_report(with_view(self.analysis, columns, sort), into, wanted, self.registry.reporters)

    @property
    def report_folder(self) -> Path:
        """Folder that :meth:`report` writes to by default."""
        return self.folder if self.store is None else self.folder / "reports" / self.plan.suite

    def student(self, **selection: Any) -> nn.Module:
        """Load a trained network of these results; see :func:`kdbench.load_student`."""
        from kdbench.api.students import load_student

        return load_student(self, **selection)

    def __repr__(self) -> str:
        states = [r.status if (r := self.records.get(i)) is not None else "missing" for i in self.plan.trials]
        counts = ", ".join(f"{states.count(s)} {s}" for s in ("finished", "failed", "missing") if s in states)
        return f"<Results of suite {self.plan.suite}: {counts or 'no'} trials>"

    def _repr_markdown_(self) -> str:
        return self.leaderboard()

    def _repr_html_(self) -> str:
        from kdbench.report.leaderboard import leaderboard_html

        return leaderboard_html(self.analysis)


def _unknown(what: str, given: str, known: Sequence[str]) -> KdbenchError:
    hint = did_you_mean(given, known) or f"; known are {', '.join(known)}"
    return KdbenchError(f'unknown {what} "{given}"{hint}')


def _measure(registry: Registry, name: str) -> Measure | None:
    """The metrics of a plugin's task, if it keeps logits as they are."""
    task = registry.tasks.get(name)
    if task is None or name == CLASSIFICATION:
        return None
    import torch

    from kdbench.tasks.task import Task

    if task.predictions is not Task.predictions:
        return None
    return lambda logits, targets: task().scores(torch.tensor(logits), torch.tensor(targets).long())


def _refuse_links(root: Path, *names: str) -> None:
    """Check that no link leads a report out of its runs folder."""
    for i in range(1, len(names) + 1):
        try:
            refuse_links(root, *names[:i])
        except FileNotFoundError:
            return
        except Unreadable as error:
            raise KdbenchError(f"{Path(*names[:i])} in {root} {error}: give another folder with --out") from error


def load_results(folder: Path | str, suite: str | None = None, *, plugins: Iterable[Any] = ()) -> Results:
    """Load the results in a runs folder or a report folder.

    Args:
        folder: the folder.
        suite: name of the suite, if a runs folder holds several.
        plugins: plugin files and objects: report formats, and the methods and models of the networks.

    Raises:
        KdbenchError: the folder has no results, or results of several suites, or they are damaged.
    """

    def warn(message: str) -> None:
        warnings.warn(message, stacklevel=3)

    return open_results(Path(folder), suite, registry_of(plugins), warn)


def open_results(folder: Path, suite: str | None, registry: Registry, warn: Callable[[str], None]) -> Results:
    """Load the results in a folder, with a registry of plugins.

    Args:
        folder: a runs folder or a report folder.
        suite: name of the suite, if a runs folder holds several.
        registry: all plugins.
        warn: called with a message about each damaged file.

    Raises:
        KdbenchError: as in :func:`load_results`.
    """
    if is_archive(folder):
        archive = load_archive(folder)
        if not archive.sealed:
            warn(
                f"the records of the report {folder} carry no digests, as an older kdbench wrote them: only what follows "
                "from predicted classes can be checked, not times, costs or other metrics"
            )
        frame = frame_of_archive(archive, lambda message: warn(printable(message)))
        return Results(frame, registry, folder, None, tuple(frame.plan.trials))
    store = Store(folder, warn=warn)
    return results_in(store, find_suite(store, suite), registry)


def find_results(what: str | None, runs: Path, registry: Registry, warn: Callable[[str], None]) -> Results:
    """Load the results that a command line names.

    Args:
        what: a report folder, a runs folder, or a suite that was run in ``runs``; by default the only
            suite there.
        runs: the runs folder.
        registry: all plugins.
        warn: called with a message about each damaged file.

    Raises:
        KdbenchError: there are no results, or results of several suites.
    """
    if what is not None and (is_archive(Path(what)) or (Path(what) / "suites").is_dir()):
        return open_results(Path(what), None, registry, warn)
    return open_results(runs, what, registry, warn)


def results_in(store: Store, suite: str, registry: Registry) -> Results:
    """Load the results of a suite that was run."""
    frame = suite_frame(store, suite)
    return Results(frame, registry, store.root, store, tuple(frame.plan.trials))


def registry_of(plugins: Iterable[Any], own: Collection[str] | None = None) -> Registry:
    """Return a registry of plugins.

    Args:
        plugins: plugin files (strings and paths) and plugin objects.
        own: which of kdbench's own plugins are wanted, as :func:`load_registry` takes it.
    """
    files, objects = files_and_objects(plugins)
    return load_registry(files, objects=objects, own=own)


def files_and_objects(plugins: Iterable[Any]) -> tuple[tuple[Path, ...], tuple[Any, ...]]:
    """Split plugins into files and objects."""
    given = [plugins] if isinstance(plugins, str | Path) else list(plugins)
    files = tuple(Path(p) for p in given if isinstance(p, str | Path))
    return files, tuple(p for p in given if not isinstance(p, str | Path))
