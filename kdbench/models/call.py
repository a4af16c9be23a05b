"""Running a network on a tensor or on a mapping of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.data.inputs import Inputs, map_inputs, tensors


def call(model: nn.Module, inputs: Inputs) -> Any:
    """``model(tensor)``, or ``model(**tensors)`` by the names of its arguments."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


def placed(inputs: Inputs, model: nn.Module) -> Inputs:
    """Inputs where the network's weights are, and of their type where they are not whole numbers."""
    first = next(model.parameters(), torch.zeros(()))

    def place(tensor: Tensor) -> Tensor:
        return tensor.to(first.device, first.dtype if tensor.is_floating_point() else None)

    return map_inputs(place, inputs)


def shape_text(inputs: Inputs) -> str:
    """Shape of one sample, for people: ``3×32×32``, or ``tokens 16, mask 16``."""
    return ", ".join(f"{name} {'×'.join(map(str, t.shape[1:]))}".strip() for name, t in tensors(inputs).items())


class Positional(nn.Module):
    """A network whose inputs come in order rather than by name: what tracers and exporters want.

    Args:
        model: the network.
        names: names of its arguments; ``[""]`` for one that takes a single tensor.
    """

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self._names = names

    def forward(self, *inputs: Tensor) -> Any:
        """Run the network."""
        return self.model(*inputs) if self._names == [""] else self.model(**dict(zip(self._names, inputs, strict=True)))


def positional(model: nn.Module, inputs: Inputs) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The network and its inputs, to be called as ``network(*tensors)``; a network that takes one tensor stays as it is."""
    if isinstance(inputs, Tensor):
        return model, (inputs,)
    names = list(inputs)
    return Positional(model, names), tuple(inputs[name] for name in names)
