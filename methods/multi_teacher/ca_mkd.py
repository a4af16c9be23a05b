"""Confidence-aware multi-teacher distillation (CA-MKD).

Source: Zhang, Chen, Wang 2022, ICASSP, arXiv:2201.00007. Each teacher is trusted, sample by sample, the more
the lower its cross-entropy with the label is beside the others'::

    w_k = (1 − softmax_k(CE(y, p_k)))/(K − 1)
    L   = γ·CE(y, p) + α·1/K·Σ_k w_k·T²·KL(p_k at T ‖ p at T) + β·1/K·Σ_k w_k·mean((F_k − r_k(F))²)

each a mean over samples. F are features of the last stage before pooling; r_k resizes the student's to
teacher k's grid (adaptive average pooling down, bilinear interpolation up), then 1×1 convolution, batch norm,
ReLU.

Where paper and code (Rorozhl/CA-MKD: ``helper/loops.py``, ``distiller_zoo/CAMKD.py``, ``models/util.py``)
differ, the code is followed: it divides both sums by K, and leaves the features out of the first epoch. One
thing differs from both: they weigh the feature term by the cross-entropy that teacher k's *classifier* has on
r_k(F); a method here sees a teacher's outputs but not its layers, so that the feature term has the weights
w_k of the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench import BuildContext, Method, Needs, NonNegativeFloat, PositiveFloat, Search, Step, full_precision

cross_entropy = full_precision(F.cross_entropy)


@full_precision
def confidence_weights(teachers: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Weights K×N of K ≥ 2 teachers on each sample; columns sum to 1.

    Args:
        teachers: logits of each teacher, N×C.
        targets: classes, int64, N.
    """
    loss = torch.stack([F.cross_entropy(z, targets, reduction="none") for z in teachers])
    return (1.0 - torch.softmax(loss, dim=0)) / (len(teachers) - 1)


@full_precision
def weighted_kd_loss(student: Tensor, teachers: Sequence[Tensor], weights: Tensor, temperature: float) -> Tensor:
    """1/K·Σ_k w_k·T²·KL(teacher_k ‖ student), mean over samples.

    Args:
        student: logits, N×C.
        teachers: logits of each teacher, N×C.
        weights: K×N.
        temperature: T.
    """
    log_p = F.log_softmax(student / temperature, dim=1)
    each = [
        F.kl_div(log_p, F.log_softmax(z / temperature, dim=1), reduction="none", log_target=True).sum(dim=1) for z in teachers
    ]
    return temperature**2 * (weights * torch.stack(each)).mean()


@full_precision
def weighted_feature_loss(adapted: Sequence[Tensor], teachers: Sequence[Tensor], weights: Tensor) -> Tensor:
    """1/K·Σ_k w_k·mean squared difference, mean over samples.

    Args:
        adapted: the student's features in the shape of each teacher's, N×….
        teachers: the teachers' features, N×….
        weights: K×N.
    """
    each = [((s - t) ** 2).flatten(1).mean(dim=1) for s, t in zip(adapted, teachers, strict=True)]
    return (weights * torch.stack(each)).mean()


class Regressor(nn.Module):
    """Converts the student's features to a teacher's grid and width.

    Tokens (N×L×D) count as a grid of L×1.

    Args:
        student: (C, H, W) or (L, D).
        teacher: the same of the teacher.
    """

    def __init__(self, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = teacher
        self.grid = _grid(teacher)
        self.shrink = all(s >= t for s, t in zip(_grid(student), self.grid, strict=True))
        width = _channels(teacher)
        self.layers = nn.Sequential(nn.Conv2d(_channels(student), width, 1), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """The student's N×C×H×W or N×L×D → the teacher's shape."""
        x = features if features.ndim == 4 else features.transpose(1, 2)[..., None]
        adapted: Tensor = self.layers(
            F.adaptive_avg_pool2d(x, self.grid) if self.shrink else F.interpolate(x, self.grid, mode="bilinear")
        )
        return adapted if len(self.shape) == 3 else adapted[..., 0].transpose(1, 2)


def _grid(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[1], shape[2]) if len(shape) == 3 else (shape[0], 1)


def _channels(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) == 3 else shape[1]


class CaMKD(Method):
    """Confidence-aware distillation from two or more teachers (arXiv:2201.00007).

    Defaults: those of the reference code on CIFAR-100 (``scripts/run.sh``: ``-r 1 -a 1 -b 50``,
    ``--kd_T 4``).
    """

    name = "ca_mkd"
    family = "multi_teacher"
    needs = Needs(teachers=2, more_teachers=True, teacher_features=(-1,), student_features=(-1,))

    class Params(Method.Params):
        """Hyper-parameters of CA-MKD.

        Args:
            gamma: γ, weight of the label.
            alpha: α, weight of the logits.
            beta: β, weight of the features.
            temperature: T.
        """

        gamma: Annotated[NonNegativeFloat, Search.linear(0, 1)] = 1.0
        alpha: Annotated[NonNegativeFloat, Search.log(0.1, 10)] = 1.0
        beta: Annotated[NonNegativeFloat, Search.log(1, 500)] = 50.0
        temperature: Annotated[PositiveFloat, Search.log(1, 10)] = 4.0

    def build(self, context: BuildContext) -> None:
        """Create a regressor for each teacher."""
        student = context.student.features[-1]
        self.regressors = nn.ModuleList(Regressor(student, t.features[-1]) for t in context.teachers)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropy, and weighted distances from the teachers' logits and features."""
        p = self.params
        logits = step.student.logits
        teachers = [t.logits for t in step.teachers]
        weights = confidence_weights(teachers, step.targets)
        adapted = [r(step.student.features[-1]) for r in self.regressors]
        features = weighted_feature_loss(adapted, [t.features[-1] for t in step.teachers], weights)
        return {
            "ce": p.gamma * cross_entropy(logits, step.targets),
            "kd": p.alpha * weighted_kd_loss(logits, teachers, weights, p.temperature),
            "feature": (0.0 if step.epoch == 0 else p.beta) * features,
        }
