"""Facts about the weights that a network starts with, without loading them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from kdbench.models.hub import hub_model, is_hub_name
from kdbench.suite.schema import ModelSpec


def pretrained_config(spec: ModelSpec) -> Mapping[str, Any]:
    """Return a model's ``pretrained_cfg``; empty if it is not known.

    Raises:
        KdbenchError: the model is one of the hub, which is not available.
    """
    if is_hub_name(spec.model):
        return hub_model(spec.model).config
    import timm  # takes seconds

    config = timm.get_pretrained_cfg(spec.model, allow_unregistered=True) if ":" not in spec.model else None
    return {} if config is None else config.to_dict()


def untrained_part(
    spec: ModelSpec, num_classes: int, factories: Mapping[str, Callable[..., nn.Module]] = MappingProxyType({})
) -> str:
    """Name what is random in a network before training; empty if nothing is.

    Args:
        spec: the network.
        num_classes: number of classes of the data.
        factories: models of plugins by name.
    """
    if spec.weights == "scratch":
        return "random weights (weights: scratch)"
    if spec.weights != "pretrained" or spec.model in factories:  # a file has every tensor
        return ""
    known = pretrained_config(spec).get("num_classes")
    if known is not None and known != num_classes:
        own = f"its weights are for {known:,} classes" if known else "its weights have none"
        return f"a random classifier ({own}, and the data have {num_classes:,})"
    return "a random first convolution (stem: small replaces it)" if spec.stem == "small" and _stem_is_replaced(spec) else ""


def _stem_is_replaced(spec: ModelSpec) -> bool:
    """Whether ``stem: small`` draws a new convolution, not only another stride."""
    import timm
    import torch

    from kdbench.models.stem import replaces_convolution

    name, kwargs = spec.model, dict(spec.kwargs)
    if is_hub_name(name):
        found = hub_model(name)
        name, kwargs = found.architecture, {**found.kwargs, **kwargs}
    with torch.device("meta"):
        return replaces_convolution(timm.create_model(name, **kwargs))
