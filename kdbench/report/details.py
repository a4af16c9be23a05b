"""Pages with tables of epochs and of classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from tabulate import tabulate

from kdbench.analysis.analysis import Analysis
from kdbench.analysis.classes import AVERAGE, CLASS_SCORES
from kdbench.analysis.epochs import epoch_columns
from kdbench.analysis.task import SPLITS
from kdbench.plan.trial import TaskInfo
from kdbench.report.text import decimals, escape
from kdbench.report.wording import metric_text, metrics_in_percent, row_name

MOST_CLASSES = 20
"""Most classes for which pages list them; the CSV file always has all."""


def epochs_markdown(analysis: Analysis) -> str:
    """Return tables of all epochs, one per row of the leaderboard."""
    task = analysis.task
    shares = metrics_in_percent(task)
    parts = [
        f"# {escape(analysis.plan.title or analysis.plan.suite)}: every epoch",
        "Means over seeds; losses in nats" + (f", {shares}." if shares else "."),
    ]
    names = epoch_columns(task)
    headers = ["epoch", *(_heading(name, task) for name in names)]
    for title, group in _sections(analysis.epochs):
        lines = [[str(row["epoch"]), *(_cell(row, name, task) for name in names)] for row in group.to_dict("records")]
        parts += [f"## {title}", _table(lines, headers)]
    return "\n\n".join(parts) + "\n"


def classes_markdown(analysis: Analysis) -> str:
    """Return tables of classes, one per leaderboard row; "" for too many classes."""
    table = analysis.classes
    if table.empty or table.loc[table["class"] != AVERAGE, "class"].nunique() > MOST_CLASSES:
        return ""
    parts = [f"# {escape(analysis.plan.title or analysis.plan.suite)}: every class", "On the test set, means over seeds."]
    for title, group in _sections(table):
        lines = [
            [escape(row["class"]), *(f"{row[c]:.4f}" for c in CLASS_SCORES[:-1]), f"{row['support']:,}"]
            for row in group.to_dict("records")
        ]
        parts += [f"## {title}", _table(lines, ["class", *CLASS_SCORES])]
    return "\n\n".join(parts) + "\n"


def _sections(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if table.empty:
        return
    pairs, data = table["pair"].nunique() > 1, table["fingerprint"].nunique() > 1
    for (pair, fingerprint, role, label), group in table.groupby(["pair", "fingerprint", "role", "label"], sort=False):
        name = escape(row_name(str(label), str(role)))
        yield name + (f" · {escape(str(pair))}" if pairs else "") + (f" · data {fingerprint}" if data else ""), group


def _metric(name: str, task: TaskInfo) -> tuple[str, str] | None:
    """Return the split and the metric of a column; ``None`` for a loss."""
    split, _, metric = name.partition("_")
    return (split, metric) if split in SPLITS and metric in task.metrics else None


def _heading(name: str, task: TaskInfo) -> str:
    """Return a column's heading: ``train %``, ``train F1 %``, ``validation loss``."""
    if (found := _metric(name, task)) is None:
        return name.replace("_", " ")
    split, metric = found
    info = task.metrics[metric]
    words = split if metric == task.primary and info.percent else f"{split} {info.label}"
    return f"{words} %" if info.percent else words


def _cell(row: dict[Any, Any], name: str, task: TaskInfo) -> str:
    value = row.get(name, float("nan"))
    found = _metric(name, task)
    return decimals(value) if found is None else metric_text(value, percentage=task.metrics[found[1]].percent)


def _table(lines: list[list[str]], headers: list[str]) -> str:
    aligned = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(lines, headers=headers, tablefmt="pipe", disable_numparse=True, colalign=aligned if lines else None)
