"""Attention transfer.

    L = CE(z_s, y) + β·Σ_k mean (q(f_s) − q(f_t))²,   q(f) = vec(mean_c f_c²) / ‖·‖₂

Zagoruyko, Komodakis 2017, "Paying More Attention to Attention", ICLR, arXiv:1612.03928, eq. 2. The paper
halves the norm of the difference; its code, and RepDistiller's with β = 1000, take the mean of the squared
difference, as here. Where the grids differ, the features of the larger one are average-pooled before they are
squared, as in RepDistiller (``distiller_zoo/AT.py``) and mdistiller.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench import BuildContext, Method, MethodError, Needs, NonNegativeFloat, Search, Step, full_precision


def attention(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Attention maps of features N×C×H×W on a grid, as unit vectors N×(H·W).

    A map is the mean of squares over channels, of features that are average-pooled to the grid first.
    """
    if features.shape[2:] != grid:
        features = F.adaptive_avg_pool2d(features, grid)
    return F.normalize(features.square().mean(dim=1).flatten(1), dim=1)


@full_precision
def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of attention maps.

    Features on the larger grid are average-pooled to the smaller one.
    """
    grid = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return (attention(student, grid) - attention(teacher, grid)).square().mean()


class AT(Method):
    """Attention transfer (Zagoruyko and Komodakis 2017, arXiv:1612.03928).

    The weight is 1000, as in the paper and RepDistiller.
    """

    name = "at"
    family = "attention"
    needs = Needs(teachers=1, teacher_logits=False, teacher_features=(-4, -3, -2, -1), student_features=(-4, -3, -2, -1))

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            beta: weight (paper: 10³, divided by the number of values, which the mean does here).
        """

        beta: Annotated[NonNegativeFloat, Search.log(1, 1000)] = 1000.0

    params: Params

    def build(self, context: BuildContext) -> None:
        """Check that both networks return feature maps.

        Raises:
            MethodError: one of them returns tokens.
        """
        for shape in (*context.student.features, *context.teachers[0].features):
            if len(shape) != 3:
                raise MethodError(
                    f'method "{self.name}" compares feature maps (C, H, W), but a network of this pair returns {shape}'
                )

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss, and the sum over common stages, counted from the last."""
        both = zip(reversed(step.student.features), reversed(step.teacher.features), strict=False)
        terms = [attention_loss(student, teacher) for student, teacher in both]
        return {"ce": F.cross_entropy(step.student.logits, step.targets), "at": self.params.beta * torch.stack(terms).sum()}
