"""A comparison of two runs as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

from kdbench.analysis.compare import Change, Comparison, Key
from kdbench.errors import flat
from kdbench.report.cells import mark
from kdbench.report.wording import Wording, row_name


def comparison_text(comparison: Comparison, style: str = "simple") -> str:
    """Format a comparison for a terminal (``simple``) or for markdown (``pipe``)."""
    parts, words = [], Wording(comparison.task)
    if not comparison.rows.empty:
        lines = [_line(row, words) for row in comparison.rows.to_dict("records")]
        headers = ["row", f"A{words.percent_sign}", f"B{words.percent_sign}", "B − A", "time", "note"]
        aligned = ["left", "right", "right", "right", "right", "left"]
        parts.append(tabulate(lines, headers=headers, tablefmt=style, colalign=aligned, disable_numparse=True))
        parts.append(_verdict(comparison))
    parts += [
        f"only in {side}: {', '.join(map(_name, keys))}"
        for side, keys in (("A", comparison.only_a), ("B", comparison.only_b))
        if keys
    ]
    parts += [_change(change) for change in comparison.changes]
    if comparison.other_data:
        parts.append(f"{comparison.other_data} rows are of different data and are not compared")
    if not comparison.changes and not comparison.other_data:
        parts.append("data, code, libraries and machine are the same")
    return "\n".join(parts)


def regressions_text(comparison: Comparison) -> str:
    """Return a line that lists the rows that became significantly worse."""
    names = ", ".join(map(flat, comparison.regressions["label"]))
    return f"significant losses of {Wording(comparison.task).metric}: {names}"


def _verdict(comparison: Comparison) -> str:
    if comparison.rows["delta_low"].notna().any():
        return "† the simultaneous 95 % interval over all rows, in brackets, excludes 0: more than another training run does"
    if (comparison.rows["paired"] < 2).all():
        return "no verdict: one seed in common does not tell a change from another training run; run 3 seeds or more"
    return "no verdict: nothing differs, or too few runs to know what another training run does"


def _change(change: Change) -> str:
    def listed(values: Iterable[str]) -> str:
        return ", ".join(map(flat, values))

    return f"{change.name}: {listed(change.a)} → {listed(change.b)}"


def _name(key: Key) -> str:
    pair, role, label = key
    return f"{row_name(label, role)} · {flat(pair)}"


def _line(row: Mapping[Any, Any], words: Wording) -> list[str]:
    ratio = row["time_ratio"]
    name = _name((row["pair"], row["role"], row["label"]))
    time = "–" if math.isnan(ratio) else f"{ratio:.2f}×"
    return [name, words.value(row["value_a"]), words.value(row["value_b"]), _delta(row, words), time, _note(row)]


def _delta(row: Mapping[Any, Any], words: Wording) -> str:
    if math.isnan(row["delta"]):
        return "–"
    low, high = words.difference(row["delta_low"]), words.difference(row["delta_high"])
    interval = "" if math.isnan(row["delta_low"]) else f" [{low}, {high}]"
    return words.difference(row["delta"]) + interval + mark(row["significant"])


def _note(row: Mapping[Any, Any]) -> str:
    notes = [f"{row[f'failed_{side}']} failed in {side.upper()}" for side in "ab" if row[f"failed_{side}"]]
    if row["paired"] < row["seeds"]:
        notes.append(f"{row['paired'] or 'no'} of {row['seeds']} seeds in common")
    if row["source_changed"]:
        notes.append("the method's source changed")
    if row["other_trials"]:
        notes.append("other trials (recipe, parameters or teachers)")
    return "; ".join(notes)
