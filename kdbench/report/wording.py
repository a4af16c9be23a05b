"""Words and number formats of a task's metric and units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdbench.analysis.task import ACCURACY, is_percent, plural, units
from kdbench.errors import flat
from kdbench.plan.trial import TaskInfo
from kdbench.report.text import percent, points, signed

if TYPE_CHECKING:
    from kdbench.analysis.boards import Reason


@dataclass(frozen=True)
class Wording:
    """Words and numbers of a task.

    Args:
        task: the task that the networks learn.
    """

    task: TaskInfo

    @property
    def metric(self) -> str:
        """The primary metric: ``accuracy``."""
        return self.task.metrics[self.task.primary].label

    @property
    def metric_title(self) -> str:
        """The primary metric at the beginning of a heading: ``Accuracy``."""
        return self.metric[:1].upper() + self.metric[1:]

    @property
    def unit(self) -> str:
        """Name of the thing that is classified: ``image``."""
        return self.task.unit

    @property
    def units(self) -> str:
        """Its plural: ``images``."""
        return units(self.task)

    @property
    def share_right(self) -> str:
        """Name of the share of right predictions: the task's name for it, if any."""
        info = self.task.metrics.get(ACCURACY)
        return "share that is right" if info is None else info.label

    @property
    def percent_sign(self) -> str:
        """Suffix of numbers and headings: `` %``, or nothing."""
        return " %" if is_percent(self.task) else ""

    @property
    def axis_unit(self) -> str:
        """Suffix of an axis's name: ``, %``, or nothing."""
        return ", %" if is_percent(self.task) else ""

    @property
    def difference_unit(self) -> str:
        """Suffix of a difference's name: ``, percentage points``, or nothing."""
        return ", percentage points" if is_percent(self.task) else ""

    @property
    def points(self) -> str:
        """Suffix of a difference in a sentence: `` points``, or nothing."""
        return " points" if is_percent(self.task) else ""

    @property
    def scale(self) -> int:
        """Factor that figures multiply the metric by."""
        return 100 if is_percent(self.task) else 1

    def value(self, value: float) -> str:
        """Format a value of the primary metric."""
        return metric_text(value, percentage=is_percent(self.task))

    def difference(self, value: float) -> str:
        """Format a difference of the primary metric, with its sign."""
        return points(value) if is_percent(self.task) else signed(value)

    def plain(self, value: float) -> str:
        """Format a length on the metric's scale: a deviation, or half of an interval."""
        if is_percent(self.task):
            return percent(value)
        return "–" if math.isnan(value) else f"{value:#.3g}".rstrip(".")

    def reason(self, reason: Reason) -> str:
        """Return the reason why a network is shown in detail."""
        return {"teacher": "teacher", "alone": "student alone", "best": f"best by validation {self.metric}"}[reason]


def row_name(label: str, role: str) -> str:
    """Return the name of a row on one line, with its role unless it is a student.

    The label of an earlier generation says so itself.
    """
    return flat(label) + (f" ({role})" if role in ("teacher", "assistant") else "")


def metric_text(value: float, *, percentage: bool) -> str:
    """Format a metric: a percentage with two decimals, or a number with four digits."""
    if percentage:
        return percent(value)
    return "–" if math.isnan(value) else f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def metrics_in_percent(task: TaskInfo) -> str:
    """Name the metrics shown in percent: ``accuracies in percent``; "" for none."""
    found = [plural(info.label) for info in task.metrics.values() if info.percent]
    return f"{' and '.join(found)} in percent" if found else ""
