"""A leaderboard's tables, pair by pair, before they are formatted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.speeds import measured_settings
from kdbench.report.cells import Line
from kdbench.report.columns import Column, check_columns, check_latency, columns_for
from kdbench.report.layout import cut_to_fit, overview
from kdbench.report.power import power_note
from kdbench.report.wording import Wording
from kdbench.suite.schema import ReportSpec


@dataclass(frozen=True)
class Section:
    """A pair's table before it is formatted.

    Args:
        name: the pair's name; "" if there is only one.
        key: the pair, and the fingerprint of its data.
        lines: its rows, in order.
        names: names of its columns.
        columns: all columns, as narrow tables show them.
        note: what the table could have found.
    """

    name: str
    key: tuple[str, str]
    lines: list[Line]
    names: tuple[str, ...]
    columns: Mapping[str, Column]
    note: str


def with_view(analysis: Analysis, columns: Sequence[str] = (), sort: str | None = None, latency: str | None = None) -> Analysis:
    """Return the analysis with another view than the suite's.

    The plan, which reports keep, stays as it is.

    Args:
        analysis: analysis of the records.
        columns: names of columns, in order; the suite's if empty.
        sort: name of the column that students are sorted by, the suite's by default; a leading
            ``-`` reverses the order.
        latency: name of the latency setting of tables and figures; the suite's by default.

    Raises:
        KdbenchError: a column or a setting is unknown.
    """
    if not columns and sort is None and latency is None:
        return analysis
    view, known = analysis.view, columns_for(analysis)
    if sort is not None:
        check_columns([sort.removeprefix("-")], "in --sort: ", known=known)
    if latency is not None:
        check_latency(latency, [s.name for s in measured_settings(analysis.frame)], "in --latency: ")
    names = check_columns(columns, "in --columns: ", known=known)
    changed = ReportSpec(columns=names or view.columns, sort=sort or view.sort, latency=latency or view.latency)
    return Analysis(analysis.frame, changed)


def sections(analysis: Analysis, room: int | None = None) -> list[Section]:
    """Return the tables of all pairs.

    Args:
        analysis: the tables.
        room: characters of a row, if cells do not wrap: names are cut to fit; by default those of a page of
            GitHub.
    """
    columns, view, task = {k: c.narrow() for k, c in columns_for(analysis).items()}, analysis.view, analysis.task
    asked = check_columns(view.columns, "in the suite's report: ", known=columns)
    found = []
    for name, group in groups_of(analysis.standings, view.sort, columns):
        lines = lines_of(group)
        if room is not None:
            columns = {**columns, "method": cut_to_fit(lines, columns, task, room)}
        usual = overview(lines, columns, task) if room is None else overview(lines, columns, task, room, wraps=False)
        key = str(group["pair"].iloc[0]), str(group["fingerprint"].iloc[0])
        found.append(Section(name, key, lines, asked or usual, columns, power_note(group, Wording(task))))
    return found


def lines_of(table: pd.DataFrame) -> list[Line]:
    """Return the rows of standings as mappings."""
    return [dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False)]


def groups_of(table: pd.DataFrame, by: str, columns: Mapping[str, Column]) -> list[tuple[str, pd.DataFrame]]:
    """Return the names of pairs, and their sorted rows.

    The name is empty if there is only one pair, and includes the data's fingerprint if data differ.
    """
    groups = list(sorted_lines(table, by, columns).groupby(["pair", "fingerprint"], sort=False))
    several_data = len({fingerprint for (_, fingerprint), _ in groups}) > 1
    found = []
    for (pair, fingerprint), group in groups:
        name = f"{pair} (data {fingerprint})" if several_data else str(pair) if len(groups) > 1 else ""
        found.append((name, group))
    return found


def sorted_lines(table: pd.DataFrame, by: str, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Sort each pair's students by a column, best first, or worst first after ``-``.

    Teachers and other helpers stay on top; rows without a number come last.

    Raises:
        KdbenchError: the column is unknown.
    """
    (name,) = check_columns([by.removeprefix("-")], "in the suite's report: ", known=columns)
    column = columns[name]
    ascending = column.lower_is_better != by.startswith("-")
    if column.key not in table:
        return table
    parts = []
    for _, group in table.groupby(["pair", "fingerprint"], sort=False):
        student = group["role"] == "student"
        ordered = group[student].sort_values(column.key, ascending=ascending, kind="stable", na_position="last")
        parts += [group[~student], ordered]
    return pd.concat(parts, ignore_index=True)
