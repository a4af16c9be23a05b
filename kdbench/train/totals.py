"""Loss terms and metrics of training batches, summed over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kdbench.tasks.metrics import Metric


@dataclass
class Totals:
    """Running sums of an epoch, kept on the device so that nothing waits for it.

    Args:
        metrics: the task's metrics; those that are not means over units are ignored.
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    units: int = 0
    sums: dict[str, Tensor | float] = field(default_factory=dict)
    terms: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0

    def add(self, terms: Mapping[str, Tensor], logits: Tensor, targets: Tensor) -> None:
        """Add the terms and metrics of one step."""
        self.steps += 1
        self.units += len(targets)
        for name, metric in self.metrics.items():
            if metric.per_unit is not None:
                self.sums[name] = self.sums.get(name, 0.0) + metric.per_unit(logits.detach(), targets).sum()
        for name, value in terms.items():
            self.terms[name] = self.terms.get(name, torch.zeros_like(value)) + value.detach()

    def means(self) -> dict[str, float]:
        """Return epoch means of ``train_<metric>``, ``loss`` and each ``loss/<term>``."""
        terms = {f"loss/{name}": float(value) / self.steps for name, value in self.terms.items()}
        metrics = {f"train_{name}": float(total) / self.units for name, total in self.sums.items()}
        return {**metrics, "loss": sum(terms.values()), **terms}
