"""Hints: a regressor of the student's features learns the teacher's.

    L = CE(z_s, y) + β·mean (r(f_s) − f_t)²

Romero, Ballas, Kahou, Chassang, Gatta, Bengio 2015, "FitNets: Hints for Thin Deep Nets", ICLR,
arXiv:1412.6550, eq. 3. The paper trains the hint in a stage of its own before distillation; this follows
RepDistiller, whose numbers the field compares: one stage, β = 100.
"""

from __future__ import annotations

from typing import Annotated

from kdbench_methods.feature.geometry import check_maps, same_grid
from pydantic import NegativeInt
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench import BuildContext, Method, MethodError, Needs, NonNegativeFloat, Search, Step, full_precision


@full_precision
def hint_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of maps N×C×H×W.

    The larger grid is average-pooled to the smaller.
    """
    student, teacher = same_grid(student, teacher)
    return F.mse_loss(student, teacher)


class FitNets(Method):
    """Hints on the student's features (Romero et al. 2015, arXiv:1412.6550).

    The regressor is a 1×1 convolution with batch norm and ReLU, as RepDistiller's for equal grids; where
    grids differ the larger is average-pooled (RepDistiller uses strided or transposed convolutions).
    """

    name = "fitnets"
    family = "feature"

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            beta: weight of the hint (RepDistiller: 100).
            stage: stage of the hint, counted from the last (−2: the last but one, the middle of
                RepDistiller's networks).
        """

        beta: Annotated[NonNegativeFloat, Search.log(1, 300)] = 100.0
        stage: NegativeInt = -2

    params: Params

    @property
    def needs(self) -> Needs:
        """One stage of each."""
        stage = (self.params.stage,)
        return Needs(teachers=1, teacher_logits=False, teacher_features=stage, student_features=stage)

    def build(self, context: BuildContext) -> None:
        """Create the regressor."""
        if not context.student.features or not context.teachers[0].features:
            raise MethodError(
                f'method "{self.name}" reads stage {self.params.stage}, but a network of this pair has fewer; set params.stage to -1'
            )
        student, teacher = context.student.features[-1], context.teachers[0].features[-1]
        check_maps(self.name, student, teacher)
        self.regressor = nn.Sequential(nn.Conv2d(student[0], teacher[0], 1), nn.BatchNorm2d(teacher[0]), nn.ReLU())

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss and hint."""
        hint = hint_loss(self.regressor(step.student.features[-1]), step.teacher.features[-1])
        return {"ce": F.cross_entropy(step.student.logits, step.targets), "hint": self.params.beta * hint}
