"""Teacher-free distillation with a virtual teacher (Tf-KD_reg).

Source: Yuan et al. 2020, CVPR, arXiv:1909.11723. The virtual teacher gives probability ``a`` to the correct
class and
divides the rest evenly; it is softened and used as a soft target beside the label::

    u(k) = a                   if k is the label
           (1 − a)/(C − 1)     otherwise
    L    = (1 − α)·CE(y, p) + α·m·KL(softmax(u/τ) ‖ p)

Paper and reference code (yuanli2333/Teacher-free-Knowledge-Distillation, ``my_loss_function.py``) differ: the
paper softens the student's prediction in the second term too; the code, which made the numbers and is
followed here, softens only the virtual teacher, takes ``u`` itself for the teacher's logits, and has no τ²
factor. The code averages the divergence over N×C elements and multiplies by 100 for ResNet-18 on CIFAR-100;
over 100 classes this is ``m`` = 1 of the usual mean over samples, which is used here so that ``m`` means the
same for any number of classes.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from kdbench import Method, NonNegativeFloat, PositiveFloat, Search, Step, UnitInterval, full_precision

cross_entropy = full_precision(F.cross_entropy)


def virtual_teacher(targets: Tensor, num_classes: int, correct_prob: float, temperature: float) -> Tensor:
    """Softened probabilities of the virtual teacher, N×C, float64."""
    rest = (1.0 - correct_prob) / (num_classes - 1)
    u = torch.full((len(targets), num_classes), rest, dtype=torch.float64, device=targets.device)
    u = u.scatter(1, targets[:, None], correct_prob)
    return torch.softmax(u / temperature, dim=1)


@full_precision
def tf_kd_loss(logits: Tensor, targets: Tensor, correct_prob: float, temperature: float) -> Tensor:
    """KL(virtual teacher ‖ student), mean over samples.

    Args:
        logits: of the student, N×C.
        targets: classes, int64, N.
        correct_prob: the virtual teacher's probability ``a`` of the correct class, before softening.
        temperature: τ, of the virtual teacher only.
    """
    teacher = virtual_teacher(targets, logits.shape[1], correct_prob, temperature).to(logits.dtype)
    return F.kl_div(F.log_softmax(logits, dim=1), teacher, reduction="batchmean")


class TfKD(Method):
    """Distillation from a virtual teacher (Yuan et al. 2020, arXiv:1909.11723).

    Defaults: those of the reference code for ResNet-18 on CIFAR-100 (``base_resnet18/params.json``: α 0.1, τ
    20,
    multiplier 100 of a mean over N×100 elements). It has α 0.95, τ 40 for MobileNetV2, with multiplier 1
    (here 0.01).
    """

    name = "tf_kd"
    family = "self"

    class Params(Method.Params):
        """Hyper-parameters of Tf-KD_reg.

        Args:
            alpha: α, weight of the virtual teacher against the label.
            temperature: τ.
            correct_prob: a.
            multiplier: m.
        """

        alpha: Annotated[UnitInterval, Search.linear(0.05, 0.95)] = 0.1
        temperature: Annotated[PositiveFloat, Search.log(2, 40)] = 20.0
        correct_prob: float = Field(default=0.99, gt=0.0, lt=1.0)
        multiplier: Annotated[NonNegativeFloat, Search.log(1, 100)] = 1.0

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy with the label, and the divergence from the virtual teacher."""
        p = self.params
        logits = step.student.logits
        soft = tf_kd_loss(logits, step.targets, p.correct_prob, p.temperature)
        return {
            "ce": (1.0 - p.alpha) * cross_entropy(logits, step.targets),
            "virtual_teacher": p.alpha * p.multiplier * soft,
        }
