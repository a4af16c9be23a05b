"""Calling a network with a tensor or with a mapping of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.data.inputs import Inputs, map_inputs, tensors


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Call ``model(tensor)``, or ``model(**tensors)`` by the names of its arguments."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


def placed(inputs: Inputs, model: nn.Module) -> Inputs:
    """Move inputs to a network's device; convert floating-point ones to its dtype."""
    first = next(model.parameters(), torch.zeros(()))

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(first.device, first.dtype if tensor.is_floating_point() else None)

    return map_inputs(move, inputs)


def shape_text(inputs: Inputs) -> str:
    """Format the shape of one sample: ``3×32×32``, or ``tokens 16, mask 16``."""
    return ", ".join(f"{name} {'×'.join(map(str, t.shape[1:]))}".strip() for name, t in tensors(inputs).items())


class Positional(nn.Module):
    """A network that takes its inputs by position, as tracers and exporters require.

    Args:
        model: the network.
        names: names of its arguments; ``[""]`` for a single tensor.
    """

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self._names = names

    def forward(self, *inputs: Tensor) -> Any:
        """Run the network."""
        return self.model(*inputs) if self._names == [""] else self.model(**dict(zip(self._names, inputs, strict=True)))


def positional(model: nn.Module, inputs: Inputs) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return the network and its inputs, to be called as ``network(*tensors)``.

    A network that takes one tensor is returned unchanged.
    """
    if isinstance(inputs, Tensor):
        return model, (inputs,)
    names = list(inputs)
    return Positional(model, names), tuple(inputs[name] for name in names)
