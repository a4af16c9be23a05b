"""Metrics: what a network's predictions are judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from kdbench.plan.trial import MetricInfo


@dataclass(frozen=True)
class Metric:
    """A number that judges predictions.

    Args:
        label: what reports call it.
        function: the metric of logits M×C (float32, on the CPU) and targets M (int64).
        per_unit: values M, of logits and targets on any device, whose mean over an epoch is the metric of the training batches;
            ``None`` for a metric that is no such mean, which training then goes without.
        higher_is_better: whether a higher value is a better one.
        percent: whether it is a share in [0, 1], shown as a percentage.
    """

    label: str
    function: Callable[[Tensor, Tensor], float]
    per_unit: Callable[[Tensor, Tensor], Tensor] | None = None
    higher_is_better: bool = True
    percent: bool = True

    def info(self) -> MetricInfo:
        """What reports must know of it."""
        return MetricInfo(label=self.label, higher_is_better=self.higher_is_better, percent=self.percent)


def correct(logits: Tensor, targets: Tensor) -> Tensor:
    """Which units got their class the highest logit: bool, M."""
    return logits.argmax(1) == targets


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """Share of units that got their class the highest logit, in [0, 1]."""
    return float(correct(logits, targets).double().mean())


ACCURACY = Metric("accuracy", accuracy, correct)
