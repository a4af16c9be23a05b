"""Inputs of networks: one tensor or a mapping of tensors, with a row per sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

Inputs: TypeAlias = Tensor | Mapping[str, Tensor]
"""One tensor, or a mapping from the network's argument names to tensors.

The first dimension is the sample.
"""


def tensors(inputs: Inputs) -> dict[str, Tensor]:
    """Return the tensors by name; a single tensor has the empty name."""
    return {"": inputs} if isinstance(inputs, Tensor) else dict(inputs)


def map_inputs(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """Apply a function to every tensor."""
    return function(inputs) if isinstance(inputs, Tensor) else {name: function(t) for name, t in inputs.items()}


def select(inputs: Inputs, positions: Tensor) -> Inputs:
    """Select the samples at some positions (int64)."""
    return map_inputs(lambda t: t.index_select(0, positions), inputs)


def concatenate(first: Inputs, second: Inputs) -> Inputs:
    """Concatenate the samples of both, which must have the same names."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    theirs = tensors(second)
    return {name: torch.cat([t, theirs[name]]) for name, t in tensors(first).items()}


def halves(inputs: Inputs) -> tuple[Inputs, Inputs]:
    """Split 2·N samples into the first N and the last N."""
    size = len(next(iter(tensors(inputs).values()))) // 2
    return map_inputs(lambda t: t[:size], inputs), map_inputs(lambda t: t[size:], inputs)
