"""The leaderboard as tables that can be sorted and filtered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdbench.analysis.analysis import Analysis
from kdbench.report.columns import Column, Line, columns_of, default_columns, number
from kdbench.report.leaderboard import lines_of, shown_columns, sorted_lines
from kdbench.report.legend import legend
from kdbench.report.power import power_note
from kdbench.report.text import slug
from kdbench.report.wording import Wording


@dataclass(frozen=True)
class Heading:
    """The heading of a column.

    Args:
        text: its text.
        number: whether the column holds numbers.
        lower_is_better: whether the best is the lowest.
        extra: whether it is shown only on request for all columns.
    """

    text: str
    number: bool
    lower_is_better: bool
    extra: bool


@dataclass(frozen=True)
class Cell:
    """A cell.

    Args:
        text: its text.
        sort: the exact number it is sorted by; "" for text and for missing numbers.
        bold: whether it is the primary metric of the only student in first place.
    """

    text: str
    sort: str
    bold: bool


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Args:
        anchor: id of the details that the first cell links to.
        family: family of the method, for the filter.
        role: student, teacher, assistant or generation.
        cells: its cells.
    """

    anchor: str
    family: str
    role: str
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """A pair's table.

    Args:
        name: name of the pair.
        anchor: its id.
        headings: headings of its columns.
        rows: its rows, best first, teachers on top.
        note: what it could have found.
    """

    name: str
    anchor: str
    headings: list[Heading]
    rows: list[TableRow]
    note: str


def tables(analysis: Analysis) -> list[Table]:
    """Return a table for each board, sorted as the suite says, without empty columns."""
    view, task = analysis.plan.report, analysis.task
    columns = _columns(analysis)
    usual = view.columns or default_columns(task)
    headings = [Heading(c.heading, not c.untrusted, c.lower_is_better, name not in usual) for name, c in columns.items()]
    return [
        Table(
            board.name,
            f"table-{i}",
            headings,
            _rows(i, lines_of(sorted_lines(board.table, view.sort, task)), columns, task.primary),
            power_note(board.table, Wording(task)).replace("`", ""),
        )
        for i, board in enumerate(analysis.boards, 1)
    ]


def legend_lines(analysis: Analysis) -> list[str]:
    """Return the legend of the columns, one line each."""
    if not analysis.boards:
        return []
    lines = legend(analysis.standings, list(_columns(analysis)), analysis.task).splitlines()
    return [line.removeprefix("- ").replace("`", "") for line in lines]


def anchor(board: int, label: str, role: str) -> str:
    """Return the id of a row's details.

    Args:
        board: number of the board, from 1.
        label: label of the row.
        role: role of the row.
    """
    # Labels may differ only in characters that a slug drops, so their bytes are included.
    return f"row-{board}-{slug(role, label)}-{label.encode().hex()[:64]}"


def _columns(analysis: Analysis) -> dict[str, Column]:
    """Return the suite's columns, or all that are not empty; names first."""
    known, asked = columns_of(analysis.task), analysis.plan.report.columns
    shown = shown_columns(analysis.standings, analysis.task, asked, tuple(known)) if analysis.boards else ()
    return {name: known[name] for name in dict.fromkeys(["method", *shown])}


def _rows(board: int, lines: Sequence[Line], columns: Mapping[str, Column], primary: str) -> list[TableRow]:
    first = [number(line.get("place")) == number(line.get("place_last")) == 1 for line in lines]
    alone = sum(first) == 1
    return [
        _row(board, line, columns, bold=primary if alone and leads else "") for line, leads in zip(lines, first, strict=True)
    ]


def _row(board: int, line: Line, columns: Mapping[str, Column], *, bold: str) -> TableRow:
    family = str(line["family"]) if line["role"] == "student" else str(line["role"])
    cells = [Cell(column.cell(line), _sort(column, line), name == bold) for name, column in columns.items()]
    return TableRow(anchor(board, str(line["label"]), str(line["role"])), family, str(line["role"]), cells)


def _sort(column: Column, line: Line) -> str:
    if column.untrusted:
        return ""
    value = number(line.get(column.key))
    return repr(value) if math.isfinite(value) else ""
