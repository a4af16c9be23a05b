"""Every architecture of timm, created and run without memory, and those that cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType

import timm
import torch

from kdbench.models.factory import create_model
from kdbench.suite.schema import ModelSpec
from tests.support.images import arguments

CANNOT: Mapping[str, str] = MappingProxyType(
    {
        "bat_resnext26ts": "cuts 14×14 into blocks of 8; it takes 256 pixels",
        "*halone*": "cuts 14×14 into blocks of 8; it takes 256 pixels",
        "*halo*botnet*": "cuts 14×14 into blocks of 8; it takes 256 pixels",
        "crossvit_*": "cuts 224 pixels into patches of 12; it takes 240",
        "gemma4_vit_*_enc": "takes multiples of 48 pixels",
        "deepseek_vit_*_enc": "gives tokens instead of logits",
        "qwen3_vit_*_enc": "gives tokens instead of logits",
        "mobilenetv5_300m_enc": "gives a map of features instead of logits",
    }
)
"""Architectures of timm 1.0.31 that do not classify 3×224×224, by pattern, and why. All can be created."""

SMALL = ("test", "atto", "femto", "pico", "nano", "tiny", "mini", "small", "_xs", "_s", "18", "26")
"""Parts of names of small networks, smallest first."""


def failures(names: Iterable[str]) -> dict[str, str]:
    """Return the errors of the architectures that cannot be created, or not run."""
    found = {}
    for name in names:
        try:
            with torch.device("meta"), torch.inference_mode():
                model = create_model(ModelSpec(model=name), arguments=arguments((3, 224, 224)))
                shape = tuple(model.eval()(torch.zeros(1, 3, 224, 224)).shape)
            if shape != (1, 10):
                found[name] = f"gives {shape}"
        except Exception as error:  # of any layer
            found[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
    return found


def listed(names: Iterable[str]) -> list[str]:
    """Return the architectures that :data:`CANNOT` names, in order."""
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in CANNOT)]


def one_of_each_family() -> list[str]:
    """Return a small architecture of each of timm's modules, which define a family each."""
    families: dict[str, list[str]] = {}
    for name in timm.list_models():
        families.setdefault(timm.model_entrypoint(name).__module__, []).append(name)

    def size(name: str) -> tuple[int, str]:
        return next((i for i, part in enumerate(SMALL) if part in name), len(SMALL)), name

    return sorted(min(names, key=size) for names in families.values())
