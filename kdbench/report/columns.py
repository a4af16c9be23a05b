"""The leaderboard's columns: what heads each, and what stands in it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kdbench.errors import KdbenchError, Place, did_you_mean
from kdbench.report.text import decimals, duration, flat, milliseconds, percent, points, quantity, size, times
from kdbench.suite.schema import ReportSpec

Line = Mapping[str, Any]
"""A row of :func:`kdbench.analysis.standings.standings`."""


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        heading: what heads it.
        key: the column of the standings that it is sorted by.
        cell: the text that stands in a row.
        foreign: whether it holds text of plugins and suites, which is escaped.
        falling: whether the best is the highest.
    """

    heading: str
    key: str
    cell: Callable[[Line], str]
    foreign: bool = False
    falling: bool = True


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
    return mean + _brackets(line, "test_accuracy", percent)


def _delta(name: str) -> Callable[[Line], str]:
    def cell(line: Line) -> str:
        if math.isnan(line[name]):
            return "–"
        mark = MARKS[line["significant"]] if name == "delta" else ""
        return points(line[name]) + _brackets(line, name, points) + mark

    return cell


def _brackets(line: Line, name: str, text: Callable[[float], str]) -> str:
    low, high = line[f"{name}_low"], line[f"{name}_high"]
    return "" if math.isnan(low) or math.isnan(high) else f" [{text(low)}, {text(high)}]"


def _latency(line: Line) -> str:
    if math.isnan(line["latency_ms"]):
        return "unstable" if line["latency_note"] and line["latency_setting"] else "–"
    return milliseconds(line["latency_ms"])


def _test_set(line: Line) -> str:
    seconds, spread = line.get("test_set_seconds", float("nan")), line.get("test_set_spread", float("nan"))
    return "–" if math.isnan(seconds) else f"{seconds:.3g} ± {spread:.2g}"


def _note(line: Line) -> str:
    notes = []
    if line["failed"]:
        notes.append(f"failed ({line['failed']} of {line['seeds']} seeds): {line['error']}")
    if line["missing"]:
        notes.append(f"{line['missing']} of {line['seeds']} seeds not run")
    if line["point"]:
        notes.append(show_point(line["point"]))
    return flat("; ".join(notes))


def _number(name: str, text: Callable[[float], str]) -> Callable[[Line], str]:
    """A cell that shows one number; a column that the records do not fill is a row of dashes."""

    def cell(line: Line) -> str:
        value = line.get(name)
        return "–" if value is None or pd.isna(value) else text(float(value))

    return cell


MARKS = {"seeds": " ‡", "images": " †", "": ""}
"""After a difference: told apart by seeds, or only by the test images."""

COLUMNS = {
    "place": Column("place", "place", _number("place", lambda v: str(int(v))), falling=False),
    "method": Column("method", "label", _name, foreign=True, falling=False),
    "family": Column(
        "family", "family", lambda line: flat(line["family"]) if line["role"] == "student" else "", foreign=True, falling=False
    ),
    "accuracy": Column("test accuracy %", "test_accuracy", _accuracy),
    "delta": Column("Δ supervised", "delta", _delta("delta")),
    "delta_kd": Column("Δ kd", "delta_kd", _delta("delta_kd")),
    "gap": Column("gap closed %", "gap_closed", _number("gap_closed", lambda v: f"{100 * v:z.0f}".replace("-", "−"))),
    "effect": Column("effect size", "effect_size", _number("effect_size", lambda v: f"{v:z.2f}".replace("-", "−"))),
    "teacher": Column("teacher %", "teacher_accuracy", _number("teacher_accuracy", percent)),
    "agreement": Column("agreement %", "agreement", _number("agreement", percent)),
    "kl": Column("KL to teacher", "kl", _number("kl", decimals), falling=False),
    "nll": Column("NLL", "nll", _number("nll", decimals), falling=False),
    "ece": Column("ECE %", "ece", _number("ece", percent), falling=False),
    "top5": Column("top-5 %", "top5", _number("top5", percent)),
    "f1": Column("macro F1 %", "macro_f1", _number("macro_f1", percent)),
    "parameters": Column("parameters", "parameters", _number("parameters", quantity), falling=False),
    "macs": Column("MACs", "macs", _number("macs", quantity), falling=False),
    "size": Column("size MB", "size_mb", _number("size_mb", size), falling=False),
    "compression": Column("compression", "compression", _number("compression", times)),
    "latency": Column("latency ms", "latency_ms", _latency, falling=False),
    "test_set": Column("test set s", "test_set_seconds", _test_set, falling=False),
    "speedup": Column("speed-up", "speedup", lambda line: _number("speedup", times)(line) + _brackets(line, "speedup", times)),
    "efficiency": Column("efficiency", "efficiency", _number("efficiency", lambda v: f"{v:.3g}")),
    "time": Column("time", "wall_seconds", _number("wall_seconds", duration), falling=False),
    "step": Column("step time", "step_ratio", _number("step_ratio", lambda v: f"{v:.2f}×"), falling=False),
    "extra": Column("extra parameters", "method_parameters", _number("method_parameters", quantity), falling=False),
    "note": Column("note", "error", _note, foreign=True, falling=False),
}
DEFAULT = (
    "place", "method", "family", "accuracy", "delta", "gap", "teacher", "agreement", "parameters", "macs", "size",
    "compression", "latency", "speedup", "efficiency", "time", "note",
)  # fmt: skip
"""What a leaderboard shows unless the suite or ``--columns`` says otherwise; columns without a number are left out."""
TERMINAL = ("place", "method", "accuracy", "delta", "teacher", "parameters", "latency", "time", "note")
"""What fits on a screen."""


def check_columns(names: Sequence[str], where: str = "", place: Place | None = None) -> tuple[str, ...]:
    """Names of columns, each once, if all are known.

    Args:
        names: names.
        where: what names them, for the error: ``in --columns: ``.
        place: where in a file.

    Raises:
        KdbenchError: a name is unknown.
    """
    for name in names:
        if name not in COLUMNS:
            hint = did_you_mean(name, COLUMNS) or f"; known are {', '.join(COLUMNS)}"
            raise KdbenchError(f'{where}unknown column "{name}"{hint}', place)
    return tuple(dict.fromkeys(names))


def check_report(spec: ReportSpec, place: Callable[..., Place]) -> None:
    """Check what a suite says of its report.

    Args:
        spec: ``report:`` of the suite.
        place: gives the place of a path of keys in the suite's file.

    Raises:
        KdbenchError: a column is unknown.
    """
    for i, name in enumerate(spec.columns):
        check_columns([name], place=place("report", "columns", i))
    check_columns([spec.sort.removeprefix("-")], place=place("report", "sort"))


def sorted_lines(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Standings with each pair's students sorted by a column, best first, or with a leading ``-`` the other way round.

    Teachers and other helpers stay on top; rows without a number come last.
    """
    column = COLUMNS[by.removeprefix("-")]
    rising = column.falling == by.startswith("-")
    if column.key not in table:
        return table
    parts = []
    for _, group in table.groupby(["pair", "fingerprint"], sort=False):
        student = group["role"] == "student"
        parts += [group[~student], group[student].sort_values(column.key, ascending=rising, kind="stable", na_position="last")]
    return pd.concat(parts, ignore_index=True)
