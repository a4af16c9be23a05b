"""A task for the conformance tests, with synthetic data."""

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
        """Return the shape of a sample."""
        return list(INPUT_SHAPE)

    def example(self, spec: Any, batch_size: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """Return zeros, or noise from a generator."""
        shape = (batch_size, *spec)
        return torch.zeros(shape) if generator is None else torch.randn(shape, generator=generator)

    def model_arguments(self, spec: Any, num_classes: int) -> dict[str, Any]:
        """Return the number of classes; the networks know the input shape."""
        return {"num_classes": num_classes}

    def preprocess(
        self, data: TaskData, preprocessing: Mapping[str, Any] | None, *, device: torch.device, channels_last: bool
    ) -> Preprocess:
        """Lay inputs out in memory as the recipe asks.

        Methods are thus tested on the memory layout that they train on: some views exist in one only.
        """
        layout = torch.channels_last if channels_last else torch.contiguous_format

        def lay_out(inputs: Inputs) -> Inputs:
            return map_inputs(lambda t: t.contiguous(memory_format=layout), inputs)

        return lay_out


def made_up_data(classes: int, *, equal: bool = False, units: int | None = None) -> TaskData:
    """Make two samples per class, and at least twenty.

    Args:
        classes: C.
        equal: whether all inputs are the same.
        units: number L of units per sample: targets are N×L, with padding at the end of some samples.
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
