"""The networks that the acceptance list names, made once a test session."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from kdbench.models.factory import create_model
from kdbench.models.small import NETS, kdbench_models
from kdbench.suite.schema import ModelSpec
from tests.support.images import arguments

TIMM: dict[str, dict[str, int]] = {
    "resnet18": {},
    "resnet50": {},
    "mobilenetv3_small_050": {},
    "efficientnet_b0": {},
    "convnext_atto": {},
    "vit_tiny_patch16_224": {"patch_size": 4},
    "regnetx_002": {},
    "densenet121": {},
    "test_resnet": {},
    "test_vit": {},
}
NAMES = [*TIMM, *(n for n in NETS if n not in ("resnet44", "resnet56", "resnet110", "resnet32x4", "wrn_40_2", "cifar_vgg8"))]
"""All of timm's, and of each small family enough to see every kind of block."""


@functools.cache
def network(name: str, size: int = 32, **kwargs: float) -> nn.Module:
    """A network with running statistics that are not the initial ones; shared, so leave it as it was."""
    spec = ModelSpec(model=name, kwargs={**TIMM.get(name, {}), **kwargs})
    model = create_model(spec, arguments=arguments((3, size, size)), seed=3, factories=kdbench_models())
    with torch.no_grad():
        for key, buffer in model.named_buffers():
            if key.endswith("running_mean"):
                buffer.copy_(torch.linspace(-0.1, 0.1, len(buffer)))
    return model


def images(count: int = 2, channels: int = 3, size: int = 32) -> Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(5))
