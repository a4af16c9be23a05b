"""The leaderboard as tables that can be sorted and filtered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kdbench.analysis.frame import SuiteFrame
from kdbench.report.columns import COLUMNS, DEFAULT, Line, sorted_lines
from kdbench.report.figures.boards import Board
from kdbench.report.figures.style import slug
from kdbench.report.leaderboard import lines_of, shown_columns
from kdbench.report.legend import legend


@dataclass(frozen=True)
class Heading:
    """What heads a column.

    Args:
        text: what stands there.
        number: whether the column holds numbers.
        falling: whether the best is the highest.
        extra: whether it is shown only when all columns are asked for.
    """

    text: str
    number: bool
    falling: bool
    extra: bool


@dataclass(frozen=True)
class Cell:
    """A cell.

    Args:
        text: what stands in it.
        sort: the number it is sorted by, exact, or "" for text and where there is none.
        bold: whether it is the accuracy of the only one in the first place.
    """

    text: str
    sort: str
    bold: bool


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Args:
        anchor: id of the details that the first cell links to.
        family: what the family filter looks at.
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
        name: of the pair.
        anchor: its id.
        headings: of its columns.
        rows: best first, teachers on top.
    """

    name: str
    anchor: str
    headings: list[Heading]
    rows: list[TableRow]


def tables(frame: SuiteFrame, boards: Sequence[Board]) -> list[Table]:
    """A table for each board, sorted as the suite says; columns that are empty in all of them are left out."""
    view, names = frame.plan.report, column_names(frame, boards)
    headings = [Heading(COLUMNS[n].heading, _numeric(n), COLUMNS[n].falling, n not in (view.columns or DEFAULT)) for n in names]
    return [
        Table(
            board.name,
            f"table-{number}",
            headings,
            _rows(number, lines_of(sorted_lines(board.table, view.sort)), names),
        )
        for number, board in enumerate(boards, 1)
    ]


def column_names(frame: SuiteFrame, boards: Sequence[Board]) -> list[str]:
    """Columns that the suite asks for, or all that hold something; what a row is called comes first."""
    shown = shown_columns(_everything(boards), frame.plan.report.columns, tuple(COLUMNS)) if boards else ()
    return ["method", *(name for name in shown if name != "method")]


def legend_lines(frame: SuiteFrame, boards: Sequence[Board]) -> list[str]:
    """How to read the columns, a line each."""
    lines = legend(_everything(boards), column_names(frame, boards)).splitlines() if boards else []
    return [line.removeprefix("- ").replace("`", "") for line in lines]


def anchor(number: int, label: str, role: str) -> str:
    """Id of a row's details.

    Args:
        number: of the board, from 1.
        label: of the row.
        role: of the row.
    """
    # Labels may differ in letters that a slug drops; their bytes do not.
    return f"row-{number}-{slug(role, label)}-{label.encode().hex()[:64]}"


def _everything(boards: Sequence[Board]) -> pd.DataFrame:
    return pd.concat([board.table for board in boards])


def _rows(number: int, lines: Sequence[Line], names: Sequence[str]) -> list[TableRow]:
    first = [_number(line.get("place")) == 1 for line in lines]
    alone = sum(first) == 1
    return [_row(number, line, names, best=alone and leads) for line, leads in zip(lines, first, strict=True)]


def _row(number: int, line: Line, names: Sequence[str], *, best: bool) -> TableRow:
    family = str(line["family"]) if line["role"] == "student" else str(line["role"])
    cells = [Cell(COLUMNS[name].cell(line), _sort(name, line), best and name == "accuracy") for name in names]
    return TableRow(anchor(number, str(line["label"]), str(line["role"])), family, str(line["role"]), cells)


def _numeric(name: str) -> bool:
    return not COLUMNS[name].foreign


def _sort(name: str, line: Line) -> str:
    if not _numeric(name):
        return ""
    number = _number(line.get(COLUMNS[name].key))
    return repr(number) if math.isfinite(number) else ""


def _number(value: object) -> float:
    """A value as a number; NaN for text, and for what pandas calls missing."""
    return float(value) if isinstance(value, (int, float, np.number)) else math.nan
