"""What stands behind a leaderboard's rows: every epoch, and every class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from kdbench.analysis.frame import SuiteFrame, grid_choice
from kdbench.measure.accuracy import per_class
from kdbench.report.text import decimals, escape, percent

CURVES = ("loss", "train_accuracy", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy")
CLASS_SCORES = ("precision", "recall", "f1", "support")
MOST_CLASSES = 20
"""Pages list the classes of no more than this; the CSV file has all."""


def epochs_table(frame: SuiteFrame) -> pd.DataFrame:
    """A row for each pair, data, role, label and epoch: losses (nats), accuracies (shares), means over ``seeds``, ``train_seconds``.

    Of a grid, the chosen point.
    """
    found: list[dict[str, Any]] = []
    for key, group in _rows(frame):
        histories = [frame.evidence.histories[t] for t in group["trial"] if t in frame.evidence.histories]
        together = pd.concat([h for h in histories if len(h)] or [pd.DataFrame({"epoch": []})])
        for epoch, part in together.groupby("epoch"):
            means = part[[c for c in (*CURVES, "train_seconds") if c in part]].mean()
            found.append({**key, "epoch": int(float(str(epoch))), "seeds": len(part), **means})
    return pd.DataFrame(found)


def classes_table(frame: SuiteFrame) -> pd.DataFrame:
    """A row for each pair, data, role, label and class: ``precision``, ``recall``, ``f1`` (means over ``seeds``) and ``support``.

    Of a grid, the chosen point. The class "macro average" stands for the plain mean of all classes.
    """
    found: list[dict[str, Any]] = []
    for key, group in _rows(frame):
        known = [t for t in group["trial"] if t in frame.evidence.classes]
        if not known:
            continue
        fingerprint = str(group["fingerprint"].iloc[0])
        names = [str(n) for n in frame.records[known[0]].data.get("classes", ())]
        targets = frame.evidence.targets[fingerprint]
        scores = [per_class(targets, frame.evidence.classes[t], len(names)) for t in known]
        means = {name: np.mean([s[name] for s in scores], axis=0) for name in CLASS_SCORES}
        for i, name in enumerate(names):
            found.append({**key, "class": name, "seeds": len(known), **{k: v[i] for k, v in means.items()}})
        average = {k: v.sum() if k == "support" else v.mean() for k, v in means.items()}
        found.append({**key, "class": "macro average", "seeds": len(known), **average})
    table = pd.DataFrame(found)
    return table.astype({"support": int}) if len(table) else table


def epochs_markdown(frame: SuiteFrame) -> str:
    """Tables of all epochs, one a row of the leaderboard."""
    parts = [
        f"# {escape(frame.plan.title or frame.plan.suite)}: every epoch",
        "Means over seeds; losses in nats, accuracies in percent.",
    ]
    headers = ["epoch", "loss", "train %", "validation loss", "validation %", "test loss", "test %"]
    for name, group in _sections(epochs_table(frame)):
        lines = [[str(row["epoch"]), *(_cell(row, c) for c in CURVES)] for row in group.to_dict("records")]
        parts += [f"## {name}", _table(lines, headers)]
    return "\n\n".join(parts) + "\n"


def classes_markdown(frame: SuiteFrame) -> str:
    """Tables of all classes, one a row of the leaderboard; "" where there are too many classes for a page."""
    table = classes_table(frame)
    if table.empty or table["class"].nunique() > MOST_CLASSES + 1:
        return ""
    parts = [f"# {escape(frame.plan.title or frame.plan.suite)}: every class", "On the test set, means over seeds."]
    for name, group in _sections(table):
        lines = [
            [escape(row["class"]), *(f"{row[c]:.4f}" for c in CLASS_SCORES[:-1]), f"{row['support']:,}"]
            for row in group.to_dict("records")
        ]
        parts += [f"## {name}", _table(lines, ["class", *CLASS_SCORES])]
    return "\n\n".join(parts) + "\n"


def _rows(frame: SuiteFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    keys = ["pair", "fingerprint", "role", "label"]
    for values, group in grid_choice(frame).groupby(keys, sort=False):
        yield dict(zip(keys, map(str, values), strict=True)), group.drop_duplicates("trial")


def _sections(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if table.empty:
        return
    pairs, data = table["pair"].nunique() > 1, table["fingerprint"].nunique() > 1
    for (pair, fingerprint, role, label), group in table.groupby(["pair", "fingerprint", "role", "label"], sort=False):
        name = escape(str(label)) + ("" if role == "student" else f" ({role})")
        yield name + (f" · {escape(str(pair))}" if pairs else "") + (f" · data {fingerprint}" if data else ""), group


def _cell(row: dict[Any, Any], name: str) -> str:
    value = row.get(name, float("nan"))
    return percent(value) if name.endswith("accuracy") else decimals(value)


def _table(lines: list[list[str]], headers: list[str]) -> str:
    aligned = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True, colalign=aligned if lines else None)
