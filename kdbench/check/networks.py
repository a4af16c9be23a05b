"""Small synthetic networks whose features have given shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.suite.schema import ModelSpec

NAME = "check.network"
"""Name of the factory in trials; no plugin's model has a dot in its name."""
INPUT_SHAPE = (3, 8, 8)
WIDTH = 24
"""Width of a student's embedding; that of the k-th teacher is wider by 8 k."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Geometry:
    """Shapes of the features of a student and its teachers.

    There is one shape per stage, without the batch dimension.

    Args:
        name: name for messages.
        student: (C, H, W) or (L, D) of each stage.
        teacher: the same, for every teacher.
        units: number L of units per sample, if it has several: logits are N×L×C then.
    """

    name: str
    student: tuple[Shape, ...]
    teacher: tuple[Shape, ...]
    units: int | None = None

    def network(self, teacher: int | None = None) -> ModelSpec:
        """Return the model of the student, or of a teacher by its number from 1."""
        stages = self.student if teacher is None else self.teacher
        kwargs = {"stages": stages, "width": WIDTH + 8 * (teacher or 0), "units": self.units}
        return ModelSpec(model=NAME, kwargs=kwargs)


COMMON = Geometry(
    "two convolutional networks of three stages", ((8, 16, 16), (16, 8, 8), (32, 4, 4)), ((12, 16, 16), (24, 8, 8), (48, 4, 4))
)
"""Networks that every method must support."""

OTHERS = (
    Geometry(
        "a student of five stages and a teacher of three",
        ((4, 16, 16), (8, 8, 8), (12, 4, 4), (16, 2, 2), (24, 1, 1)),
        ((12, 16, 16), (24, 8, 8), (48, 4, 4)),
    ),
    Geometry(
        "a teacher whose maps are smaller than the student's",
        ((8, 12, 12), (16, 9, 9), (32, 5, 5)),
        ((12, 8, 8), (24, 4, 4), (48, 2, 2)),
    ),
    Geometry("features of one position", ((16, 1, 1), (32, 1, 1)), ((24, 1, 1), (48, 1, 1))),
    Geometry("a single stage", ((32, 4, 4),), ((48, 4, 4),)),
    Geometry("two transformers", ((16, 16),) * 3, ((16, 24),) * 3),
    Geometry("a transformer that teaches a convolutional network", ((8, 16, 16), (16, 8, 8), (32, 4, 4)), ((16, 24),) * 3),
    Geometry("a convolutional network that teaches a transformer", ((16, 16),) * 3, ((12, 16, 16), (24, 8, 8), (48, 4, 4))),
)
"""Networks that a method may refuse, with a MethodError."""

TOKENS = Geometry("samples of many units", ((6, 16),) * 2, ((6, 24),) * 2, units=6)
"""Networks that predict a class for each of six tokens."""


class Stage(nn.Module):
    """Layer whose features have a given shape.

    Args:
        shape: (C, H, W) or (L, D).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.projection = nn.Linear(INPUT_SHAPE[0], _channels(shape))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features, N×C×H×W or N×L×D."""
        if len(self.shape) == 3:
            positions = F.adaptive_avg_pool2d(inputs, self.shape[1:]).permute(0, 2, 3, 1)
            return F.relu(self.projection(positions)).permute(0, 3, 1, 2)
        return F.relu(self.projection(F.adaptive_avg_pool1d(inputs.flatten(2), self.shape[0]).transpose(1, 2)))


class FakeNet(nn.Module):
    """A classifier of N×3×8×8 inputs.

    Args:
        num_classes: C.
        stages: shapes of the features.
        width: width of the embedding.
        units: L, if each sample has several units.
    """

    def __init__(self, num_classes: int, stages: Sequence[Sequence[int]], width: int, units: int | None = None) -> None:
        super().__init__()
        shapes = [tuple(s) for s in stages]
        self.stages = nn.ModuleList(Stage(s) for s in shapes)
        self.feature_info: list[dict[str, Any]] = [{"module": f"stages.{i}"} for i in range(len(shapes))]
        seen = torch.Size(INPUT_SHAPE).numel() + sum(_channels(s) for s in shapes)
        self.positions = nn.Parameter(torch.rand(units, seen)) if units else None
        self.embed = nn.Linear(seen, width)
        self.head = nn.Linear(width, num_classes)

    def get_classifier(self) -> nn.Module:
        """Return the module whose input is the embedding."""
        return self.head

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits, N×C or N×L×C."""
        features = [stage(inputs) for stage in self.stages]
        pooled = [f.mean(dim=(2, 3) if f.ndim == 4 else 1) for f in features]
        seen = torch.cat([inputs.flatten(1), *pooled], dim=1)
        if self.positions is not None:
            seen = seen[:, None] * self.positions
        logits: Tensor = self.head(F.relu(self.embed(seen)))
        return logits


def _channels(shape: Shape) -> int:
    return shape[0] if len(shape) == 3 else shape[-1]
