"""The small networks of kdbench, by name, provided by the hook that plugins use.

timm knows them too. Names are those of the literature where timm does not use them (``resnet20``,
``wrn_16_2``, ``vgg8``). timm's own ``vgg13`` is the ImageNet network, so the CIFAR network is called
``cifar_vgg13`` here (and ``vgg8`` is also called ``cifar_vgg8``). Suites may also write ``wrn-16-2`` with
dashes, which timm does not allow in names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any

from torch import nn

from kdbench.errors import KdbenchError
from kdbench.models.cifar_resnet import cifar_resnet
from kdbench.models.cifar_vgg import VGG8, VGG13, cifar_vgg
from kdbench.models.plain import lightcnn, mnist_cnn, mnist_mlp, simple_cnn, tiny_cnn
from kdbench.models.staged import StagedNet
from kdbench.models.wide_resnet import wide_resnet
from kdbench.plugins.hookspecs import hookimpl

Factory = Callable[..., StagedNet]

WIDE = (32, 64, 128, 256)
NETS: Mapping[str, Factory] = MappingProxyType(
    {
        "lightcnn": lightcnn,
        "mnist_mlp": mnist_mlp,
        "mnist_cnn": mnist_cnn,
        "simple_cnn": simple_cnn,
        "tiny_cnn": tiny_cnn,
        **{f"resnet{depth}": partial(cifar_resnet, depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
        **{f"resnet{depth}x4": partial(cifar_resnet, depth, WIDE) for depth in (8, 32)},
        **{f"wrn_{depth}_{widen}": partial(wide_resnet, depth, widen) for depth in (16, 40) for widen in (1, 2)},
        "vgg8": partial(cifar_vgg, VGG8),
        "cifar_vgg8": partial(cifar_vgg, VGG8),
        "cifar_vgg13": partial(cifar_vgg, VGG13),
    }
)
"""Small networks by their name in timm."""

ALIASES: Mapping[str, Factory] = MappingProxyType({n.replace("_", "-"): f for n, f in NETS.items() if n.startswith("wrn_")})
"""Alternative spellings, for suites only."""


@hookimpl
def kdbench_models() -> Mapping[str, Callable[..., nn.Module]]:
    """Provide all small networks, under their names and aliases."""
    return {**NETS, **ALIASES}


def register_with_timm(timm: ModuleType) -> None:
    """Register the small networks with timm, except where it already uses the name.

    Suites get the network of this module in any case.
    """
    for name, factory in NETS.items():
        if not timm.is_model(name):
            timm.models.register_model(_entrypoint(name, factory))


def _entrypoint(name: str, factory: Factory) -> Factory:
    """Wrap a factory in the signature that timm calls."""

    def entrypoint(
        pretrained: bool = False,
        pretrained_cfg: Any = None,
        pretrained_cfg_overlay: Any = None,
        cache_dir: Any = None,
        **kwargs: Any,
    ) -> StagedNet:
        if pretrained:
            raise KdbenchError(f'there are no pretrained weights for "{name}"; train it, or give weights: a safetensors file')
        return factory(**kwargs)

    entrypoint.__name__ = entrypoint.__qualname__ = name
    return entrypoint
