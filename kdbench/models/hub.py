"""Models of the Hugging Face hub: ``hf-hub:OWNER/NAME``, or with ``@REVISION``.

Only ``config.json`` and ``model.safetensors`` of a repository are read, neither of which can run anything;
what the first says is checked like the kwargs of a suite.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from kdbench.data.files import reason
from kdbench.errors import KdbenchError, cut

_NAME = re.compile(
    r"hf-hub:(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>[A-Za-z0-9][\w.-]{0,95}))?"
)
LARGEST_CONFIG = 10_000_000
"""Most bytes of a ``config.json``, which may name thousands of classes."""

CONFIG_KEYS = (
    *("num_classes", "input_size", "fixed_input_size", "pool_size", "mean", "std", "interpolation", "crop_pct", "crop_mode"),
    *("first_conv", "classifier", "label_offset"),
)
"""Keys of timm's ``pretrained_cfg`` that are taken; others say where to load from."""


@dataclass(frozen=True)
class HubModel:
    """What the hub says about a model.

    Args:
        architecture: its name in timm.
        kwargs: arguments of the architecture.
        config: its ``pretrained_cfg``, without the keys that name a place.
    """

    architecture: str
    kwargs: Mapping[str, Any]
    config: Mapping[str, Any]


def is_hub_name(name: str) -> bool:
    """Whether a model's name is that of a repository of the hub."""
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=64)
def hub_model(name: str) -> HubModel:
    """Return what the hub says about a model.

    Raises:
        KdbenchError: it is not available, or not a model of timm.
    """
    import timm

    path = _download(name, "config.json")
    try:
        if path.stat().st_size > LARGEST_CONFIG:
            raise ValueError("config.json is too large")
        found = json.loads(path.read_text(encoding="utf-8"))
        architecture, nested = found["architecture"], found.get("pretrained_cfg", found)
        config = {key: nested[key] for key in CONFIG_KEYS if nested.get(key) is not None}
        config |= {"num_classes": int(found["num_classes"])} if "num_classes" in found else {}
        kwargs = dict(found.get("model_args") or {})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise KdbenchError(
            f'model "{name}": its config.json does not describe a model of timm ({cut(reason(error))})'
        ) from error
    plain = isinstance(architecture, str) and re.fullmatch(r"\w+", architecture)
    if not plain or not timm.is_model(architecture):
        raise KdbenchError(f'model "{name}": its architecture {cut(str(architecture))} is not one of timm {timm.__version__}')
    kwargs = {key: value for key, value in kwargs.items() if key not in ("num_classes", "in_chans", "img_size")}
    return HubModel(architecture, kwargs, config)


def hub_weights(name: str) -> Path:
    """Download a model's weights; return the safetensors file.

    Raises:
        KdbenchError: they are not available.
    """
    return _download(name, "model.safetensors")


def _download(name: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    match = _NAME.fullmatch(name)
    assert match is not None
    try:
        return Path(hf_hub_download(match["repo"], file, revision=match["revision"], local_files_only=_offline()))
    except Exception as error:  # of the network, of the hub, of the disk
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            raise KdbenchError(f'model "{name}" has no {file}, and kdbench reads no other file') from error
        raise KdbenchError(
            f'model "{name}" is not available ({cut(reason(error))}); without internet access, name the architecture, and write '
            "weights: the path of a safetensors file"
        ) from error


def _offline() -> bool:
    """Whether the hub is out of reach, which its library finds out in half a minute."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname
    if host is None or getproxies():
        return False
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return True
    return False
