"""Averaged soft targets of several teachers.

Source: You et al. 2017, KDD, doi:10.1145/3097983.3098135, output part only. The student learns the mean of
the teachers' softened probabilities::

    q = 1/K·Σ_k softmax(z_k/T)
    L = γ·CE(y, p) + α·T²·KL(q ‖ p_T)

The paper adds a constraint on intermediate layers (triplets of relative dissimilarity), which is not part of
this method. The gradient is that of the mean of the K divergences, which other implementations minimise: the
two differ by a number that the student cannot change (the mean divergence of the teachers from q).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench import Method, Needs, NonNegativeFloat, PositiveFloat, Search, Step, full_precision

cross_entropy = full_precision(F.cross_entropy)


@full_precision
def mean_teachers_loss(student: Tensor, teachers: Sequence[Tensor], temperature: float) -> Tensor:
    """T²·KL(mean of the teachers' softened probabilities ‖ student), averaged.

    Args:
        student: logits, N×C.
        teachers: logits of each teacher, N×C.
        temperature: T.
    """
    log_each = torch.stack([F.log_softmax(z / temperature, dim=1) for z in teachers])
    log_mean = torch.logsumexp(log_each, dim=0) - math.log(len(teachers))
    log_p = F.log_softmax(student / temperature, dim=1)
    return temperature**2 * F.kl_div(log_p, log_mean, reduction="batchmean", log_target=True)


class MeanTeachers(Method):
    """Averaged soft targets of two or more teachers (You et al. 2017).

    Defaults: γ 1, α 1, T 4, which the CA-MKD paper's code has for this baseline ("average":
    ``scripts/run.sh`` of Rorozhl/CA-MKD),
    on CIFAR-100; no code of the original was found.
    """

    name = "mean_teachers"
    family = "multi_teacher"
    needs = Needs(teachers=2, more_teachers=True)

    class Params(Method.Params):
        """Hyper-parameters of averaged soft targets.

        Args:
            gamma: γ, weight of the label.
            alpha: α, weight of the teachers.
            temperature: T.
        """

        gamma: Annotated[NonNegativeFloat, Search.linear(0, 1)] = 1.0
        alpha: Annotated[NonNegativeFloat, Search.log(0.1, 10)] = 1.0
        temperature: Annotated[PositiveFloat, Search.log(1, 10)] = 4.0

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy with the label, and the divergence from the teachers' mean."""
        p = self.params
        logits = step.student.logits
        soft = mean_teachers_loss(logits, [t.logits for t in step.teachers], p.temperature)
        return {"ce": p.gamma * cross_entropy(logits, step.targets), "kd": p.alpha * soft}
