"""Distillation from a stronger teacher, by correlation.

    L = CE(z_s, y) + β·L_inter + γ·L_intra
    L_inter = T²·mean_i (1 − ρ(p_s[i, :], p_t[i, :])),   L_intra = T²·mean_c (1 − ρ(p_s[:, c], p_t[:, c]))

with ρ Pearson's correlation and p the softened probabilities. Huang, You, Wang, Qian, Xu 2022, "Knowledge
Distillation from A Stronger Teacher", NeurIPS, arXiv:2205.10536, eq. 6–10.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from kdbench import Method, Needs, NonNegativeFloat, PositiveFloat, Search, Step, full_precision

EPSILON = 1e-8
"""Keeps the correlation of a constant finite, as in the reference implementation."""


def pearson_distance(a: Tensor, b: Tensor) -> Tensor:
    """One minus Pearson's correlation of rows of N×D, mean over rows."""
    centred_a, centred_b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    return (1 - F.cosine_similarity(centred_a, centred_b, dim=1, eps=EPSILON)).mean()


@full_precision
def dist_losses(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Inter-class and intra-class loss of logits N×C, each times T²."""
    p_student, p_teacher = (student / temperature).softmax(dim=1), (teacher / temperature).softmax(dim=1)
    inter = pearson_distance(p_student, p_teacher)
    intra = pearson_distance(p_student.t(), p_teacher.t())
    return inter * temperature**2, intra * temperature**2


class DIST(Method):
    """Distillation by correlation (Huang et al. 2022, arXiv:2205.10536).

    Defaults are those of the paper's CIFAR-100 experiments: β = γ = 2, T = 4 (ImageNet: T = 1).
    """

    name = "dist"
    family = "logit"
    needs = Needs(teachers=1)

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            beta: weight of the inter-class loss.
            gamma: weight of the intra-class loss.
            temperature: T.
        """

        beta: Annotated[NonNegativeFloat, Search.log(0.2, 20)] = 2.0
        gamma: Annotated[NonNegativeFloat, Search.log(0.2, 20)] = 2.0
        temperature: Annotated[PositiveFloat, Search.log(1, 10)] = 4.0

    params: Params

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss and both correlation losses, weighted."""
        inter, intra = dist_losses(step.student.logits, step.teacher.logits, self.params.temperature)
        return {
            "ce": F.cross_entropy(step.student.logits, step.targets),
            "inter": self.params.beta * inter,
            "intra": self.params.gamma * intra,
        }
