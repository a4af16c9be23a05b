"""VGG for 32-pixel images, with batch normalization and one linear layer.

The networks are those of RepDistiller and mdistiller.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from kdbench.models.staged import ConvNormAct, StagedNet

VGG8 = ((64,), (128,), (256,), (512,), (512,))
VGG13 = ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512))


def cifar_vgg(
    blocks: Sequence[Sequence[int]], *, num_classes: int = 10, in_chans: int = 3, drop_rate: float = 0.0
) -> StagedNet:
    """Create a VGG of five blocks of 3×3 convolutions with bias, batch norm and ReLU.

    There is 2×2 max-pooling before blocks 2, 3 and 4 but not before block 5, then global average pooling and
    one linear layer, as in RepDistiller's ``models/vgg.py`` for inputs of 32 pixels. Features are the outputs
    of the five blocks, before the pooling. Source: Simonyan and Zisserman 2015, arXiv:1409.1556.

    Args:
        blocks: widths of the convolutions of each block.
        num_classes: C.
        in_chans: channels of the input.
        drop_rate: dropout before the classifier.
    """
    stages = []
    before = in_chans
    for i, widths in enumerate(blocks):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if 1 <= i <= 3 else []
        for width in widths:
            layers.extend(ConvNormAct(before, width, bias=True))
            before = width
        stages.append(nn.Sequential(*layers))
    net = StagedNet(
        stages,
        widths=tuple(widths[-1] for widths in blocks),
        reductions=(1, 2, 4, 8, 8),
        num_classes=num_classes,
        in_chans=in_chans,
        drop_rate=drop_rate,
    )
    if isinstance(net.fc, nn.Linear):  # as the reference does
        nn.init.normal_(net.fc.weight, std=0.01)
        nn.init.zeros_(net.fc.bias)
    return net
