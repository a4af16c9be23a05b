"""The small stem, which adapts timm's ResNets to images of 28 to 32 pixels."""

from __future__ import annotations

from typing import Any

from timm.models.regnet import RegNet
from timm.models.resnet import ResNet
from torch import nn

from kdbench.errors import KdbenchError


def has_stem(model: nn.Module) -> bool:
    """Whether :func:`use_small_stem` can replace a network's stem."""
    return isinstance(model, ResNet | RegNet)


def replaces_convolution(model: nn.Module) -> bool:
    """Whether :func:`use_small_stem` draws a new first convolution."""
    return isinstance(model, ResNet) and not isinstance(model.conv1, nn.Sequential)


def use_small_stem(model: nn.Module, name: str) -> None:
    """Replace a network's stem by 3×3, stride 1, without pooling, in place.

    In networks with a deep stem (``resnet18d``, ``test_resnet``) or a 3×3 one (``regnetx_002``) only the
    stride changes; a 7×7 convolution is replaced by a new 3×3 one, drawn from the global generator.
    ``feature_info`` is updated.

    Args:
        model: a ResNet, ResNeXt, SE-ResNet or RegNet of timm.
        name: its name in the suite.

    Raises:
        KdbenchError: the network has no such stem.
    """
    if isinstance(model, ResNet):
        parts: Any = model
        if isinstance(parts.conv1, nn.Sequential):
            _unit_stride(parts.conv1[0])
        else:
            parts.conv1 = _conv3x3(parts.conv1)
        parts.maxpool = nn.Identity()
        _divide_reductions(parts.feature_info, {0: 2}, rest=4)
    elif isinstance(model, RegNet):
        stem: Any = model.stem
        _unit_stride(stem if isinstance(stem, nn.Conv2d) else stem.conv)
        _divide_reductions(model.feature_info, {}, rest=2)
    else:
        raise KdbenchError(
            f'stem: small does not fit "{name}" ({type(model).__name__}); it is for timm\'s ResNets (resnet*, resnext*, seresnet*, '
            "wide_resnet* and similar) and RegNets (regnet*); remove stem for this model"
        )


def _conv3x3(old: nn.Conv2d) -> nn.Conv2d:
    new = nn.Conv2d(old.in_channels, old.out_channels, 3, padding=1, bias=old.bias is not None)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")  # as in timm's ResNet
    return new


def _unit_stride(conv: Any) -> None:
    conv.stride = (1, 1)


def _divide_reductions(info: list[dict[str, Any]], first: dict[int, int], rest: int) -> None:
    for i, stage in enumerate(info):
        stage["reduction"] //= first.get(i, rest)
