"""The trials behind each number, where they were made, and scores class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kdbench.analysis.frame import SuiteFrame
from kdbench.measure.accuracy import per_class
from kdbench.report.columns import show_point
from kdbench.report.figures.boards import Board, networks
from kdbench.report.page.table import anchor
from kdbench.report.text import duration, flat, percent
from kdbench.results.record import Record


@dataclass(frozen=True)
class TrialLine:
    """A trial of a row.

    Args:
        trial: its id.
        recorded: whether there is a record to link to.
        cells: seed, grid point, status, validation and test accuracy, time, fingerprint of the data.
        environments: number of the environment it was made in, from 1; 0 for none.
    """

    trial: str
    recorded: bool
    cells: list[str]
    environment: int


@dataclass(frozen=True)
class Details:
    """What lies behind a row of a table.

    Args:
        anchor: its id.
        title: label and role.
        lines: its trials, grid points that were not chosen included.
        environments: numbers and descriptions of where they were made.
    """

    anchor: str
    title: str
    lines: list[TrialLine]
    environments: list[tuple[int, list[tuple[str, str]]]]


@dataclass(frozen=True)
class ClassTable:
    """Scores of a board's networks, class by class.

    Args:
        name: of the pair.
        networks: label and reason of each.
        rows: class, number of test samples, and for each network precision, recall and F1 in percent.
    """

    name: str
    networks: list[str]
    rows: list[tuple[str, int, list[float]]]


HEADINGS = ("seed", "grid point", "status", "validation %", "test %", "time", "data")


def environments(frame: SuiteFrame) -> dict[str, int]:
    """Trial → number of the environment (command, machine, versions) that its record was made in; the same are one."""
    numbers: dict[tuple[tuple[str, str], ...], int] = {}
    return {t: numbers.setdefault(tuple(describe(r)), len(numbers) + 1) for t, r in sorted(frame.records.items())}


def describe(record: Record) -> list[tuple[str, str]]:
    """Command, machine and versions behind a record."""
    made = record.provenance
    units = {"cores": " cores", "memory_gb": " GB memory"}
    machine = [f"{value}{units.get(name, '')}" for name, value in made.machine.items()]
    versions = [f"kdbench {made.kdbench}", *([f"commit {made.commit}"] if made.commit else [])]
    versions += [f"{name} {version}" for name, version in made.libraries.items()]
    threads = "1 thread" if made.threads == 1 else f"{made.threads} threads"
    return [
        ("command", flat(made.command)),
        ("machine", flat(", ".join([*machine, f"device {made.device}", threads]))),
        ("versions", flat(", ".join(versions))),
    ]


def details(boards: Sequence[Board]) -> list[tuple[str, list[Details]]]:
    """For each board its name, and what lies behind each of its rows."""
    if not boards:
        return []
    frame = boards[0].frame
    numbers = environments(frame)
    return [(b.name, [_details(b, i, row, numbers) for _, row in b.table.iterrows()]) for i, b in enumerate(boards, 1)]


def _details(board: Board, number: int, row: pd.Series, numbers: dict[str, int]) -> Details:
    rows = board.frame.rows
    mine = (rows["pair"] == board.pair) & (rows["fingerprint"] == board.fingerprint)
    mine &= (rows["label"] == row["label"]) & (rows["role"] == row["role"])
    found = rows[mine].drop_duplicates("trial")
    lines = [_trial(line, str(row["point"]), numbers) for _, line in found.iterrows()]
    places = {numbers[line.trial]: describe(board.frame.records[line.trial]) for line in lines if line.recorded}
    role = "" if row["role"] == "student" else f" ({row['role']})"
    return Details(
        anchor(number, str(row["label"]), str(row["role"])), flat(str(row["label"])) + role, lines, sorted(places.items())
    )


def _trial(line: pd.Series, chosen: str, numbers: dict[str, int]) -> TrialLine:
    trial = str(line["trial"])
    status = f"{line['status']}: {line['error']}" if line["error"] else str(line["status"])
    point = show_point(line["point"]) + (" (chosen)" if line["point"] == chosen else "") if line["point"] else ""
    accuracies = [percent(line["validation_accuracy"]), percent(line["test_accuracy"])]
    cells = [
        str(line["seed"]),
        flat(point),
        flat(status),
        *accuracies,
        duration(line["wall_seconds"]),
        str(line["fingerprint"]),
    ]
    return TrialLine(trial, trial in numbers, cells, numbers.get(trial, 0))


def class_tables(boards: Sequence[Board]) -> list[ClassTable]:
    """Tables of the boards whose predictions are known."""
    found = []
    for board in boards:
        classes, shown = board.classes(), networks(board)
        if not shown or not classes:
            continue
        scores = [[per_class(n.targets, predicted, len(classes)) for predicted in n.predicted] for n in shown]
        names = ("precision", "recall", "f1")
        means = [[100 * np.mean([seed[name] for seed in seeds], axis=0) for name in names] for seeds in scores]
        support = scores[0][0]["support"]
        rows = [(flat(c), int(support[i]), [float(v[i]) for network in means for v in network]) for i, c in enumerate(classes)]
        found.append(ClassTable(board.name, [f"{flat(n.label)} ({n.what})" for n in shown], rows))
    return found
