"""Interfaces of networks, for creating, running and measuring them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kdbench.data.inputs import Inputs
from kdbench.data.types import TaskData
from kdbench.tasks.task import InputSpec, Task


@dataclass(frozen=True)
class Interface:
    """A network's inputs and classes.

    Args:
        task: the task.
        spec: the network's inputs, as :meth:`kdbench.tasks.task.Task.input_spec` describes them.
        num_classes: C.
    """

    task: Task
    spec: InputSpec
    num_classes: int

    @classmethod
    def of(cls, task: Task, data: TaskData, preprocessing: Mapping[str, Any] | None = None) -> Interface:
        """Return the interface of a network that learns from some data."""
        return cls(task, task.input_spec(data, preprocessing), data.num_classes)

    def example(self, batch_size: int = 1, generator: torch.Generator | None = None) -> Inputs:
        """Create inputs of some samples, on the CPU: zeros, or drawn from a generator."""
        return self.task.example(self.spec, batch_size, generator)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the network's factory, in addition to the suite's kwargs."""
        return self.task.model_arguments(self.spec, self.num_classes)
