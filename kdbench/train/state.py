"""What of a network's or a method's state can be stored."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kdbench.errors import MethodError
from kdbench.method.guard import described


class UnstorableState(MethodError):
    """A state that cannot be stored."""


LARGEST = 16 * 10**9
"""Bytes of a state, at most."""
LARGEST_VIEW = 10**8
"""Bytes of an expanded tensor at most; stored, it takes more than its memory."""
LONGEST_KEY = 500


def check_state(module: nn.Module, owner: str) -> None:
    """Hold ``state_dict()`` to what safetensors can store.

    Args:
        module: a network or a method.
        owner: whose it is, for the message.

    Raises:
        UnstorableState: the state is no mapping of names to ordinary tensors, or is too large.
    """
    state: Any = module.state_dict()
    if not isinstance(state, dict):
        raise UnstorableState(f"{owner}: state_dict() must return a dict, not {described(state)}")
    size = 0
    for key, value in state.items():
        if not isinstance(key, str) or len(key) > LONGEST_KEY or not key.isprintable():
            raise UnstorableState(f"{owner}: a key of its state is {described(key)} and no short name, so it cannot be stored")
        if (wrong := _wrong(value)) is not None:
            raise UnstorableState(f"{owner}: its state {key} is {wrong}, which cannot be stored: make it an ordinary tensor")
        size += value.nbytes
    if size > LARGEST:
        raise UnstorableState(
            f"{owner}: its state takes {size / 1e9:.0f} GB, and {LARGEST / 1e9:.0f} GB is the most that is stored"
        )


def _wrong(value: Any) -> str | None:
    """What about a value of a state keeps it from being stored."""
    if not isinstance(value, Tensor):
        return f"of type {type(value).__name__}" if not isinstance(value, type) else described(value)
    kinds = {
        "meta": value.is_meta,
        "quantised": value.is_quantized,
        "sparse": value.layout is not torch.strided,
        "complex": value.is_complex(),
    }
    if any(kinds.values()):
        return f"a {next(k for k, holds in kinds.items() if holds)} tensor"
    if value.nbytes > LARGEST_VIEW and value.nbytes > value.untyped_storage().nbytes():
        return f"a view of {value.nbytes / 1e9:.1f} GB on a smaller memory"
    return None
