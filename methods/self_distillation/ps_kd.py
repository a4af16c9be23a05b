"""Progressive self-knowledge distillation (PS-KD).

Source: Kim et al. 2021, ICCV, arXiv:2006.12000. The network's own prediction of the previous epoch softens
the label, more and more as training goes on::

    L   = CE((1 − α_t)·y + α_t·p_{t−1}, p_t)
    α_t = α_T·t/T        t = 1 … T, in epochs

α_t is constant within an epoch, as in the reference code (lgcnsai/PS-KD-Pytorch, ``main.py``:
``alpha_T * (epoch + 1) / end_epoch``). There, and here, the first epoch has no past and learns from the label
alone. What was predicted for a sample was predicted for that epoch's augmentation of it, in training mode.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench import BuildContext, Method, Needs, Search, Step, UnitInterval, full_precision


@full_precision
def soft_targets(past_logits: Tensor, targets: Tensor, alpha: float) -> Tensor:
    """(1 − α)·label + α·past prediction, N×C.

    Samples without a past prediction (rows of NaN) get the label alone.

    Args:
        past_logits: logits of the previous epoch, N×C, NaN where there was none.
        targets: classes, int64, N.
        alpha: α_t.
    """
    label = F.one_hot(targets, past_logits.shape[1]).to(past_logits.dtype)
    no_past = past_logits.isnan().any(dim=1, keepdim=True)
    return torch.where(no_past, label, (1.0 - alpha) * label + alpha * torch.softmax(past_logits, dim=1))


@full_precision
def ps_kd_loss(logits: Tensor, past_logits: Tensor, targets: Tensor, alpha: float) -> Tensor:
    """Cross-entropy with the softened label, mean over samples.

    Args:
        logits: of the student, N×C.
        past_logits: the same of the previous epoch, N×C, NaN where there was none.
        targets: classes, int64, N.
        alpha: α_t.
    """
    soft = soft_targets(past_logits, targets, alpha).to(logits.dtype)
    return -(soft * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


class PsKD(Method):
    """Progressive self-distillation (Kim et al. 2021, arXiv:2006.12000).

    Past predictions soften the label.

    Default: α_T = 0.8, of paper and reference code.
    """

    name = "ps_kd"
    family = "self"
    needs = Needs(past_logits=True)

    class Params(Method.Params):
        """Hyper-parameters of PS-KD.

        Args:
            alpha: α_T, weight of the past prediction in the last epoch.
        """

        alpha: Annotated[UnitInterval, Search.linear(0.3, 1)] = 0.8

    epochs: int = 1

    def build(self, context: BuildContext) -> None:
        """Remember the number of epochs T."""
        self.epochs = max(context.epochs, 1)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy with the label softened by the past prediction."""
        alpha = self.params.alpha * (step.epoch + 1) / self.epochs
        return {"soft_ce": ps_kd_loss(step.student.logits, step.past_logits, step.targets, alpha)}
