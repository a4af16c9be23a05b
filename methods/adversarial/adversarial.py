"""Adversarial distillation.

A discriminator learns to distinguish the student's logits from the teacher's, and the student learns to fool
it:

    L = CE(z_s, y) + λ·BCE(D̄(z_s, y), 1) + [BCE(D(z_t, y), 1) + BCE(D(z_s*, y), 0)] / 2

D̄ is the discriminator with frozen weights, z_s* the student's logits without gradient: so one backward pass
trains both, each on its own loss. Source: Xu, Hsu, Huang 2018, "Training Shallow and Thin Networks for
Acceleration via Knowledge Distillation with Conditional Adversarial Networks", arXiv:1709.00513. Of their
terms this keeps the conditional adversarial one, without the discriminator's second, classifying output.
Width, depth and λ are this file's own choice.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from kdbench import BuildContext, Method, Needs, NonNegativeFloat, Search, Step, full_precision


@full_precision
def judge_loss(scores: Tensor, genuine: bool) -> Tensor:
    """Binary cross-entropy of the discriminator's scores, mean over samples.

    Args:
        scores: logits of being the teacher's, N.
        genuine: whether all of them are labeled as the teacher's.
    """
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(genuine)))


class Discriminator(nn.Module):
    """Scores logits N×C given classes N; higher means more likely the teacher's."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(
            nn.Linear(2 * classes, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, width),
            nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Scores, N."""
        condition = F.one_hot(targets, self.classes).to(logits.dtype)
        scores: Tensor = self.layers(torch.cat([logits, condition], dim=1)).squeeze(1)
        return scores


class Adversarial(Method):
    """A discriminator of logits, conditioned on the label.

    After Xu, Hsu, Huang 2018, arXiv:1709.00513.
    """

    name = "adversarial"
    family = "adversarial"
    needs = Needs(teachers=1)

    class Params(Method.Params):
        """Hyper-parameters.

        Args:
            weight: λ, weight of the student's adversarial loss.
            width: hidden units of the discriminator's two layers.
        """

        weight: Annotated[NonNegativeFloat, Search.log(0.01, 1)] = 0.1
        width: PositiveInt = 128

    params: Params

    def build(self, context: BuildContext) -> None:
        """Create the discriminator."""
        self.discriminator = Discriminator(context.num_classes, self.params.width)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Hard loss, the student's adversarial loss, and the discriminator's loss."""
        student, teacher, targets = step.student.logits, step.teacher.logits, step.targets
        frozen = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        fooling = judge_loss(functional_call(self.discriminator, frozen, (student, targets)), genuine=True)
        on_teacher = judge_loss(self.discriminator(teacher, targets), genuine=True)
        on_student = judge_loss(self.discriminator(student.detach(), targets), genuine=False)
        return {
            "ce": F.cross_entropy(student, targets),
            "adversarial": self.params.weight * fooling,
            "discriminator": (on_teacher + on_student) / 2,
        }
