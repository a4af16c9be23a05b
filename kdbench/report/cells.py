"""The text of a leaderboard's cells."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from kdbench.analysis.task import metric_column
from kdbench.errors import flat
from kdbench.report.text import times
from kdbench.report.wording import Wording, row_name

Line = Mapping[str, Any]
"""A row of :func:`kdbench.analysis.standings.standings`."""
Text = Callable[[Line], str]
NOTHING = "–"
ABOUT = "≈ "
"""Before a reading that is unstable."""


def number(value: object) -> float:
    """Return a table's value as a number; NaN for text and for missing values."""
    try:
        return math.nan if isinstance(value, str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def mark(significant: bool) -> str:
    """Return the mark of a significant difference."""
    return " †" if significant else ""


def show_point(point: str) -> str:
    """Format a grid point that is stored as JSON."""
    values: dict[str, Any] = json.loads(point)
    return ", ".join(f"{k} = {v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items())


def rounded(value: float, form: str) -> str:
    """Format a number with a minus sign instead of a hyphen."""
    return format(value, form).replace("-", "−")


def plain(name: str, text: Callable[[float], str]) -> Text:
    """Return a function that formats a cell as one number, or a dash."""

    def cell(line: Line) -> str:
        value = number(line.get(name))
        return NOTHING if math.isnan(value) else text(value)

    return cell


def name(line: Line) -> str:
    """Format the name of a row."""
    return row_name(line["label"], line["role"])


def family(line: Line) -> str:
    """Format the family of a student's method."""
    return flat(line["family"]) if line["role"] == "student" else ""


def primary(words: Wording, *, brief: bool = False) -> Text:
    """Return a function that formats the primary metric, with its spread.

    Args:
        words: words of the task.
        brief: whether to leave out the intervals of teachers and other helpers.
    """
    key = metric_column(words.task)

    def cell(line: Line) -> str:
        mean = words.value(line[key])
        if line["finished"] > 1:
            return f"{mean} ± {words.plain(line[f'{key}_sd'])}"
        return mean if brief and line["role"] != "student" else mean + _brackets(line, key, words.value)

    return cell


def place(line: Line) -> str:
    """Format the places that the data allow."""
    best, worst = number(line.get("place")), number(line.get("place_last"))
    if math.isnan(best):
        return NOTHING
    return f"{best:.0f}" if best == worst else f"{best:.0f}–{worst:.0f}"


def gap(line: Line) -> str:
    """Format the share of the teacher's lead that is closed, with its interval."""

    def text(share: float) -> str:
        return rounded(100 * share, "z.0f")

    return plain("gap_closed", text)(line) + _brackets(line, "gap_closed", text)


def networks(words: Wording) -> Text:
    """Return a function that formats the difference of the trained networks."""

    def cell(line: Line) -> str:
        low, high = (number(line.get(f"delta_{words.units}_{end}")) for end in ("low", "high"))
        if math.isnan(low):
            return NOTHING
        return f"{words.difference(line['delta'])} [{words.difference(low)}, {words.difference(high)}]"

    return cell


def default(words: Wording) -> Text:
    """Return a function that formats the primary metric with a method's own values."""
    key = f"default_{metric_column(words.task)}"

    def cell(line: Line) -> str:
        mean, deviation = number(line.get(key)), number(line.get(f"{key}_sd"))
        if math.isnan(mean):
            return NOTHING
        return words.value(mean) + ("" if math.isnan(deviation) else f" ± {words.plain(deviation)}")

    return cell


def gain(words: Wording) -> Text:
    """Return a function that formats what tuning gained, with its interval."""

    def cell(line: Line) -> str:
        if math.isnan(number(line.get("tuned_gain"))):
            return NOTHING
        return words.difference(line["tuned_gain"]) + _brackets(line, "tuned_gain", words.difference)

    return cell


def lead(words: Wording) -> Text:
    """Return a function that formats the chosen draw's lead."""

    def cell(line: Line) -> str:
        validation, test = number(line.get("validation_lead")), number(line.get("test_lead"))
        return NOTHING if math.isnan(validation) else f"{words.difference(validation)} → {words.difference(test)}"

    return cell


def delta(key: str, words: Wording) -> Text:
    """Return a function that formats a difference with its interval and mark."""

    def cell(line: Line) -> str:
        if math.isnan(line[key]):
            return NOTHING
        text = words.difference(line[key]) + _brackets(line, key, words.difference)
        return text + mark(line["significant"]) if key == "delta" else text

    return cell


def reading(key: str, text: Callable[[float], str]) -> Text:
    """Return a function that formats what was timed.

    An unstable number is shown with its spread, which is half of the interquartile range.
    """

    def cell(line: Line) -> str:
        value, spread = number(line.get(key)), number(line.get(f"{key}_iqr"))
        if math.isnan(value):
            return NOTHING
        if not is_unstable(line, key):
            return text(value)
        return ABOUT + text(value) + ("" if math.isnan(spread) else f" ± {text(spread / 2)}")

    return cell


def is_unstable(line: Line, key: str) -> bool:
    """Whether a reading's passes vary too much for its number to be exact."""
    return str(line.get(f"{key}_note", "")).startswith("unstable")


def speedup(line: Line) -> str:
    """Format a speed-up with its interval."""
    about = ABOUT if is_unstable(line, "latency_ms") else ""
    text = plain("speedup", times)(line)
    return text if text == NOTHING else about + text + _brackets(line, "speedup", times)


def efficiency(line: Line) -> str:
    """Format the efficiency, which follows from the latency."""
    text = plain("efficiency", lambda v: f"{v:.3g}")(line)
    return ABOUT + text if text != NOTHING and is_unstable(line, "latency_ms") else text


def test_set(line: Line) -> str:
    """Format the seconds for a test set, with their spread."""
    seconds, spread = number(line.get("test_set_seconds")), number(line.get("test_set_spread"))
    if math.isnan(seconds):
        return NOTHING
    about = ABOUT if is_unstable(line, "throughput") else ""
    return f"{about}{seconds:.3g}" + ("" if math.isnan(spread) else f" ± {spread:.2g}")


def note(line: Line) -> str:
    """Format what went wrong, and the grid point that was chosen."""
    notes = []
    if line["failed"]:
        notes.append(f"failed ({line['failed']} of {line['seeds']} seeds): {line['error']}")
    if line["missing"]:
        notes.append(f"{line['missing']} of {line['seeds']} seeds not run")
    if line["point"]:
        notes.append(show_point(line["point"]))
    return flat("; ".join(notes))


def _brackets(line: Line, key: str, text: Callable[[float], str]) -> str:
    low, high = number(line.get(f"{key}_low")), number(line.get(f"{key}_high"))
    return "" if math.isnan(low) or math.isnan(high) else f" [{text(low)}, {text(high)}]"
