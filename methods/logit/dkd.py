"""Decoupled knowledge distillation.

With p_y the probability of the label's class, b = (p_y, 1 − p_y), and p̂ the distribution over the other
classes alone:

    L = CE(z_s, y) + w·T²·[α·KL(b_t ‖ b_s) + β·KL(p̂_t ‖ p̂_s)],   all at temperature T

Zhao, Cui, Song, Qiu, Liang 2022, "Decoupled Knowledge Distillation", CVPR, arXiv:2203.08679, eq. 7; the
warm-up w = min(epoch / warm-up, 1) is in the reference implementation (mdistiller).
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench import Method, Needs, NonNegativeFloat, PositiveFloat, Search, Step, UnitInterval, full_precision


@full_precision
def dkd_losses(student: Tensor, teacher: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Target-class and non-target-class divergence, each times T², mean over samples.

    Args:
        student: logits, N×C.
        teacher: logits, N×C.
        targets: classes, N.
        temperature: T.
    """
    label = F.one_hot(targets, student.shape[1]).bool()
    log_student, log_teacher = F.log_softmax(student / temperature, dim=1), F.log_softmax(teacher / temperature, dim=1)
    target = _kl(_binary(log_student, label), _binary(log_teacher, label))
    others = _kl(_without(student / temperature, label), _without(teacher / temperature, label))
    return target * temperature**2, others * temperature**2


def _binary(log_probabilities: Tensor, label: Tensor) -> Tensor:
    """Log probabilities of the label's class and of all other classes together, N×2."""
    own = log_probabilities[label].unsqueeze(1)
    rest = log_probabilities[~label].view(len(label), -1).logsumexp(dim=1, keepdim=True)
    return torch.cat([own, rest], dim=1)


def _without(logits: Tensor, label: Tensor) -> Tensor:
    """Log probabilities over the classes other than the label's, N×(C − 1)."""
    return F.log_softmax(logits[~label].view(len(label), -1), dim=1)


def _kl(student: Tensor, teacher: Tensor) -> Tensor:
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)


class DKD(Method):
    """Decoupled knowledge distillation (Zhao et al. 2022, arXiv:2203.08679).

    Defaults are mdistiller's for CIFAR-100: α = 1, β = 8, T = 4, and a warm-up over 20 of 240 epochs, given
    here as a share of the training, so that short trainings have a warm-up too.
    """

    name = "dkd"
    family = "logit"
    needs = Needs(teachers=1)

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            alpha: weight of the target-class divergence.
            beta: weight of the non-target-class divergence.
            temperature: T.
            warmup: share of the training over which the weight of the divergences grows linearly.
        """

        alpha: Annotated[NonNegativeFloat, Search.log(0.1, 10)] = 1.0
        beta: Annotated[NonNegativeFloat, Search.log(0.5, 20)] = 8.0
        temperature: Annotated[PositiveFloat, Search.log(1, 10)] = 4.0
        warmup: UnitInterval = 20 / 240

    params: Params

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss and both divergences, weighted."""
        p = self.params
        target, others = dkd_losses(step.student.logits, step.teacher.logits, step.targets, p.temperature)
        weight = min(step.progress / p.warmup, 1.0) if p.warmup else 1.0
        return {
            "ce": F.cross_entropy(step.student.logits, step.targets),
            "target": weight * p.alpha * target,
            "others": weight * p.beta * others,
        }
