"""Be your own teacher (BYOT; Zhang et al. 2019, ICCV, arXiv:1905.08094).

Every stage but the last gets a bottleneck (which brings its features to the width of the deepest) and a
classifier of its own. The network's own classifier, the deepest, learns from labels alone and teaches the
others::

    L = CE(y, p_m) + Σ_{i<m} [ (1 − α)·CE(y, p_i) + α·KL(p_m at T ‖ p_i at T) + β·Σ_n ‖f_i − f_m‖² ]

p_m and f_m are constants in the sum. ``f`` are features after bottleneck and global average pooling.

The code that the authors released (ArchipLab-LinfengZhang/pytorch-self-distillation-final) is of a later
variant, with attention modules and without the hints ‖f_i − f_m‖². Followed are its weights (α, T; no T²
factor; a full cross-entropy for the deepest, as in the paper). The hints are those of the implementation of
the paper that is commonly used, luanyunteng/pytorch-be-your-own-teacher: a sum over the batch, not a mean
(hence the small β), over elements where either feature is positive. That one weighs the deepest's
cross-entropy by 1 − α too, and has α 0.1 with a factor T². Both write a cross-entropy with soft targets for
KL: the same gradient; KL is 0 where the classifiers agree.

Bottlenecks are the latter's: a 1×1, a k×k (stride k) and a 1×1 convolution, each with batch norm and ReLU,
where k brings the stage to the deepest one's grid. Its widest k is 8; a stage that is finer yet is averaged
first. Tokens (N×L×D) are averaged over L, and the convolutions become linear maps. The paper cuts a ResNet
into its four stages, without the stem: the last four stages are read, or all if there are fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench import (
    BuildContext,
    Method,
    MethodError,
    Needs,
    NonNegativeFloat,
    PositiveFloat,
    Search,
    Step,
    UnitInterval,
    full_precision,
)

cross_entropy = full_precision(F.cross_entropy)

WIDEST_KERNEL = 8
"""The reference's largest k, from the first stage of a ResNet to the last."""


@full_precision
def soft_loss(shallow: Sequence[Tensor], deepest: Tensor, temperature: float) -> Tensor:
    """Σ_i KL(deepest ‖ shallow_i) of softened predictions, mean over samples.

    No gradient reaches the deepest.

    Args:
        shallow: logits of the auxiliary classifiers, N×C each.
        deepest: logits of the network's own, N×C.
        temperature: T.
    """
    target = F.log_softmax(deepest.detach() / temperature, dim=1)
    terms = [F.kl_div(F.log_softmax(z / temperature, dim=1), target, reduction="batchmean", log_target=True) for z in shallow]
    return torch.stack(terms).sum()


@full_precision
def hint_loss(shallow: Sequence[Tensor], deepest: Tensor) -> Tensor:
    """Σ_i Σ_n ‖f_i − f_m‖², over elements where either is positive.

    No gradient reaches the deepest.

    Args:
        shallow: pooled features after the bottlenecks, N×D each.
        deepest: pooled features of the last stage, N×D.
    """
    target = deepest.detach()
    return torch.stack([((f - target) ** 2 * ((f > 0) | (target > 0))).sum() for f in shallow]).sum()


class Bottleneck(nn.Module):
    """Converts a stage's features to the deepest stage's grid and width; pools to N×D.

    Args:
        shape: the stage's (C, H, W) or (L, D).
        deepest: the same of the deepest stage.
    """

    def __init__(self, shape: tuple[int, ...], deepest: tuple[int, ...]) -> None:
        super().__init__()
        width = channels(deepest)
        middle = max(width // 4, 1)
        ratio = [max(fine // coarse, 1) for fine, coarse in zip(_grid(shape), _grid(deepest), strict=True)]
        before = max(ratio[0] // WIDEST_KERNEL, 1), max(ratio[1] // WIDEST_KERNEL, 1)
        kernel = min(ratio[0] // before[0], WIDEST_KERNEL), min(ratio[1] // before[1], WIDEST_KERNEL)
        self.layers = nn.Sequential(
            nn.AvgPool2d(before) if max(before) > 1 else nn.Identity(),
            *_block(channels(shape), middle, (1, 1)),
            *_block(middle, middle, kernel),
            *_block(middle, width, (1, 1)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """N×C×H×W or N×L×D → N×D."""
        if features.ndim == 3:
            features = features.mean(dim=1)[:, :, None, None]
        pooled: Tensor = self.layers(features).mean(dim=(2, 3))
        return pooled


def channels(shape: tuple[int, ...]) -> int:
    """C of (C, H, W), D of (L, D)."""
    return shape[0] if len(shape) == 3 else shape[-1]


def pool(features: Tensor) -> Tensor:
    """N×C×H×W or N×L×D → N×C, the mean over positions."""
    return features.mean(dim=(2, 3) if features.ndim == 4 else 1)


def _grid(shape: tuple[int, ...]) -> tuple[int, int]:
    return (shape[1], shape[2]) if len(shape) == 3 else (1, 1)


def _block(inputs: int, outputs: int, kernel: tuple[int, int]) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, kernel, stride=kernel), nn.BatchNorm2d(outputs), nn.ReLU()


class Byot(Method):
    """Be your own teacher (Zhang et al. 2019, arXiv:1905.08094).

    The deepest classifier teaches auxiliary ones.

    Defaults, for CIFAR-100: α 0.3 and T 3 of the authors' code (``--loss_coefficient``, ``--temperature``), β
    1e-6 of the implementation that has the hints.
    """

    name = "byot"
    family = "self"
    needs = Needs(student_features=(-4, -3, -2, -1))

    class Params(Method.Params):
        """Hyper-parameters of BYOT.

        Args:
            alpha: α, weight of soft targets against labels, for all classifiers but the deepest.
            temperature: T.
            beta: β, weight of the feature hints (a sum, not a mean).
        """

        alpha: Annotated[UnitInterval, Search.linear(0.1, 0.9)] = 0.3
        temperature: Annotated[PositiveFloat, Search.log(1, 10)] = 3.0
        beta: Annotated[NonNegativeFloat, Search.log(1e-8, 1e-4)] = 1e-6

    def build(self, context: BuildContext) -> None:
        """Create a bottleneck and a classifier for each stage but the last.

        Raises:
            MethodError: the student has only one feature stage.
        """
        *shallow, deepest = context.student.features or ((),)
        if not shallow:
            raise MethodError('method "byot" needs a student with at least two feature stages: choose a deeper one')
        self.bottlenecks = nn.ModuleList(Bottleneck(s, deepest) for s in shallow)
        self.heads = nn.ModuleList(nn.Linear(channels(deepest), context.num_classes) for _ in shallow)

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Cross-entropies of all classifiers, soft targets and hints from the deepest."""
        p = self.params
        *shallow, deepest = step.student.features
        hints = [bottleneck(f) for bottleneck, f in zip(self.bottlenecks, shallow, strict=True)]
        logits = [head(h) for head, h in zip(self.heads, hints, strict=True)]
        auxiliary = torch.stack([cross_entropy(z, step.targets) for z in logits]).sum()
        return {
            "ce": cross_entropy(step.student.logits, step.targets),
            "auxiliary_ce": (1.0 - p.alpha) * auxiliary,
            "soft": p.alpha * soft_loss(logits, step.student.logits, p.temperature),
            "hint": p.beta * hint_loss(hints, pool(deepest)),
        }
