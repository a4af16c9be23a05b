"""The report that is passed to each format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.plan.trial import Plan
from kdbench.results.record import Record

if TYPE_CHECKING:
    from kdbench.report.figures.style import Chart


@dataclass(frozen=True, eq=False)
class Report:
    """One report, whose tables and figures are made once for all formats.

    Args:
        analysis: all tables.
    """

    analysis: Analysis

    @property
    def plan(self) -> Plan:
        """The suite's plan; ``plan.task`` has its metrics and their directions."""
        return self.analysis.plan

    @property
    def rows(self) -> pd.DataFrame:
        """A row for each entry of the plan and seed, grid points included."""
        return self.analysis.rows

    @property
    def records(self) -> Mapping[str, Record]:
        """Records by trial id."""
        return self.analysis.records

    @property
    def standings(self) -> pd.DataFrame:
        """A row for each pair and method, best first: the leaderboard in raw numbers."""
        return self.analysis.standings

    @cached_property
    def charts(self) -> list[Chart]:
        """All matplotlib figures, each with a title and a sentence that describes it."""
        from kdbench.report.figures.charts import charts

        return charts(self.analysis)
