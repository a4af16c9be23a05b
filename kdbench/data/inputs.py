"""What networks take: one tensor, or a mapping of tensors, with a row for each sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

Inputs: TypeAlias = Tensor | Mapping[str, Tensor]
"""One tensor, or a mapping of tensors by the name of the network's argument; the first dimension is the sample."""


def tensors(inputs: Inputs) -> dict[str, Tensor]:
    """The tensors by name; a single one has the empty name."""
    return {"": inputs} if isinstance(inputs, Tensor) else dict(inputs)


def map_inputs(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """Apply a function to every tensor."""
    return function(inputs) if isinstance(inputs, Tensor) else {name: function(t) for name, t in inputs.items()}


def select(inputs: Inputs, positions: Tensor) -> Inputs:
    """The samples at some positions (int64)."""
    return map_inputs(lambda t: t.index_select(0, positions), inputs)


def concatenate(first: Inputs, second: Inputs) -> Inputs:
    """The samples of both; they must have the same names."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    theirs = tensors(second)
    return {name: torch.cat([t, theirs[name]]) for name, t in tensors(first).items()}
