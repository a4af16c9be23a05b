"""Weights from a safetensors file, and pretrained ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kdbench.errors import KdbenchError, did_you_mean


def load_weights(model: nn.Module, path: Path | str, name: str) -> None:
    """Load a safetensors file into a network; every tensor must fit.

    Args:
        model: the network.
        path: the file.
        name: the model's name in the suite.

    Raises:
        KdbenchError: the file is missing or not a safetensors file, or a tensor does not fit (the first one
            is named).
    """
    path = Path(path)
    if not path.is_file():
        near = did_you_mean(path.name, (p.name for p in path.parent.glob("*"))) if path.parent.is_dir() else ""
        raise KdbenchError(f'weights of model "{name}": there is no file {path}{near}')
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise KdbenchError(f'weights of model "{name}": {path} cannot be read as a safetensors file ({error})') from error
    problem = _first_mismatch(model.state_dict(), found)
    if problem:
        raise KdbenchError(f'weights of model "{name}": {path} does not fit: {problem}')
    model.load_state_dict(found, strict=False)  # a missing tensor shares its memory with one that is present


def require_pretrained(name: str) -> None:
    """Check that timm has pretrained weights for a model, including its tag.

    Raises:
        KdbenchError: it has none.
    """
    if ":" in name or timm.models.is_model_pretrained(name):
        return
    architecture, _, tag = name.partition(".")
    known = timm.list_pretrained(f"{architecture}.*")
    if not known:
        raise KdbenchError(
            f'timm has no pretrained weights for "{name}"; write weights: scratch, or the path of a safetensors file'
        )
    hint = did_you_mean(name, known) or f"; known are {', '.join(known)}"
    raise KdbenchError(f'timm has no pretrained weights "{tag}" for "{architecture}"{hint}')


def _first_mismatch(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    present = {_memory(wanted[key]) for key in wanted.keys() & found.keys()}
    for key, tensor in wanted.items():
        if key in found:
            if found[key].shape != tensor.shape:
                return f'"{key}" is {_shape(found[key])} in the file and {_shape(tensor)} in the model'
        elif _memory(tensor) not in present:
            return f'the model\'s "{key}" ({_shape(tensor)}) is not in the file'
    unknown = next((key for key in found if key not in wanted), None)
    return "" if unknown is None else f'"{unknown}" ({_shape(found[unknown])}) is not in the model'


def _memory(tensor: Tensor) -> tuple[int, torch.Size]:
    return tensor.data_ptr(), tensor.shape


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
