"""Class-wise self-knowledge distillation (CS-KD).

Source: Yun et al. 2020, CVPR, arXiv:2003.13964. Each sample x is shown with another sample x' of its class;
the softened prediction for x' is the target for x::

    L = CE(y, p(x)) + λ·T²·KL(p_T(x') ‖ p_T(x))

The gradient goes through p(x) only, and only x has a cross-entropy, as in the reference code (alinlab/cs-kd,
``train.py``). Anchors and partners pass through the network one after the other, as there, so that batch norm
sees them apart.
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

from kdbench import Method, MethodError, Needs, NonNegativeFloat, PositiveFloat, Search, Step, full_precision

cross_entropy = full_precision(F.cross_entropy)


@full_precision
def cs_kd_loss(anchors: Tensor, partners: Tensor, temperature: float) -> Tensor:
    """T²·KL(partner ‖ anchor), mean over pairs; no gradient reaches the partners.

    Args:
        anchors: logits, N×C.
        partners: logits of other samples of the same classes, N×C.
        temperature: T.
    """
    log_p = F.log_softmax(anchors / temperature, dim=1)
    log_q = F.log_softmax(partners.detach() / temperature, dim=1)
    return temperature**2 * F.kl_div(log_p, log_q, reduction="batchmean", log_target=True)


class CsKD(Method):
    """Class-wise self-distillation (Yun et al. 2020, arXiv:2003.13964).

    Samples of one class teach each other.

    Defaults: those of the reference code (``--temp 4 --lamda 1``).
    """

    name = "cs_kd"
    family = "self"
    needs = Needs(sampler="class_pairs")

    class Params(Method.Params):
        """Hyper-parameters of CS-KD.

        Args:
            temperature: T.
            class_weight: λ.
        """

        temperature: Annotated[PositiveFloat, Search.log(1, 10)] = 4.0
        class_weight: Annotated[NonNegativeFloat, Search.log(0.1, 10)] = 1.0

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy of the anchors, and divergence from their partners' predictions.

        Raises:
            MethodError: the batch does not consist of pairs.
        """
        logits = step.student.logits
        if len(logits) % 2:
            raise MethodError(f'method "cs_kd" needs batches of anchors and as many partners, not of {len(logits)} samples')
        anchors, partners = logits.chunk(2)
        return {
            "ce": cross_entropy(anchors, step.targets[: len(anchors)]),
            "class": self.params.class_weight * cs_kd_loss(anchors, partners, self.params.temperature),
        }
