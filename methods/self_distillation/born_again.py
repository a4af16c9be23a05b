"""Born-again networks (Furlanello et al. 2018, ICML, arXiv:1805.04770).

Generation k is taught by generation k−1 of the same architecture, the first by the network trained on labels
alone::

    L = w·CE(y, p_k) + KL(p_{k−1} ‖ p_k)

at temperature 1: the paper softens nothing. It trains with the teacher's outputs alone (its "BAN", w = 0) and
with the labels as well ("BAN+L", w = 1); "the dual goals of predicting the correct labels and matching the
output distribution of the teacher" are its introduction's, and the default here. No code of the authors was
found. Their ensemble of generations is not built.

The generations come from the suite: ``generations: n`` in a line of ``methods:``.
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

from kdbench import Method, Needs, NonNegativeFloat, Search, Step, full_precision

cross_entropy = full_precision(F.cross_entropy)


@full_precision
def born_again_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) at temperature 1, mean over samples.

    Args:
        student: logits, N×C.
        teacher: logits of the previous generation, N×C.
    """
    return F.kl_div(F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1), reduction="batchmean", log_target=True)


class BornAgain(Method):
    """Born-again networks (Furlanello et al. 2018, arXiv:1805.04770).

    Each generation is taught by the previous one.

    Defaults: labels and teacher with equal weight, the paper's BAN+L.
    """

    name = "born_again"
    family = "self"
    needs = Needs(teachers=1)

    class Params(Method.Params):
        """Hyper-parameters of born-again networks.

        Args:
            label_weight: w; 0 learns from the previous generation alone.
        """

        label_weight: Annotated[NonNegativeFloat, Search.linear(0, 1)] = 1.0

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy with the label, and the divergence from the previous generation."""
        logits = step.student.logits
        return {
            "ce": self.params.label_weight * cross_entropy(logits, step.targets),
            "kd": born_again_loss(logits, step.teacher.logits),
        }
