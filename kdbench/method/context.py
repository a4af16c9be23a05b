"""What a method receives when it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Shapes:
    """Shapes of one network's outputs for one sample.

    Args:
        features: the shape of each requested stage: (C, H, W) or (L, D).
        embedding: D, the width of the classifier's input; 0 if it was not requested.
    """

    features: tuple[tuple[int, ...], ...] = ()
    embedding: int = 0


@dataclass(frozen=True)
class BuildContext:
    """Information for :meth:`Method.build`.

    Args:
        student: shapes of the requested outputs of the student.
        teachers: the same for each teacher.
        num_classes: C.
        labels: classes of the training set, int64, on the CPU; ``len(labels)`` is the training set's size.
        epochs: number of epochs to train.
        steps_per_epoch: number of batches in an epoch.
        new_student: creates another network of the student's architecture, with its own weights (for online
            methods).
    """

    student: Shapes
    teachers: tuple[Shapes, ...]
    num_classes: int
    labels: Tensor
    epochs: int
    steps_per_epoch: int
    new_student: Callable[[], nn.Module]

    @property
    def num_samples(self) -> int:
        """Size of the training set."""
        return len(self.labels)

    @property
    def total_steps(self) -> int:
        """Number of optimiser steps in the whole training."""
        return self.epochs * self.steps_per_epoch
