"""Relational knowledge distillation.

    L = CE(z_s, y) + λ_d·Σ huber(d_s(i, j) − d_t(i, j)) + λ_a·Σ huber(cos∠_s(i, j, k) − cos∠_t(i, j, k))

with d the distance of embeddings over its mean in the batch. Park, Kim, Lu, Cho 2019, "Relational Knowledge
Distillation", CVPR, arXiv:1904.05068, eq. 4–9. Weights are those of the paper and RepDistiller: λ_d = 25, λ_a
= 50; means are taken as there.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench import Method, Needs, NonNegativeFloat, Search, Step, full_precision

EPSILON = 1e-12


def distances(embedding: Tensor) -> Tensor:
    """Euclidean distances of rows of N×D, divided by their mean, N×N.

    The diagonal is 0 and has no gradient.
    """
    difference = embedding.unsqueeze(0) - embedding.unsqueeze(1)
    squares = difference.square().sum(dim=2).clamp(min=EPSILON)
    off = ~torch.eye(len(embedding), dtype=torch.bool, device=embedding.device)
    found = torch.where(off, squares.sqrt(), torch.zeros_like(squares))
    return found / found[off].mean()


def angles(embedding: Tensor) -> Tensor:
    """Cosines of the angles at each row i between all rows j and k of N×D, N×N×N."""
    difference = F.normalize(embedding.unsqueeze(0) - embedding.unsqueeze(1), dim=2)
    return torch.bmm(difference, difference.transpose(1, 2))


@full_precision
def rkd_losses(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Distance-wise and angle-wise loss of embeddings N×D (their D may differ)."""
    student, teacher = student.flatten(1), teacher.flatten(1)
    distance = F.smooth_l1_loss(distances(student), distances(teacher))
    angle = F.smooth_l1_loss(angles(student), angles(teacher))
    return distance, angle


class RKD(Method):
    """Relational knowledge distillation (Park et al. 2019, arXiv:1904.05068)."""

    name = "rkd"
    family = "relation"
    needs = Needs(teachers=1, teacher_logits=False, teacher_embedding=True, student_embedding=True)

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            distance: weight of the distance-wise loss (paper: 25).
            angle: weight of the angle-wise loss (paper: 50).
        """

        distance: Annotated[NonNegativeFloat, Search.log(1, 100)] = 25.0
        angle: Annotated[NonNegativeFloat, Search.log(1, 200)] = 50.0

    params: Params

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss and both relations, weighted."""
        distance, angle = rkd_losses(step.student.embedding, step.teacher.embedding)
        return {
            "ce": F.cross_entropy(step.student.logits, step.targets),
            "distance": self.params.distance * distance,
            "angle": self.params.angle * angle,
        }
