"""Names of a task's metrics and units in tables, and the direction of its metric."""

from __future__ import annotations

from kdbench.plan.trial import TaskInfo

SPLITS = ("train", "validation", "test")
ACCURACY = "accuracy"
"""The one metric known by name: the share of units that are classified correctly."""


def metric_column(task: TaskInfo, split: str = "test", metric: str | None = None) -> str:
    """Return the column of a metric on a split; by default, of the primary metric."""
    return f"{split}_{metric or task.primary}"


def metric_columns(task: TaskInfo) -> tuple[str, ...]:
    """Return the columns of all metrics of the task, on every split."""
    return tuple(metric_column(task, split, metric) for metric in task.metrics for split in SPLITS)


def teacher_column(task: TaskInfo) -> str:
    """Return the column of the teachers' primary metric: ``teacher_accuracy``."""
    return f"teacher_{task.primary}"


def direction(task: TaskInfo) -> int:
    """Return 1 if a higher primary metric is better, −1 if a lower one is."""
    return 1 if task.metrics[task.primary].higher_is_better else -1


def is_percent(task: TaskInfo) -> bool:
    """Return whether the primary metric is a share, shown as a percentage."""
    return task.metrics[task.primary].percent


def counts_correct(task: TaskInfo) -> bool:
    """Return whether the primary metric is the share of units that are right.

    Only then does it have a binomial interval, and only then can two networks be compared unit by unit.
    """
    return task.primary == ACCURACY


def plural(noun: str) -> str:
    """Return the plural of a regular English noun: image → images, query → queries."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def units(task: TaskInfo) -> str:
    """Return the name of what is classified, in the plural: ``images``."""
    return plural(task.unit)
