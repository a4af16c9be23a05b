"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.models.staged import StagedNet


class PreActBlock(nn.Module):
    """Batch norm, ReLU and 3×3 convolution, twice, around a shortcut.

    Where the number of channels changes, the shortcut is a 1×1 convolution of the activated input.

    Args:
        in_chans: channels of the input.
        width: channels of the output.
        stride: of the first convolution.
        drop_rate: dropout between the convolutions.
    """

    def __init__(self, in_chans: int, width: int, stride: int, drop_rate: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_chans)
        self.conv1 = nn.Conv2d(in_chans, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(drop_rate)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut = None if in_chans == width else nn.Conv2d(in_chans, width, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×C'×H/s×W/s."""
        activated = F.relu(self.bn1(x))
        y = self.conv2(self.drop(F.relu(self.bn2(self.conv1(activated)))))
        return (x if self.shortcut is None else self.shortcut(activated)) + y  # type: ignore[no-any-return]


def wide_resnet(
    depth: int, widen: int, *, num_classes: int = 10, in_chans: int = 3, block_drop_rate: float = 0.0, drop_rate: float = 0.0
) -> StagedNet:
    """Create WRN-``depth``-``widen`` for 32-pixel images.

    Features are the outputs of the three groups: the sums, before the next batch norm and ReLU, as in
    RepDistiller's ``models/wrn.py``.

    Args:
        depth: layers, 6n+4: 16, 22, 28, 40.
        widen: factor on the widths 16, 32, 64 of the groups.
        num_classes: C.
        in_chans: channels of the input.
        block_drop_rate: dropout between the convolutions of a block.
        drop_rate: dropout before the classifier.
    """
    if (depth - 4) % 6 or depth < 10:
        raise ValueError(f"the depth of a wide ResNet is 6n+4 (16, 22, 28, 40, …), not {depth}")
    blocks = (depth - 4) // 6
    widths = (16, 16 * widen, 32 * widen, 64 * widen)
    stages = []
    for before, width, stride in zip(widths, widths[1:], (1, 2, 2), strict=False):
        first = PreActBlock(before, width, stride, block_drop_rate)
        stages.append(nn.Sequential(first, *(PreActBlock(width, width, 1, block_drop_rate) for _ in range(blocks - 1))))
    net = StagedNet(
        stages,
        widths=widths[1:],
        reductions=(1, 2, 4),
        num_classes=num_classes,
        in_chans=in_chans,
        stem=nn.Conv2d(in_chans, 16, 3, padding=1, bias=False),
        norm=nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)),
        drop_rate=drop_rate,
    )
    if isinstance(net.fc, nn.Linear):
        nn.init.zeros_(net.fc.bias)  # as the reference does
    return net
