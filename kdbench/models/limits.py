"""Limits on the models of a suite: they load nothing, and fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import psutil
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from kdbench.errors import KdbenchError, cut
from kdbench.models.hub import is_hub_name
from kdbench.suite.schema import ModelSpec

RESERVED = MappingProxyType(
    {
        "num_classes": "it comes from the data",
        "in_chans": "it comes from the data",
        "pretrained": "write weights: pretrained beside kwargs instead",
        "checkpoint_path": "write weights: PATH beside kwargs instead",
        "features_only": "a network must return logits, and methods see its features anyway",
    }
)
"""Arguments that a suite must not set, and why."""

_WEIGHTS = "write weights: pretrained, or weights: PATH, beside kwargs instead"
_LAYERS = "a suite cannot change how timm builds its layers"
RESERVED_BY_TIMM = MappingProxyType(
    {
        **dict.fromkeys(("pretrained_cfg", "pretrained_cfg_overlay", "pretrained_model_args", "pretrained_strict"), _WEIGHTS),
        **dict.fromkeys(("pretrained_filter_fn", "pretrained_custom_load", "default_cfg", "state_dict", "pruned"), _WEIGHTS),
        **dict.fromkeys(("url", "file", "hf_hub_id", "hf_hub_filename", "custom_load", "source"), _WEIGHTS),
        "cache_dir": "set the environment variable HF_HOME instead",
        **dict.fromkeys(("scriptable", "exportable", "no_jit", "model_cfg", "kwargs_filter", "variant", "model_cls"), _LAYERS),
        **dict.fromkeys(("out_indices", "feature_cfg", "feature_cls"), RESERVED["features_only"]),
        "device": "write kdbench run --device instead",
        "dtype": "write recipe: {precision: …} instead",
    }
)
"""Arguments of timm that read files, download, or change the kind of network."""

MOST = 1_000_000
"""Largest number accepted among the arguments of a model."""

MAX_MODULES = 4_000
"""Maximum number of modules; timm's deepest networks have half as many."""


def check_spec(
    spec: ModelSpec, arguments: Iterable[str] = (), factories: Mapping[str, Callable[..., nn.Module]] = MappingProxyType({})
) -> None:
    """Check what a suite says about a network, without creating it.

    Args:
        spec: name, kwargs, stem and weights.
        arguments: names of the arguments that come from the data.
        factories: models of plugins by name.

    Raises:
        KdbenchError: the name is that of a place to load from, an argument is reserved, or a number among the
            arguments is too large for a network.
    """
    if spec.model not in factories and not is_hub_name(spec.model) and any(c in spec.model for c in ":/\\"):
        raise KdbenchError(
            f'"{cut(spec.model)}" is not the name of a model: for weights from elsewhere, write hf-hub:OWNER/NAME, or name the model,'
            " and give weights: the path of a safetensors file"
        )
    reserved = {**dict.fromkeys(arguments, "it comes from the data"), **RESERVED}
    if spec.model not in factories:
        reserved = {**RESERVED_BY_TIMM, **reserved}
    for key in spec.kwargs:
        if key in reserved and key != "img_size":
            raise KdbenchError(f'kwargs of model "{spec.model}" must not hold "{key}": {reserved[key]}')
    largest = max(_numbers(spec.kwargs), default=0)
    if largest > MOST:
        raise KdbenchError(f'kwargs of model "{spec.model}" hold the number {largest:,}, and {MOST:,} is the most')


def _numbers(value: Any) -> Iterator[float]:
    """Yield the absolute value of every number in plain data."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, int | float):
        yield abs(value)


@contextmanager
def bounded() -> Iterator[None]:
    """Stop the creation of a network that would fill the memory or never end.

    Raises:
        KdbenchError: it has too many weights or layers.
    """
    most = psutil.virtual_memory().available // 4  # float32
    size = count = 0

    def parameter(module: nn.Module, name: str, tensor: Any) -> None:
        nonlocal size
        size += 0 if tensor is None or tensor.is_meta else tensor.numel()
        if size > most:
            raise KdbenchError(
                f"the network has more than {most / 1e9:.1f} billion weights, and this machine's memory holds no more"
            )

    def child(module: nn.Module, name: str, inner: Any) -> None:
        nonlocal count
        count += 1
        if count > MAX_MODULES:
            raise KdbenchError(f"the network has more than {MAX_MODULES:,} layers")

    hooks = [register_module_parameter_registration_hook(parameter), register_module_module_registration_hook(child)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
