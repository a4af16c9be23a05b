"""Every architecture of timm, created without memory, and those that cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import timm
import torch

from kdbench.errors import KdbenchError
from kdbench.models.factory import create_model
from kdbench.suite.schema import ModelSpec
from tests.support.images import arguments

CANNOT: Mapping[str, str] = MappingProxyType({})
"""Architectures that cannot be created for 3×224×224 and 10 classes, and what the error says."""


def failures(names: Iterable[str]) -> dict[str, str]:
    """Return the errors of the architectures that cannot be created."""
    found = {}
    for name in names:
        try:
            with torch.device("meta"):
                create_model(ModelSpec(model=name), arguments=arguments((3, 224, 224)))
        except KdbenchError as error:
            found[name] = error.message
    return found


def one_of_each_family() -> list[str]:
    """Return the first architecture of each of timm's modules, which define a family each."""
    first: dict[str, str] = {}
    for name in timm.list_models():
        first.setdefault(timm.model_entrypoint(name).__module__, name)
    return sorted(first.values())
