"""Similarity-preserving distillation.

    L = CE(z_s, y) + γ·‖G_s − G_t‖²_F / N²,   G = rows of (F·Fᵀ), each of length 1

Tung, Mori 2019, "Similarity-Preserving Knowledge Distillation", ICCV, arXiv:1907.09682, eq. 2–4; γ = 3000 as
in the paper and RepDistiller.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from kdbench import Method, Needs, NonNegativeFloat, Search, Step, full_precision


@full_precision
def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of a batch's row-normalized similarities.

    Features are N×…, of any shapes.
    """
    return F.mse_loss(_similarity(student), _similarity(teacher))


def _similarity(features: Tensor) -> Tensor:
    flat = features.flatten(1)
    return F.normalize(flat @ flat.t(), dim=1)


class SP(Method):
    """Similarity-preserving distillation (Tung and Mori 2019, arXiv:1907.09682)."""

    name = "sp"
    family = "relation"
    needs = Needs(teachers=1, teacher_logits=False, teacher_features=(-1,), student_features=(-1,))

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            gamma: weight (paper: 3000).
        """

        gamma: Annotated[NonNegativeFloat, Search.log(10, 10000)] = 3000.0

    params: Params

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss and similarity loss."""
        loss = similarity_loss(step.student.features[-1], step.teacher.features[-1])
        return {"ce": F.cross_entropy(step.student.logits, step.targets), "sp": self.params.gamma * loss}
