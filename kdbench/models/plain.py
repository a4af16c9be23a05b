"""Plain small networks.

``lightcnn`` is for CIFAR; ``mnist_mlp``, ``mnist_cnn`` and ``simple_cnn`` are for MNIST; ``tiny_cnn`` is for
digits.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from kdbench.models.staged import ConvNormAct, StagedNet, image_size


def lightcnn(
    *,
    num_classes: int = 10,
    in_chans: int = 3,
    widths: Sequence[int] = (16, 32, 64, 128),
    hidden: int = 64,
    drop_rate: float = 0.0,
) -> StagedNet:
    """Create a light CNN: 106,826 parameters for 3 channels and 10 classes.

    It has one block for each of ``widths`` (3×3 convolution with bias, batch norm, ReLU, 2×2 max-pooling),
    global average pooling, and one hidden layer with ReLU. Images need at least 2^blocks pixels per side: 16
    for four blocks. Features are the outputs of the blocks, after their pooling; the embedding has ``hidden``
    values.
    """
    stages = [
        nn.Sequential(*ConvNormAct(before, width, bias=True), nn.MaxPool2d(2))
        for before, width in zip((in_chans, *widths), widths, strict=False)
    ]
    return StagedNet(
        stages,
        widths=tuple(widths),
        reductions=tuple(2 << i for i in range(len(widths))),
        num_classes=num_classes,
        in_chans=in_chans,
        neck=nn.Sequential(nn.Linear(widths[-1], hidden), nn.ReLU(inplace=True)),
        embedding=hidden,
        drop_rate=drop_rate,
    )


def mnist_mlp(
    *,
    num_classes: int = 10,
    in_chans: int = 1,
    img_size: int | Sequence[int] = 28,
    widths: Sequence[int] = (256, 128),
    drop_rate: float = 0.0,
) -> StagedNet:
    """Create a multi-layer perceptron: pixels → ``widths`` with ReLU → classes.

    It has 235,146 parameters by default. Features are the hidden layers, as N×C×1×1; the embedding is the
    last of them.
    """
    height, width = image_size(img_size)
    inputs = (in_chans * height * width, *widths)
    stages = [nn.Sequential(nn.Linear(a, b), nn.ReLU(inplace=True)) for a, b in zip(inputs, widths, strict=False)]
    return StagedNet(
        stages,
        widths=tuple(widths),
        reductions=(max(height, width),) * len(widths),
        num_classes=num_classes,
        in_chans=in_chans,
        stem=nn.Flatten(1),
        pool=nn.Identity(),
        drop_rate=drop_rate,
    )


def mnist_cnn(
    *,
    num_classes: int = 10,
    in_chans: int = 1,
    img_size: int | Sequence[int] = 28,
    widths: Sequence[int] = (32, 64),
    hidden: int = 128,
    drop_rate: float = 0.0,
) -> StagedNet:
    """Create the usual CNN for MNIST: 421,738 parameters by default.

    It has one block for each of ``widths`` (3×3 convolution, batch norm, ReLU, 2×2 max-pooling) and one
    hidden layer. The maps are flattened, not averaged, so the image size is part of the network. Features are
    the outputs of the blocks, after their pooling; the embedding has ``hidden`` values.
    """
    height, width = (side >> len(widths) for side in image_size(img_size))
    stages = [
        nn.Sequential(*ConvNormAct(before, after), nn.MaxPool2d(2))
        for before, after in zip((in_chans, *widths), widths, strict=False)
    ]
    return StagedNet(
        stages,
        widths=tuple(widths),
        reductions=tuple(2 << i for i in range(len(widths))),
        num_classes=num_classes,
        in_chans=in_chans,
        pool=nn.Flatten(1),
        neck=nn.Sequential(nn.Linear(widths[-1] * height * width, hidden), nn.ReLU(inplace=True)),
        embedding=hidden,
        drop_rate=drop_rate,
    )


def simple_cnn(
    *,
    num_classes: int = 10,
    in_chans: int = 1,
    widths: Sequence[int] = (64, 64),
    hidden: Sequence[int] = (256, 64),
    drop_rate: float = 0.0,
) -> StagedNet:
    """Create a very simple CNN, without normalization.

    It has one block for each of ``widths`` (3×3 convolution with bias, ReLU, 2×2 max-pooling), global average
    pooling, and hidden layers with ReLU: 71,306 parameters for one channel and 10 classes (70,851 for 3
    classes; 11,875 for 3 classes with widths (32, 32) and one hidden layer of 64). Features are the outputs
    of the blocks, after their pooling; the embedding is the last hidden layer.
    """
    stages = [
        nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        for before, after in zip((in_chans, *widths), widths, strict=False)
    ]
    sizes = (widths[-1], *hidden)
    neck = [layer for a, b in zip(sizes, hidden, strict=False) for layer in (nn.Linear(a, b), nn.ReLU(inplace=True))]
    return StagedNet(
        stages,
        widths=tuple(widths),
        reductions=tuple(2 << i for i in range(len(widths))),
        num_classes=num_classes,
        in_chans=in_chans,
        neck=nn.Sequential(*neck),
        embedding=sizes[-1],
        drop_rate=drop_rate,
    )


def tiny_cnn(*, num_classes: int = 10, in_chans: int = 1, width: int = 8, drop_rate: float = 0.0) -> StagedNet:
    """Create a tiny CNN: three 3×3 convolutions of widths w, 2w, 4w, with 2×2 pooling.

    Images need at least 4 pixels per side. It has 6,274 parameters for ``width`` 8, one channel and 10
    classes (1,702 for width 4). Features are the outputs of the convolutions, before the pooling; the
    embedding has 4w values.
    """
    widths = (width, 2 * width, 4 * width)
    first, *others = (ConvNormAct(a, b) for a, b in zip((in_chans, *widths), widths, strict=False))
    return StagedNet(
        [first, *(nn.Sequential(nn.MaxPool2d(2), *block) for block in others)],
        widths=widths,
        reductions=(1, 2, 4),
        num_classes=num_classes,
        in_chans=in_chans,
        drop_rate=drop_rate,
    )
