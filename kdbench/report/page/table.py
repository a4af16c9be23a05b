"""The leaderboard as tables that can be sorted and filtered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdbench.analysis.analysis import Analysis
from kdbench.report.cells import Line, number
from kdbench.report.columns import Column, columns_for
from kdbench.report.layout import caption, filled, notes, split
from kdbench.report.legend import legend
from kdbench.report.sections import Section, sections
from kdbench.report.text import HARD_SPACE, slug

DESK = 146
"""Characters of a row that the page shows without scrolling at 1400 px."""


@dataclass(frozen=True)
class Heading:
    """The heading of a column.

    Args:
        name: name of the column.
        text: its text.
        number: whether the column holds numbers.
        lower_is_better: whether the best is the lowest.
        extra: whether it is shown only on request.
        first: whether a narrow screen shows it at first.
    """

    name: str
    text: str
    number: bool
    lower_is_better: bool
    extra: bool
    first: bool


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
        caption: what is the same for all its rows.
        notes: notes on rows: the row's name and the note.
        note: what it could have found.
    """

    name: str
    anchor: str
    headings: list[Heading]
    rows: list[TableRow]
    caption: list[str]
    notes: list[tuple[str, str]]
    note: str


@dataclass(frozen=True)
class Budget:
    """A cost that rows can be filtered by.

    Args:
        name: name of its column.
        label: what it is, with its unit.
    """

    name: str
    label: str


def tables(analysis: Analysis) -> list[Table]:
    """Return a table for each board, sorted as the suite says, without empty columns."""
    task, columns = analysis.task, columns_for(analysis)
    found = sections(analysis)
    names = _shown(analysis, columns, found)
    return [
        Table(
            board.name,
            f"table-{i}",
            [_heading(name, columns[name], _usual(section, columns), task.primary) for name in names],
            _rows(i, section.lines, {name: columns[name] for name in names}, task.primary),
            [text.replace("`", "") for text in caption(analysis, section.lines, columns, section.names)],
            notes(section.lines, columns),
            section.note.replace("`", ""),
        )
        for i, (board, section) in enumerate(zip(analysis.boards, found, strict=True), 1)
    ]


def budgets(found: Sequence[Table]) -> list[Budget]:
    """Return the costs that rows can be filtered by: those that differ between rows."""
    units = {"parameters": "parameters", "macs": "MACs", "size": "size, MB", "latency": "latency, ms"}
    headings = found[0].headings if found else []
    known = []
    for i, heading in enumerate(headings):
        values = {row.cells[i].sort for table in found for row in table.rows} - {""}
        if heading.name in units and len(values) > 1:
            known.append(Budget(heading.name, units[heading.name]))
    return known


def legend_lines(analysis: Analysis) -> list[str]:
    """Return the legend of the columns, one line each."""
    if not analysis.boards:
        return []
    columns = columns_for(analysis)
    lines = legend(analysis.standings, _shown(analysis, columns, sections(analysis)), analysis.task).splitlines()
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


def _shown(analysis: Analysis, columns: Mapping[str, Column], found: Sequence[Section]) -> list[str]:
    """Return all columns that are not empty; methods and the section's own first."""
    lines = [line for section in found for line in section.lines]
    usual = [name for section in found for name in section.names]
    every = filled([name for name in columns if name != "note"], lines, columns)
    return list(dict.fromkeys(["method", *usual, *every])) if found else []


def _usual(section: Section, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Return the section's columns, as far as they fit a desk's screen."""
    return split(section.names, section.lines, columns, DESK, wraps=False)[0] if section.names else ()


def _heading(name: str, column: Column, usual: Sequence[str], primary: str) -> Heading:
    return Heading(
        name=name,
        text=column.heading,
        number=not column.untrusted,
        lower_is_better=column.lower_is_better,
        extra=name not in usual,
        first=name in ("method", primary, "delta"),
    )


def _rows(board: int, lines: Sequence[Line], columns: Mapping[str, Column], primary: str) -> list[TableRow]:
    first = [number(line.get("place")) == number(line.get("place_last")) == 1 for line in lines]
    alone = sum(first) == 1
    return [
        _row(board, line, columns, bold=primary if alone and leads else "") for line, leads in zip(lines, first, strict=True)
    ]


def _row(board: int, line: Line, columns: Mapping[str, Column], *, bold: str) -> TableRow:
    family = str(line["family"]) if line["role"] == "student" else str(line["role"])
    cells = [Cell(_text(column, line), _sort(column, line), name == bold) for name, column in columns.items()]
    return TableRow(anchor(board, str(line["label"]), str(line["role"])), family, str(line["role"]), cells)


def _text(column: Column, line: Line) -> str:
    """Return a cell's text; numbers wrap only before an interval."""
    text = column.cell(line)
    return text if column.untrusted else text.replace(" ", HARD_SPACE).replace(f"{HARD_SPACE}[", " [")


def _sort(column: Column, line: Line) -> str:
    if column.untrusted:
        return ""
    value = number(line.get(column.key))
    return repr(value) if math.isfinite(value) else ""
