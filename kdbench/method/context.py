"""What a method knows when it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Shapes:
    """Shapes of what one network gives for one sample.

    Args:
        features: a shape per stage asked for: (C, H, W) or (L, D).
        embedding: D, the width of the classifier's input; 0 when it was not asked for.
    """

    features: tuple[tuple[int, ...], ...] = ()
    embedding: int = 0


@dataclass(frozen=True)
class BuildContext:
    """What :meth:`Method.build` may know.

    Args:
        student: shapes of what was asked of the student.
        teachers: the same for each teacher.
        num_classes: C.
        labels: classes of the training set, int64, on the CPU; ``len(labels)`` is the training set's size.
        epochs: epochs to train.
        steps_per_epoch: batches in an epoch.
        new_student: makes one more network of the student's architecture, with weights of its own (online
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
        """Optimiser steps in the whole training."""
        return self.epochs * self.steps_per_epoch
