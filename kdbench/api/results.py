"""What a run left, as tables, figures and networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.frame import SuiteFrame, frame_of_archive, suite_frame
from kdbench.analysis.source import complete, find_suite
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.plan.trial import Plan
from kdbench.plugins.manager import load_registry
from kdbench.plugins.registry import Registry
from kdbench.results.archive import is_archive, load_archive
from kdbench.results.record import Record
from kdbench.results.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

FORMATS = ("md", "csv")


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The results of a suite. Tables and figures are made when they are first asked for.

    Made by :func:`kdbench.run` and :func:`kdbench.load_results`. A notebook shows it as the leaderboard.

    Args:
        shown: the records.
        registry: all plugins.
        folder: the runs folder or the report folder that they are in.
        store: the runs folder; ``None`` for a report, which keeps no weights.
        asked: ids of the trials that the run was about; those of the plan where nothing was run.
        done_before: ids of those of them that were finished before the run.
        stale: records made by another version of their method's source than the one at hand; ``fresh=True`` makes them again.
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
        """Records of the trials that failed; each says why in ``record.failure``."""
        return tuple(r for i in self.asked if (r := self.records.get(i)) is not None and r.status == "failed")

    @cached_property
    def analysis(self) -> Analysis:
        """All tables, shared by everyone who asks: copy one before you change it.

        Raises:
            KdbenchError: the predictions cannot be read.
        """
        return Analysis(self.shown) if self.store is None else complete(self.store, self.shown)

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each trial that the suite asks for, with its metrics and costs: see :mod:`kdbench.analysis.frame`."""
        return self.analysis.rows.copy()

    @property
    def standings(self) -> pd.DataFrame:
        """A row for each pair and method, best first: means over seeds, intervals, differences, places.

        See :func:`kdbench.analysis.standings.standings`.
        """
        return self.analysis.standings.copy()

    def leaderboard(self, columns: Sequence[str] = (), sort: str | None = None) -> str:
        """The leaderboard in markdown, a table a pair.

        Args:
            columns: names of columns, in order; those of the suite by default (``kdbench list columns`` shows all).
            sort: name of the column that students are sorted by; a leading ``-`` reverses the order.

        Raises:
            KdbenchError: a column is unknown.
        """
        from kdbench.report.leaderboard import leaderboard_tables, with_view

        return leaderboard_tables(with_view(self.analysis, columns, sort))

    def plot(self, kind: str = "tradeoff", pair: str | None = None) -> Figure:
        """A figure, made anew each time: change it as you like.

        Args:
            kind: ``tradeoff``, ``ranking``, ``difference``, ``curves``, ``grid``, ``confusion`` or ``reliability``; or the name
                of one figure of a report, such as ``"curves-loss-digits"``.
            pair: whose figure, where there is one for each pair; the first by default.

        Raises:
            KdbenchError: there is no such kind, or nothing of that kind to draw.
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
        """Write a report, and beside it a copy of its records from which any machine can make it again.

        Args:
            folder: where it goes; ``RUNS/reports/SUITE`` by default, or the report's own folder.
            formats: of ``md``, ``html``, ``csv``, ``json``, ``latex``, ``svg``, ``png`` and what plugins offer.
            columns: columns of the leaderboard, likewise.
            sort: the column that students are sorted by.

        Returns:
            The files.

        Raises:
            KdbenchError: a format or a column is unknown, or the folder cannot be written.
        """
        from kdbench.report.formats import parse_formats, write_report
        from kdbench.report.leaderboard import with_view

        listed = formats if isinstance(formats, str) else ",".join(formats)
        wanted = parse_formats(listed, self.registry.reporters, "in formats: ")
        into = Path(folder) if folder is not None else self.report_folder
        return write_report(with_view(self.analysis, columns, sort), into, wanted, self.registry.reporters)

    @property
    def report_folder(self) -> Path:
        """Where :meth:`report` writes by default."""
        return self.folder if self.store is None else self.folder / "reports" / self.plan.suite

    def student(self, **selection: Any) -> nn.Module:
        """A trained network: :func:`kdbench.load_student` of these results, which see."""
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


def load_results(folder: Path | str, suite: str | None = None, *, plugins: Iterable[Any] = ()) -> Results:
    """The results in a runs folder, or in a report folder.

    Args:
        folder: the folder.
        suite: which, where a runs folder holds several suites.
        plugins: plugin files and objects: report formats, or what networks are made of.

    Raises:
        KdbenchError: nothing is there, several suites are, or what is there is damaged.
    """

    def warn(message: str) -> None:
        warnings.warn(message, stacklevel=3)

    return open_results(Path(folder), suite, registry_of(plugins), warn)


def open_results(folder: Path, suite: str | None, registry: Registry, warn: Callable[[str], None]) -> Results:
    """The same, with all plugins at hand; ``warn`` is told of what is damaged."""
    if is_archive(folder):
        frame = frame_of_archive(load_archive(folder))
        return Results(frame, registry, folder, None, tuple(frame.plan.trials))
    store = Store(folder, warn=warn)
    return results_in(store, find_suite(store, suite), registry)


def find_results(what: str | None, runs: Path, registry: Registry, warn: Callable[[str], None]) -> Results:
    """The results that a command line means.

    Args:
        what: a report folder, a runs folder, or a suite that was run in ``runs``; the only one there by default.
        runs: the runs folder.
        registry: all plugins.
        warn: is told of what is damaged.

    Raises:
        KdbenchError: nothing is there, or several suites are.
    """
    if what is not None and (is_archive(Path(what)) or (Path(what) / "suites").is_dir()):
        return open_results(Path(what), None, registry, warn)
    return open_results(runs, what, registry, warn)


def results_in(store: Store, suite: str, registry: Registry) -> Results:
    """The results of a suite that was run."""
    frame = suite_frame(store, suite)
    return Results(frame, registry, store.root, store, tuple(frame.plan.trials))


def registry_of(plugins: Iterable[Any]) -> Registry:
    """The registry with plugin files (strings and paths) and objects."""
    files, objects = files_and_objects(plugins)
    return load_registry(files, objects=objects)


def files_and_objects(plugins: Iterable[Any]) -> tuple[tuple[Path, ...], tuple[Any, ...]]:
    """Plugins that are files, and those that are objects."""
    given = [plugins] if isinstance(plugins, str | Path) else list(plugins)
    files = tuple(Path(p) for p in given if isinstance(p, str | Path))
    return files, tuple(p for p in given if not isinstance(p, str | Path))
