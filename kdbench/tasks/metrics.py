"""Metrics of a network's predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from kdbench.plan.trial import MetricInfo


@dataclass(frozen=True)
class Metric:
    """A number that scores predictions.

    Args:
        label: its name in reports.
        function: computes the metric from logits M×C (float32, on the CPU) and targets M (int64).
        per_unit: computes values M, from logits and targets on any device, whose mean over an epoch is the
            metric of the training batches; ``None`` for a metric that is not such a mean, which training then
            does not report.
        higher_is_better: whether a higher value is better.
        percent: whether it is a share in [0, 1], shown as a percentage.
    """

    label: str
    function: Callable[[Tensor, Tensor], float]
    per_unit: Callable[[Tensor, Tensor], Tensor] | None = None
    higher_is_better: bool = True
    percent: bool = True

    def info(self) -> MetricInfo:
        """Return what reports must know about it."""
        return MetricInfo(label=self.label, higher_is_better=self.higher_is_better, percent=self.percent)


def correct(logits: Tensor, targets: Tensor) -> Tensor:
    """Return which units are predicted correctly: bool, M."""
    return logits.argmax(1) == targets


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """Compute the share of units that are predicted correctly, in [0, 1]."""
    return float(correct(logits, targets).double().mean())


ACCURACY = Metric("accuracy", accuracy, correct)
