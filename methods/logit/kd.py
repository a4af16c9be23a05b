"""Softened-logit distillation.

    L = (1 − α)·CE(z_s, y) + α·T²·KL(softmax(z_t / T) ‖ softmax(z_s / T))

Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", arXiv:1503.02531, section 2.
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from kdbench import Method, Needs, PositiveFloat, Search, Step, UnitInterval, full_precision


@full_precision
def kd_loss(student: Tensor, teacher: Tensor, temperature: float, scale_by_t2: bool = True) -> Tensor:
    """Kullback-Leibler divergence of softened class probabilities, mean over samples.

    Args:
        student: logits, N×C.
        teacher: logits, N×C.
        temperature: T.
        scale_by_t2: multiply by T², so that gradients keep their size when T changes (Hinton et al., end of
            section 2).
    """
    divergence = F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2 if scale_by_t2 else divergence


class KD(Method):
    """Softened-logit distillation (Hinton, Vinyals, Dean 2015, arXiv:1503.02531).

    Defaults are those of RepDistiller's published commands: T = 4, 0.9 of the soft and 0.1 of the hard loss.
    """

    name = "kd"
    family = "logit"
    needs = Needs(teachers=1)

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            temperature: T.
            alpha: weight of the soft loss; the hard loss has 1 − alpha.
            scale_by_t2: whether the soft loss is multiplied by T²; tutorials often leave it out.
        """

        temperature: Annotated[PositiveFloat, Search.log(1, 20)] = 4.0
        alpha: Annotated[UnitInterval, Search.linear(0.1, 1)] = 0.9
        scale_by_t2: bool = True

    params: Params

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard and soft loss, weighted."""
        p = self.params
        soft = kd_loss(step.student.logits, step.teacher.logits, p.temperature, p.scale_by_t2)
        return {"ce": (1 - p.alpha) * F.cross_entropy(step.student.logits, step.targets), "kd": p.alpha * soft}
