"""What tables call the metrics and the units of a task, and which way is up."""

from __future__ import annotations

from kdbench.plan.trial import TaskInfo

SPLITS = ("train", "validation", "test")
ACCURACY = "accuracy"
"""The one metric known by name: the share of units that are classified right."""


def metric_column(task: TaskInfo, split: str = "test", metric: str | None = None) -> str:
    """The column of a metric (default: the primary) on a split: ``test_accuracy``."""
    return f"{split}_{metric or task.primary}"


def metric_columns(task: TaskInfo) -> tuple[str, ...]:
    """The columns of all metrics of the task, on every split."""
    return tuple(metric_column(task, split, metric) for metric in task.metrics for split in SPLITS)


def teacher_column(task: TaskInfo) -> str:
    """The column of the teachers' primary metric: ``teacher_accuracy``."""
    return f"teacher_{task.primary}"


def direction(task: TaskInfo) -> int:
    """1 where a higher primary metric is better, −1 where a lower one is."""
    return 1 if task.metrics[task.primary].higher_is_better else -1


def is_percent(task: TaskInfo) -> bool:
    """Whether the primary metric is a share in [0, 1] that is shown as a percentage."""
    return task.metrics[task.primary].percent


def counts_correct(task: TaskInfo) -> bool:
    """Whether the primary metric is the share of units that are right.

    Only then does it have a binomial interval, and only then can two networks be compared unit by unit.
    """
    return task.primary == ACCURACY


def plural(noun: str) -> str:
    """The plural of a regular English noun: image → images, query → queries."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def units(task: TaskInfo) -> str:
    """What predictions are about, in the plural: ``images``."""
    return plural(task.unit)
