"""The leaderboard as text, with one table per pair."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from tabulate import tabulate

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.task import metric_column
from kdbench.errors import flat
from kdbench.plan.trial import TaskInfo
from kdbench.report.columns import (
    Line,
    check_columns,
    columns_of,
    default_columns,
    number,
    show_point,
    terminal_columns,
)
from kdbench.report.environment import provenance_lines
from kdbench.report.legend import GRID, legend
from kdbench.report.power import power_note
from kdbench.report.text import escape
from kdbench.report.wording import Wording
from kdbench.suite.schema import ReportSpec


def with_view(analysis: Analysis, columns: Sequence[str] = (), sort: str | None = None) -> Analysis:
    """Return the analysis with columns and order other than the suite's.

    Args:
        analysis: analysis of the records.
        columns: names of columns, in order; the suite's if empty.
        sort: name of the column that students are sorted by, the suite's by default; a leading
            ``-`` reverses the order.

    Raises:
        KdbenchError: a column is unknown.
    """
    asked, known = analysis.plan.report, columns_of(analysis.task)
    if sort is not None:
        check_columns([sort.removeprefix("-")], "in --sort: ", known=known)
    names = check_columns(columns, "in --columns: ", known=known)
    view = ReportSpec(columns=names or asked.columns, sort=sort or asked.sort)
    return Analysis(replace(analysis.frame, plan=analysis.plan.model_copy(update={"report": view})))


def leaderboard_tables(analysis: Analysis) -> str:
    """Return only the tables and their notes in markdown, one per pair, for a README."""
    tables = _tables(analysis, "github")
    notes = [f"\n\n{note}" if note else "" for note in power_notes(analysis)]
    parts = [(f"**{escape(name)}**\n\n{t}" if name else t) + note for (name, t), note in zip(tables, notes, strict=True)]
    return "\n\n".join(parts) + "\n"


def leaderboard_markdown(analysis: Analysis) -> str:
    """Return the whole page: tables, legend, grids and provenance."""
    plan, table = analysis.plan, analysis.standings
    parts = [f"# {escape(plan.title or plan.suite)}"]
    if plan.description:
        parts.append(plan.description.strip())
    shown = shown_columns(table, plan.task, plan.report.columns)
    parts += [leaderboard_tables(analysis).strip(), legend(table, shown, plan.task), *_grids(analysis)]
    return "\n\n".join([*parts, "## Provenance", *provenance_lines(analysis.frame)]) + "\n"


def leaderboard_html(analysis: Analysis) -> str:
    """Return the tables as HTML for a notebook, one per pair, with all text escaped."""
    tables = _tables(analysis, "html")
    return "".join(f"<p><b>{html.escape(flat(name))}</b></p>{table}" if name else str(table) for name, table in tables)


def leaderboard_text(analysis: Analysis) -> str:
    """Return the tables for a terminal."""
    suite = flat(analysis.plan.suite)
    tables = _tables(analysis, "simple", terminal_columns(analysis.task))
    return "\n\n".join(f"{suite}: {flat(name)}\n{t}" if name else f"{suite}\n{t}" for name, t in tables)


def leaderboard_latex(analysis: Analysis) -> str:
    """Return the tables in LaTeX (``booktabs``), one per pair."""
    tables = _tables(analysis, "latex_booktabs")
    return "\n\n".join(f"% {flat(name)}\n{table}" if name else table for name, table in tables) + "\n"


def shown_columns(
    table: pd.DataFrame, task: TaskInfo, asked: Sequence[str] = (), usual: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Return the names of the columns to show.

    They are the requested ones, or those of the default columns that are not empty.

    Args:
        table: standings.
        task: the task that the networks learn.
        asked: names of requested columns; empty for the default ones.
        usual: names of the default columns, if not those of a leaderboard.
    """
    columns = columns_of(task)
    if asked:
        return check_columns(asked, "in the suite's report: ", known=columns)
    lines = lines_of(table)
    names = default_columns(task) if usual is None else usual
    return tuple(n for n in names if any(columns[n].cell(line) not in ("", "–") for line in lines))


def power_notes(analysis: Analysis) -> list[str]:
    """Return what each pair's table could have found, in the tables' order."""
    groups = groups_of(analysis.standings, analysis.plan.report.sort, analysis.task)
    return [power_note(group, Wording(analysis.task)) for _, group in groups]


def lines_of(table: pd.DataFrame) -> list[Line]:
    """Return the rows of standings as mappings."""
    return [dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False)]


def groups_of(table: pd.DataFrame, by: str, task: TaskInfo) -> list[tuple[str, pd.DataFrame]]:
    """Return the names of pairs, and their sorted rows.

    The name is empty if there is only one pair, and includes the data's fingerprint if data differ.
    """
    groups = list(sorted_lines(table, by, task).groupby(["pair", "fingerprint"], sort=False))
    several_data = len({fingerprint for (_, fingerprint), _ in groups}) > 1
    found = []
    for (pair, fingerprint), group in groups:
        name = f"{pair} (data {fingerprint})" if several_data else str(pair) if len(groups) > 1 else ""
        found.append((name, group))
    return found


def sorted_lines(table: pd.DataFrame, by: str, task: TaskInfo) -> pd.DataFrame:
    """Sort each pair's students by a column, best first, or worst first after ``-``.

    Teachers and other helpers stay on top; rows without a number come last.

    Raises:
        KdbenchError: the column is unknown.
    """
    columns = columns_of(task)
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


def _tables(analysis: Analysis, style: str, usual: Sequence[str] = ()) -> list[tuple[str, str]]:
    table, view, task = analysis.standings, analysis.plan.report, analysis.task
    columns = shown_columns(table, task, (), usual) if usual else shown_columns(table, task, view.columns)
    return [(name, _table(group, style, columns, task)) for name, group in groups_of(table, view.sort, task)]


def _table(group: pd.DataFrame, style: str, names: Sequence[str], task: TaskInfo) -> str:
    cells, columns = {}, columns_of(task)
    lines = lines_of(group)
    best = _best(lines)
    for name in names:
        column = columns[name]
        clean = escape if column.untrusted and style == "github" else flat
        cells[name] = [clean(column.cell(line)) for line in lines]
        if name == task.primary and style == "github":
            cells[name] = [f"**{c}**" if i == best else c for i, c in enumerate(cells[name])]
    return tabulate(
        list(zip(*cells.values(), strict=True)),
        headers=[columns[name].heading for name in cells],
        tablefmt=style,
        colalign=["left" if columns[name].untrusted else "right" for name in cells],
        disable_numparse=True,
    )


def _best(lines: Sequence[Line]) -> int | None:
    """Return the index of the row that is first alone; ``None`` without one."""
    first = [i for i, line in enumerate(lines) if number(line["place"]) == number(line["place_last"]) == 1]
    return first[0] if len(first) == 1 else None


def _grids(analysis: Analysis) -> list[str]:
    found, words = analysis.grids, Wording(analysis.task)
    if found.empty:
        return []
    parts = [
        "## Grids",
        "In bold the point shown above: of those that finished with the most seeds, the one with the best mean validation "
        f"{words.metric}. The test set had no say." + (f" {GRID}" if found["delta_low"].notna().any() else ""),
    ]
    headers = ["point", f"validation{words.percent_sign}", f"test{words.percent_sign}", "Δ supervised", "seeds finished"]
    for (pair, _, label), group in found.groupby(["pair", "fingerprint", "label"], sort=False):
        lines = [_grid_line(line, words) for line in lines_of(group)]
        shown = [i for i in range(len(headers)) if i != 3 or any(line[3] != "–" for line in lines)]
        table = tabulate(
            [[line[i] for i in shown] for line in lines],
            headers=[headers[i] for i in shown],
            tablefmt="github",
            disable_numparse=True,
            colalign=["left", *["right"] * (len(shown) - 1)],
        )
        parts.append(f"{escape(str(label))} ({escape(str(pair))})\n\n{table}")
    return parts


def _grid_line(line: Line, words: Wording) -> list[str]:
    point = escape(show_point(line["point"]))
    delta = words.difference(line["delta"]) if line["delta_seeds"] else "–"
    if not math.isnan(line["delta_low"]):
        low, high = words.difference(line["delta_low"]), words.difference(line["delta_high"])
        delta += f" [{low}, {high}]" + (" †" if line["significant"] else "")
    return [
        f"**{point}**" if line["chosen"] else point,
        words.value(line[metric_column(words.task, "validation")]),
        words.value(line[metric_column(words.task)]),
        delta,
        f"{line['finished']} of {line['seeds']}",
    ]
