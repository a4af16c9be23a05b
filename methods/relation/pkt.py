"""Probabilistic knowledge transfer.

    L = CE(z_s, y) + λ·mean_ij p_t(j|i)·log(p_t(j|i) / p_s(j|i)),   p(j|i) ∝ (1 + cos(f_i, f_j)) / 2

Passalis, Tefas 2018, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV,
arXiv:1803.10837, eq. 3–6; λ = 30000, the mean over all pairs and ε = 1e-7 as in the authors' code and
RepDistiller.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from kdbench import Method, Needs, NonNegativeFloat, Search, Step, full_precision

EPSILON = 1e-7


@full_precision
def pkt_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of conditional probabilities of embeddings N×D, mean over all pairs."""
    p_student, p_teacher = _conditional(student), _conditional(teacher)
    return (p_teacher * ((p_teacher + EPSILON) / (p_student + EPSILON)).log()).mean()


def _conditional(embedding: Tensor) -> Tensor:
    unit = F.normalize(embedding.flatten(1), dim=1, eps=EPSILON)
    kernel = (unit @ unit.t() + 1) / 2
    return kernel / kernel.sum(dim=1, keepdim=True)


class PKT(Method):
    """Probabilistic knowledge transfer (Passalis and Tefas 2018, arXiv:1803.10837)."""

    name = "pkt"
    family = "relation"
    needs = Needs(teachers=1, teacher_logits=False, teacher_embedding=True, student_embedding=True)

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            weight: λ (RepDistiller: 30000).
        """

        weight: Annotated[NonNegativeFloat, Search.log(100, 100000)] = 30000.0

    params: Params

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss and divergence."""
        loss = pkt_loss(step.student.embedding, step.teacher.embedding)
        return {"ce": F.cross_entropy(step.student.logits, step.targets), "pkt": self.params.weight * loss}
