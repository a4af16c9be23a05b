"""The trials behind each number, and their environments."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.boards import Board
from kdbench.analysis.task import metric_column
from kdbench.errors import flat
from kdbench.report.cells import show_point
from kdbench.report.environment import describe, environments
from kdbench.report.page.table import anchor
from kdbench.report.text import duration
from kdbench.report.wording import Wording, row_name


@dataclass(frozen=True)
class TrialLine:
    """A trial of a row.

    Args:
        trial: its id.
        recorded: whether there is a record to link to.
        cells: seed, grid point, status, validation and test metric, time, fingerprint of the data.
        environment: number of the environment that made it, from 1; 0 for none.
    """

    trial: str
    recorded: bool
    cells: list[str]
    environment: int


@dataclass(frozen=True)
class Details:
    """The trials behind a row of a table.

    Args:
        anchor: its id.
        title: label and role.
        lines: its trials, grid points that were not chosen included.
        environments: numbers and descriptions of the trials' environments.
    """

    anchor: str
    title: str
    lines: list[TrialLine]
    environments: list[tuple[int, list[tuple[str, str]]]]


def headings(words: Wording) -> tuple[str, ...]:
    """Return the headings of a trial's cells."""
    values = (f"validation{words.percent_sign}", f"test{words.percent_sign}")
    return ("seed", "grid point", "status", *values, "time", "data")


def details(analysis: Analysis) -> list[tuple[str, list[Details]]]:
    """Return each board's name, and the details of each of its rows."""
    numbers = environments(analysis.records)
    return [
        (board.name, [_details(board, i, row, numbers) for _, row in board.table.iterrows()])
        for i, board in enumerate(analysis.boards, 1)
    ]


def _details(board: Board, number: int, row: pd.Series, numbers: dict[str, int]) -> Details:
    rows, records = board.frame.rows, board.frame.records
    mine = (rows["pair"] == board.pair) & (rows["fingerprint"] == board.fingerprint)
    mine &= (rows["label"] == row["label"]) & (rows["role"] == row["role"])
    found = rows[mine].drop_duplicates("trial")
    words = Wording(board.frame.task)
    lines = [_trial(line, str(row["point"]), numbers, words) for _, line in found.iterrows()]
    described = {numbers[line.trial]: describe(records[line.trial]) for line in lines if line.recorded}
    label, role = str(row["label"]), str(row["role"])
    return Details(anchor(number, label, role), row_name(label, role), lines, sorted(described.items()))


def _trial(line: pd.Series, chosen: str, numbers: dict[str, int], words: Wording) -> TrialLine:
    trial = str(line["trial"])
    status = f"{line['status']}: {line['error']}" if line["error"] else str(line["status"])
    point = show_point(line["point"]) + (" (chosen)" if line["point"] == chosen else "") if line["point"] else ""
    cells = [
        str(line["seed"]),
        flat(point),
        flat(status),
        words.value(line[metric_column(words.task, "validation")]),
        words.value(line[metric_column(words.task)]),
        duration(line["wall_seconds"]),
        str(line["fingerprint"]),
    ]
    return TrialLine(trial, trial in numbers, cells, numbers.get(trial, 0))
