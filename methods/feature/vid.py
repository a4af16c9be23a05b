"""Variational information distillation.

    L = CE(z_s, y) + λ·Σ_k mean ½·[(f_t − μ_k(f_s))² / σ_k² + log σ_k²],   σ_k² = softplus(a_k) + ε

Ahn, Hu, Damianou, Lawrence, Dai 2019, "Variational Information Distillation for Knowledge Transfer", CVPR,
arXiv:1904.05835, eq. 5–6; there is one σ_k per channel. The regressor μ and the constants are RepDistiller's:
three 1×1 convolutions with ReLU, σ² = 5 at first, ε = 1e-5, λ = 1. As there, the larger grid is
average-pooled to the smaller before the regressor sees it.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from kdbench_methods.feature.geometry import check_maps, same_grid
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench import BuildContext, Method, Needs, NonNegativeFloat, Search, Step, full_precision

INITIAL_VARIANCE = 5.0
EPSILON = 1e-5


@full_precision
def vid_loss(mean: Tensor, scale: Tensor, teacher: Tensor) -> Tensor:
    """Negative log-likelihood of the teacher's features, without constants, mean.

    Args:
        mean: predicted mean, N×C×H×W.
        scale: the channels' parameter before softplus, C.
        teacher: features, N×C×H×W.
    """
    variance = (F.softplus(scale) + EPSILON).view(1, -1, 1, 1)
    return 0.5 * ((mean - teacher).square() / variance + variance.log()).mean()


class Regressor(nn.Module):
    """Predicts mean and variance of the teacher's features from the student's."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
        )
        self.scale = nn.Parameter(torch.full((outputs,), math.log(math.expm1(INITIAL_VARIANCE - EPSILON))))

    def forward(self, student: Tensor) -> tuple[Tensor, Tensor]:
        """Mean N×C×H×W, and the variances' parameter C."""
        return self.mean(student), self.scale


class VID(Method):
    """Variational information distillation (Ahn et al. 2019, arXiv:1904.05835).

    The weight is 1, as in RepDistiller.
    """

    name = "vid"
    family = "feature"
    needs = Needs(teachers=1, teacher_logits=False, teacher_features=(-3, -2, -1), student_features=(-3, -2, -1))

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            weight: λ (RepDistiller: 1).
        """

        weight: Annotated[NonNegativeFloat, Search.log(0.01, 10)] = 1.0

    params: Params

    def build(self, context: BuildContext) -> None:
        """Create a regressor for each common stage, counted from the last."""
        both = list(zip(reversed(context.student.features), reversed(context.teachers[0].features), strict=False))
        check_maps(self.name, *(shape for shapes in both for shape in shapes))
        self.regressors = nn.ModuleList(Regressor(student[0], teacher[0]) for student, teacher in both)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss and the sum over stages."""
        stages = zip(self.regressors, reversed(step.student.features), reversed(step.teacher.features), strict=False)
        terms = []
        for regressor, of_student, of_teacher in stages:
            student, teacher = same_grid(of_student, of_teacher)
            mean, scale = regressor(student)
            terms.append(vid_loss(mean, scale, teacher))
        return {"ce": F.cross_entropy(step.student.logits, step.targets), "vid": self.params.weight * torch.stack(terms).sum()}
