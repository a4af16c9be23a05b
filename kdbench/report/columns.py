"""The leaderboard's columns, with their headings and the text of their cells."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.analysis.task import metric_column, teacher_column
from kdbench.errors import KdbenchError, Location, did_you_mean, flat
from kdbench.plan.trial import TaskInfo
from kdbench.report.text import decimals, duration, milliseconds, percent, quantity, size, times
from kdbench.report.wording import Wording, metric_text
from kdbench.suite.schema import ReportSpec

Line = Mapping[str, Any]
"""A row of :func:`kdbench.analysis.standings.standings`."""


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        heading: its heading.
        key: the column of the standings that it is sorted by.
        cell: formats a row's cell.
        untrusted: whether it holds text from plugins and suites, which is escaped.
        lower_is_better: whether the best is the lowest (or the first in the alphabet).
    """

    heading: str
    key: str
    cell: Callable[[Line], str]
    untrusted: bool = False
    lower_is_better: bool = False


def show_point(point: str) -> str:
    """Format a grid point that is stored as JSON."""
    values: dict[str, Any] = json.loads(point)
    return ", ".join(f"{k} = {v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items())


def number(value: object) -> float:
    """Return a table's value as a number; NaN for text and for missing values."""
    try:
        return math.nan if isinstance(value, str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def mark(significant: bool) -> str:
    """Return the mark of a significant difference."""
    return " †" if significant else ""


def _name(line: Line) -> str:
    role = line["role"]
    return flat(line["label"]) + (f" ({role})" if role in ("teacher", "assistant") else "")


def _family(line: Line) -> str:
    return flat(line["family"]) if line["role"] == "student" else ""


def _primary(words: Wording) -> Callable[[Line], str]:
    key = metric_column(words.task)

    def cell(line: Line) -> str:
        mean = words.value(line[key])
        if line["finished"] > 1:
            return f"{mean} ± {words.plain(line[f'{key}_sd'])}"
        return mean + _brackets(line, key, words.value)

    return cell


def _place(line: Line) -> str:
    best, worst = number(line.get("place")), number(line.get("place_last"))
    if math.isnan(best):
        return "–"
    return f"{best:.0f}" if best == worst else f"{best:.0f}–{worst:.0f}"


def _gap(line: Line) -> str:
    def text(share: float) -> str:
        return _rounded(100 * share, "z.0f")

    return "–" if math.isnan(number(line.get("gap_closed"))) else text(line["gap_closed"]) + _brackets(line, "gap_closed", text)


def _networks(words: Wording) -> Callable[[Line], str]:
    def cell(line: Line) -> str:
        low, high = (number(line.get(f"delta_{words.units}_{end}")) for end in ("low", "high"))
        return (
            "–" if math.isnan(low) else f"{words.difference(line['delta'])} [{words.difference(low)}, {words.difference(high)}]"
        )

    return cell


def _default(words: Wording) -> Callable[[Line], str]:
    key = f"default_{metric_column(words.task)}"

    def cell(line: Line) -> str:
        mean, deviation = number(line.get(key)), number(line.get(f"{key}_sd"))
        if math.isnan(mean):
            return "–"
        return words.value(mean) + ("" if math.isnan(deviation) else f" ± {words.plain(deviation)}")

    return cell


def _gain(words: Wording) -> Callable[[Line], str]:
    def cell(line: Line) -> str:
        if math.isnan(number(line.get("tuned_gain"))):
            return "–"
        return words.difference(line["tuned_gain"]) + _brackets(line, "tuned_gain", words.difference)

    return cell


def _lead(words: Wording) -> Callable[[Line], str]:
    def cell(line: Line) -> str:
        validation, test = number(line.get("validation_lead")), number(line.get("test_lead"))
        return "–" if math.isnan(validation) else f"{words.difference(validation)} → {words.difference(test)}"

    return cell


def _delta(name: str, words: Wording) -> Callable[[Line], str]:
    def cell(line: Line) -> str:
        if math.isnan(line[name]):
            return "–"
        text = words.difference(line[name]) + _brackets(line, name, words.difference)
        return text + mark(line["significant"]) if name == "delta" else text

    return cell


def _brackets(line: Line, name: str, text: Callable[[float], str]) -> str:
    low, high = line[f"{name}_low"], line[f"{name}_high"]
    return "" if math.isnan(low) or math.isnan(high) else f" [{text(low)}, {text(high)}]"


def _latency(line: Line) -> str:
    if math.isnan(line["latency_ms"]):
        return "unstable" if line["latency_note"] and line["latency_setting"] else "–"
    return milliseconds(line["latency_ms"])


def _test_set(line: Line) -> str:
    seconds, spread = line.get("test_set_seconds", math.nan), line.get("test_set_spread", math.nan)
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


def _cell(name: str, text: Callable[[float], str]) -> Callable[[Line], str]:
    """Return a function that formats a cell as one number, or a dash."""

    def cell(line: Line) -> str:
        value = number(line.get(name))
        return "–" if math.isnan(value) else text(value)

    return cell


def _rounded(value: float, form: str) -> str:
    return format(value, form).replace("-", "−")


def _low(heading: str, key: str, text: Callable[[float], str]) -> Column:
    return Column(heading, key, _cell(key, text), lower_is_better=True)


def _high(heading: str, key: str, text: Callable[[float], str]) -> Column:
    return Column(heading, key, _cell(key, text))


def _text(heading: str, key: str, cell: Callable[[Line], str]) -> Column:
    return Column(heading, key, cell, untrusted=True, lower_is_better=True)


def columns_of(task: TaskInfo) -> dict[str, Column]:
    """Return all columns by name; those of the task's metrics are named after them."""
    words = Wording(task)
    lower = not task.metrics[task.primary].higher_is_better
    return {
        "place": Column("place", "place", _place, lower_is_better=True),
        "first": _high("first %", "first_probability", lambda v: f"{100 * v:.0f}"),
        "method": _text("method", "label", _name),
        "family": _text("family", "family", _family),
        **_metrics(words),
        "default": Column(
            f"default{words.percent_sign}", f"default_{metric_column(task)}", _default(words), lower_is_better=lower
        ),
        "tuned": Column("tuned − default", "tuned_gain", _gain(words), lower_is_better=lower),
        "lead": Column("lead: validation → test", "validation_lead", _lead(words), lower_is_better=lower),
        "tuning": _low("tuning time", "tuning_seconds", duration),
        "delta": Column("Δ supervised", "delta", _delta("delta", words), lower_is_better=lower),
        "delta_kd": Column("Δ kd", "delta_kd", _delta("delta_kd", words), lower_is_better=lower),
        "networks": Column(
            f"Δ these trained networks (test {words.units})",
            f"delta_{words.units}_low",
            _networks(words),
            lower_is_better=lower,
        ),
        "gap": Column("gap closed %", "gap_closed", _gap),
        "effect": Column(
            "effect size", "effect_size", _cell("effect_size", lambda v: _rounded(v, "z.2f")), lower_is_better=lower
        ),
        "teacher": Column(
            f"teacher{words.percent_sign}",
            teacher_column(task),
            _cell(teacher_column(task), words.value),
            lower_is_better=lower,
        ),
        "agreement": _high("agreement %", "agreement", percent),
        "kl": _low("KL to teacher", "kl", decimals),
        "nll": _low("NLL", "nll", decimals),
        "ece": _low("ECE %", "ece", percent),
        "top5": _high("top-5 %", "top5", percent),
        "f1": _high("macro F1 %", "macro_f1", percent),
        "parameters": _low("parameters", "parameters", quantity),
        "macs": _low("MACs", "macs", quantity),
        "size": _low("size MB", "size_mb", size),
        "compression": _high("compression", "compression", times),
        "latency": Column("latency ms", "latency_ms", _latency, lower_is_better=True),
        "test_set": Column("test set s", "test_set_seconds", _test_set, lower_is_better=True),
        "speedup": Column(
            "speed-up", "speedup", lambda line: _cell("speedup", times)(line) + _brackets(line, "speedup", times)
        ),
        "efficiency": _high("efficiency", "efficiency", lambda v: f"{v:.3g}"),
        "time": _low("time", "wall_seconds", duration),
        "step": _low("step time", "step_ratio", lambda v: f"{v:.2f}×"),
        "extra": _low("extra parameters", "method_parameters", quantity),
        "note": _text("note", "error", _note),
    }


def _metrics(words: Wording) -> dict[str, Column]:
    task = words.task
    found = {
        task.primary: Column(
            f"test {words.metric}{words.percent_sign}",
            metric_column(task),
            _primary(words),
            lower_is_better=not task.metrics[task.primary].higher_is_better,
        )
    }
    for name, info in task.metrics.items():
        key = metric_column(task, "test", name)
        show = lambda v, percentage=info.percent: metric_text(v, percentage=percentage)  # noqa: E731
        heading = f"test {info.label}{' %' if info.percent else ''}"
        found.setdefault(name, Column(heading, key, _cell(key, show), lower_is_better=not info.higher_is_better))
    return found


def default_columns(task: TaskInfo) -> tuple[str, ...]:
    """Return the default columns of a leaderboard.

    The suite or ``--columns`` may choose others. Columns without a number are left out.
    """
    return (
        *("place", "method", "family", task.primary, *(name for name in task.metrics if name != task.primary)),
        *("default", "tuned", "lead", "delta", "gap"),
        *(
            "teacher",
            "agreement",
            "parameters",
            "macs",
            "size",
            "compression",
            "latency",
            "speedup",
            "efficiency",
            "time",
            "tuning",
            "note",
        ),
    )


def terminal_columns(task: TaskInfo) -> tuple[str, ...]:
    """Return the columns that fit on a screen."""
    return ("place", "method", task.primary, "default", "delta", "teacher", "parameters", "latency", "time", "note")


def check_columns(
    names: Sequence[str], where: str = "", location: Location | None = None, known: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Check names of columns, and return each once.

    Args:
        names: names of columns.
        where: the option or key that names them, for the error: ``in --columns: ``.
        location: location in a file.
        known: names of the task's columns; by default, those of image classification.

    Raises:
        KdbenchError: a name is unknown.
    """
    known = tuple(columns_of(TaskInfo()) if known is None else known)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"; known are {', '.join(known)}"
            raise KdbenchError(f'{where}unknown column "{name}"{hint}', location)
    return tuple(dict.fromkeys(names))


def check_report(spec: ReportSpec, location: Callable[..., Location], task: TaskInfo | None = None) -> None:
    """Check a suite's settings for its report.

    Args:
        spec: ``report:`` of the suite.
        location: gives the location of a path of keys in the suite's file.
        task: the suite's task; image classification by default.

    Raises:
        KdbenchError: a column is unknown.
    """
    known = columns_of(task or TaskInfo())
    for i, name in enumerate(spec.columns):
        check_columns([name], location=location("report", "columns", i), known=known)
    check_columns([spec.sort.removeprefix("-")], location=location("report", "sort"), known=known)
