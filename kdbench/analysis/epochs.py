"""Losses and metrics of every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kdbench.analysis.boards import Board
from kdbench.analysis.frame import SuiteFrame
from kdbench.analysis.task import metric_column
from kdbench.plan.trial import TaskInfo

LOSS = "loss"
"""Name of the one curve that is not a metric of the task."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The curves of a method's seeds.

    Args:
        label: label of the method.
        alone: whether it is the student trained alone.
        table: a row for each epoch: ``validation`` and ``test``, each as mean, min and max over seeds.
    """

    label: str
    alone: bool
    table: pd.DataFrame


def epoch_columns(task: TaskInfo) -> tuple[str, ...]:
    """Return the columns of an epoch's losses and metrics, split by split."""
    found = [LOSS, *(metric_column(task, "train", metric) for metric in task.metrics)]
    for split in ("validation", "test"):
        found += [f"{split}_{LOSS}", *(metric_column(task, split, metric) for metric in task.metrics)]
    return tuple(dict.fromkeys(found))  # a metric of the task may be the loss


def epochs_table(frame: SuiteFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each pair, data, role, label and epoch.

    The columns are losses (nats), metrics and ``train_seconds``, means over ``seeds``.

    Args:
        frame: the records.
        chosen: its rows, without grid points that were not chosen.
    """
    found: list[dict[str, Any]] = []
    for key, group in rows_by_label(chosen):
        histories = [frame.evidence.histories[t] for t in group["trial"] if t in frame.evidence.histories]
        together = pd.concat([h for h in histories if len(h)] or [pd.DataFrame({"epoch": []})])
        for epoch, part in together.groupby("epoch"):
            means = part[[c for c in (*epoch_columns(frame.task), "train_seconds") if c in part]].mean()
            found.append({**key, "epoch": int(float(str(epoch))), "seeds": len(part), **means})
    return pd.DataFrame(found)


def rows_by_label(chosen: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Yield the rows of each pair, data, role and label, each trial once."""
    keys = ["pair", "fingerprint", "role", "label"]
    for values, group in chosen.groupby(keys, sort=False):
        yield dict(zip(keys, map(str, values), strict=True)), group.drop_duplicates("trial")


def curves(board: Board, quantity: str) -> list[Curve]:
    """Return the curves of a board's students on validation and test set, best first.

    Args:
        board: a pair.
        quantity: a metric of the task, or ``LOSS``.
    """
    found = []
    names = {f"{split}_{quantity}": split for split in ("validation", "test")}
    for label, trials in board.students()[["label", "trials"]].itertuples(index=False):
        histories = [h for t in str(trials).split() if (h := board.frame.evidence.histories.get(t)) is not None and len(h)]
        parts = [h[["epoch", *(n for n in names if n in h)]].rename(columns=names) for h in histories if "epoch" in h]
        if not parts or not any(set(names.values()) & set(p.columns) for p in parts):
            continue
        joined = pd.concat(parts).set_index("epoch").astype(float)
        table = joined.groupby(level="epoch").agg(["mean", "min", "max"])
        if table.notna().to_numpy().any():
            found.append(Curve(str(label), label == board.baseline, table))
    return found
