"""The loss terms of a method: their validation and their sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kdbench.errors import MethodError


def checked_terms(terms: Any, name: str) -> dict[str, Tensor]:
    """Return the result of ``loss(step)`` if it is a non-empty dict of scalar tensors.

    Args:
        terms: what ``loss(step)`` returned.
        name: name of the method, for the message.

    Raises:
        MethodError: it is something else.
    """
    if not isinstance(terms, dict) or not terms:
        found = "an empty dict" if isinstance(terms, dict) else type(terms).__name__
        raise MethodError(f'method "{name}": loss(step) must return a dict of named terms, not {found}')
    for key, value in terms.items():
        if not isinstance(value, Tensor) or value.ndim != 0:
            shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise MethodError(f'method "{name}": loss term "{key}" must be a scalar tensor, not {shape}')
    return terms


def total_of(terms: Any, name: str) -> Tensor:
    """Add up the terms of a loss, in float32.

    Args:
        terms: what ``loss(step)`` returned.
        name: name of the method, for the message.

    Raises:
        MethodError: the terms are not a non-empty dict of scalar tensors.
    """
    return torch.stack([v.float() for v in checked_terms(terms, name).values()]).sum()
