"""The student trained alone: what every method is measured against."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from kdbench import Method, Search, Step, UnitInterval


class Supervised(Method):
    """Cross-entropy with the labels, without a teacher."""

    name = "supervised"
    family = "baseline"

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            label_smoothing: share of probability spread over all classes.
        """

        label_smoothing: Annotated[UnitInterval, Search.linear(0, 0.2)] = 0.0

    params: Params

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy."""
        return {"ce": F.cross_entropy(step.student.logits, step.targets, label_smoothing=self.params.label_smoothing)}
