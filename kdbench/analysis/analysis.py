"""All tables of one suite, each computed once, on first use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from kdbench.analysis.boards import Board, boards
from kdbench.analysis.choice import chosen_rows, grid_points
from kdbench.analysis.classes import classes_table
from kdbench.analysis.epochs import epochs_table
from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.grids import Grid, grid_slices, grid_table
from kdbench.analysis.speeds import latency_table
from kdbench.analysis.standings import standings
from kdbench.analysis.tuning import draws_table, tuned_table, with_tuning
from kdbench.plan.trial import Plan, TaskInfo
from kdbench.results.record import Record
from kdbench.suite.schema import ReportSpec


@dataclass(frozen=True, eq=False)
class Analysis:
    """All tables computed from the records of a suite.

    Tables are shared: copy one before you change it.

    Args:
        frame: the records.
        asked: how tables are shown, if not as the suite says.
    """

    frame: SuiteFrame
    asked: ReportSpec | None = None

    @property
    def view(self) -> ReportSpec:
        """How tables are shown. It never changes the plan that reports keep."""
        return self.asked or self.plan.report

    @property
    def plan(self) -> Plan:
        """The suite's plan."""
        return self.frame.plan

    @property
    def task(self) -> TaskInfo:
        """The task that the suite's networks learn."""
        return self.frame.task

    @property
    def rows(self) -> pd.DataFrame:
        """A row for each entry of the plan, grid points included (``frame.py``)."""
        return self.frame.rows

    @property
    def records(self) -> Mapping[str, Record]:
        """Records by trial id."""
        return self.frame.records

    @cached_property
    def points(self) -> pd.DataFrame:
        """A row for each grid point (``choice.py``)."""
        return grid_points(self.frame)

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """The rows without grid points that were not chosen (``choice.py``)."""
        return chosen_rows(self.frame, self.points)

    @cached_property
    def standings(self) -> pd.DataFrame:
        """A row for each pair and method, best first (``standings.py``)."""
        return with_tuning(standings(self.frame, self.chosen, self.view.latency), self.tuned)

    @cached_property
    def latencies(self) -> pd.DataFrame:
        """A row for each network and setting (``speeds.py``)."""
        return latency_table(self.frame)

    @cached_property
    def draws(self) -> pd.DataFrame:
        """A row for each draw of tuning (``tuning.py``)."""
        return draws_table(self.frame)

    @cached_property
    def tuned(self) -> pd.DataFrame:
        """What tuning chose against each method's own values (``tuning.py``)."""
        return tuned_table(self.frame, self.draws)

    @cached_property
    def grids(self) -> pd.DataFrame:
        """Grid points against the student trained alone (``grids.py``)."""
        return grid_table(self.frame, self.points)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """A row for each row of the standings and epoch (``epochs.py``)."""
        return epochs_table(self.frame, self.chosen)

    @cached_property
    def classes(self) -> pd.DataFrame:
        """A row for each row of the standings and class (``classes.py``)."""
        return classes_table(self.frame, self.chosen)

    @cached_property
    def boards(self) -> list[Board]:
        """The standings pair by pair."""
        return boards(self.frame, self.standings)

    def slices(self, board: Board) -> list[Grid]:
        """Return the grids of a board's methods, sliced for figures."""
        return grid_slices(self.frame, self.grids, board.pair, board.fingerprint)
