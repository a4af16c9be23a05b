"""The leaderboard's columns: what heads each, and what stands in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kdbench.report.text import duration, flat, percent, points, quantity, size, times

Line = Mapping[str, Any]
"""A row of :func:`kdbench.report.standings.standings`."""


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        heading: what heads it.
        cell: the text that stands in a row.
        foreign: whether it holds text of plugins and suites, which is escaped.
    """

    heading: str
    cell: Callable[[Line], str]
    foreign: bool = False


def show_point(point: str) -> str:
    """A grid point, kept as JSON, for people."""
    values: dict[str, Any] = json.loads(point)
    return ", ".join(f"{k} = {v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items())


def _name(line: Line) -> str:
    role = line["role"]
    return flat(line["label"]) + (f" ({role})" if role in ("teacher", "assistant") else "")


def _accuracy(line: Line) -> str:
    mean = percent(line["test_accuracy"])
    if line["finished"] > 1:
        return f"{mean} ± {percent(line['test_accuracy_sd'])}"
    if math.isnan(line["test_accuracy_low"]):
        return mean
    return f"{mean} [{percent(line['test_accuracy_low'])}, {percent(line['test_accuracy_high'])}]"


def _delta(line: Line) -> str:
    if math.isnan(line["delta"]):
        return "–"
    if math.isnan(line["delta_low"]):
        return points(line["delta"])
    return f"{points(line['delta'])} [{points(line['delta_low'])}, {points(line['delta_high'])}]"


def _note(line: Line) -> str:
    notes = []
    if line["failed"]:
        notes.append(f"failed ({line['failed']} of {line['seeds']} seeds): {line['error']}")
    if line["missing"]:
        notes.append(f"{line['missing']} of {line['seeds']} seeds not run")
    if line["point"]:
        notes.append(show_point(line["point"]))
    return flat("; ".join(notes))


def _count(name: str) -> Callable[[Line], str]:
    return lambda line: "–" if pd.isna(line[name]) else quantity(line[name])


COLUMNS = {
    "method": Column("method", _name, foreign=True),
    "family": Column("family", lambda line: flat(line["family"]) if line["role"] == "student" else "", foreign=True),
    "accuracy": Column("test accuracy %", _accuracy),
    "delta": Column("Δ supervised", _delta),
    "teacher": Column("teacher %", lambda line: percent(line["teacher_accuracy"])),
    "parameters": Column("parameters", _count("parameters")),
    "macs": Column("MACs", _count("macs")),
    "size": Column("size MB", lambda line: size(line["size_mb"])),
    "compression": Column("compression", lambda line: times(line["compression"])),
    "time": Column("time", lambda line: duration(line["wall_seconds"])),
    "note": Column("note", _note, foreign=True),
}
TERMINAL = ("method", "accuracy", "delta", "teacher", "parameters", "compression", "time", "note")
"""What fits on a screen."""
