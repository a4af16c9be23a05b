"""A task of the suite's own, with made-up data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kdbench.check.networks import INPUT_SHAPE
from kdbench.data.inputs import Inputs, map_inputs
from kdbench.data.types import PADDING, Split, TaskData
from kdbench.seeding import named_generator
from kdbench.tasks.task import Preprocess, Task

TEST_SAMPLES = 5


class CheckTask(Task):
    """Classification of N×3×8×8 float inputs, or of the units of such samples."""

    name = "check.task"

    def input_spec(self, data: TaskData, preprocessing: Mapping[str, Any] | None = None) -> list[int]:
        """Shape of a sample."""
        return list(INPUT_SHAPE)

    def example(self, spec: Any, batch_size: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """Zeros or noise."""
        shape = (batch_size, *spec)
        return torch.zeros(shape) if generator is None else torch.randn(shape, generator=generator)

    def model_arguments(self, spec: Any, num_classes: int) -> dict[str, Any]:
        """The networks know the shape."""
        return {"num_classes": num_classes}

    def preprocess(
        self, data: TaskData, preprocessing: Mapping[str, Any] | None, *, device: torch.device, channels_last: bool
    ) -> Preprocess:
        """Lay inputs out in memory as a recipe asks: what is a view of the one layout is not one of the other."""
        layout = torch.channels_last if channels_last else torch.contiguous_format

        def lay_out(inputs: Inputs) -> Inputs:
            return map_inputs(lambda t: t.contiguous(memory_format=layout), inputs)

        return lay_out


def made_up_data(classes: int, *, equal: bool = False, units: int | None = None) -> TaskData:
    """Two samples a class, and twenty at least.

    Args:
        classes: C.
        equal: whether all inputs are the same.
        units: targets are N×L with padding at the end of some samples, L being this number.
    """
    count = max(20, 2 * classes)
    generator = named_generator("check", "data", classes)
    inputs = torch.randn((count, *INPUT_SHAPE), generator=generator)
    if equal:
        inputs = inputs[:1].expand_as(inputs).contiguous()
    targets = torch.randperm(count, generator=generator) % classes
    if units is not None:
        padding = torch.arange(units) >= 2 + targets[:, None] % (units - 1)
        targets = ((targets[:, None] + torch.arange(units)) % classes).masked_fill(padding, PADDING)
    return TaskData(
        name="made-up samples",
        train=Split(inputs, targets),
        validation=Split(inputs[:0], targets[:0]),
        test=Split(inputs[:TEST_SAMPLES], targets[:TEST_SAMPLES]),
        class_names=tuple(map(str, range(classes))),
        fingerprint="check",
    )
