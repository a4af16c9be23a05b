"""Residual networks for 32-pixel images.

Source: He, Zhang, Ren, Sun 2016, arXiv:1512.03385, section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.models.staged import ConvNormAct, StagedNet

Shortcut = Literal["A", "B"]


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut, ReLU after the sum.

    Args:
        in_chans: channels of the input.
        width: channels of the output.
        stride: stride of the first convolution.
        shortcut: shortcut where the shape changes: ``A`` subsamples and pads with zero channels (no
            parameters), ``B`` projects by a 1×1 convolution and batch norm.
    """

    def __init__(self, in_chans: int, width: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_chans != width:
            self.shortcut = (
                PaddedShortcut(width - in_chans, stride)
                if shortcut == "A"
                else nn.Sequential(nn.Conv2d(in_chans, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))
            )

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C'×H/s×W/s."""
        y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        return self.act2(y + self.shortcut(x))  # type: ignore[no-any-return]


class PaddedShortcut(nn.Module):
    """Takes every ``stride``-th pixel and adds ``extra`` zero channels, half per side."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra = extra
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×(C + extra)×H/s×W/s."""
        before = self.extra // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))


def cifar_resnet(
    depth: int,
    widths: Sequence[int] = (16, 16, 32, 64),
    *,
    num_classes: int = 10,
    in_chans: int = 3,
    shortcut: Shortcut = "B",
    drop_rate: float = 0.0,
) -> StagedNet:
    """Create a residual network of 6n+2 layers for 32-pixel images.

    Features are the outputs of the three groups, after the ReLU that ends a block. (RepDistiller and
    mdistiller can also return the values before it: observe ``modules=("stages.0.2.act2:in", …)`` for that.
    The stem is not a stage here.)

    Args:
        depth: layers, 6n+2: 8, 14, 20, 32, 44, 56, 110.
        widths: channels of the stem and of the three groups; ``(32, 64, 128, 256)`` for resnet8x4 and
            resnet32x4.
        num_classes: C.
        in_chans: channels of the input.
        shortcut: ``B`` as in RepDistiller and mdistiller (1×1 convolution and batch norm where the shape
            changes), ``A`` as in the paper's CIFAR experiments (zero padding, without parameters).
        drop_rate: dropout before the classifier.
    """
    if (depth - 2) % 6 or depth < 8:
        raise ValueError(f"the depth of a CIFAR ResNet is 6n+2 (8, 14, 20, …), not {depth}")
    if shortcut not in ("A", "B"):
        raise ValueError(f'shortcut is "A" or "B", not "{shortcut}"')
    blocks = (depth - 2) // 6
    stages = []
    for before, width, stride in zip(widths, widths[1:], (1, 2, 2), strict=False):
        first = BasicBlock(before, width, stride, shortcut)
        stages.append(nn.Sequential(first, *(BasicBlock(width, width, 1, shortcut) for _ in range(blocks - 1))))
    return StagedNet(
        stages,
        widths=tuple(widths[1:]),
        reductions=(1, 2, 4),
        num_classes=num_classes,
        in_chans=in_chans,
        stem=ConvNormAct(in_chans, widths[0]),
        drop_rate=drop_rate,
    )
