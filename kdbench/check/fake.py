"""Small made-up networks, and outputs that notice what is read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.errors import MethodError
from kdbench.method import Outputs, Shapes, Stages, Step, pick_stages

INPUT_SHAPE = (3, 8, 8)
WIDTH = 24
"""Of a student's embedding; teachers' are wider by 8 each."""

Shape = tuple[int, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Geometry:
    """Shapes of the features of a student and its teachers, stage by stage, without the batch.

    Args:
        name: for messages.
        student: (C, H, W) or (L, D) of each stage.
        teacher: the same of every teacher.
    """

    name: str
    student: tuple[Shape, ...]
    teacher: tuple[Shape, ...]


COMMON = Geometry(
    "two convolutional networks of three stages", ((8, 16, 16), (16, 8, 8), (32, 4, 4)), ((12, 16, 16), (24, 8, 8), (48, 4, 4))
)
"""What every method must cope with."""

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
    Geometry("features of one pixel", ((16, 1, 1), (32, 1, 1)), ((24, 1, 1), (48, 1, 1))),
    Geometry("a single stage", ((32, 4, 4),), ((48, 4, 4),)),
    Geometry("two transformers", ((16, 16), (16, 16), (16, 16)), ((16, 24), (16, 24), (16, 24))),
    Geometry("a convolutional student of a transformer", ((8, 16, 16), (16, 8, 8), (32, 4, 4)), ((16, 24), (16, 24), (16, 24))),
    Geometry("a transformer that a convolutional network teaches", ((16, 16),) * 3, ((12, 16, 16), (24, 8, 8), (48, 4, 4))),
)
"""What a method may refuse, with a sentence."""


class Undeclared(MethodError):
    """Something was read that the method's Needs do not name."""


class FakeNet(nn.Module):
    """A classifier of N×3×8×8 inputs whose features have given shapes.

    Args:
        stages: shapes of the features.
        width: of the embedding.
        classes: number of classes.
    """

    def __init__(self, stages: Sequence[Shape], width: int, classes: int) -> None:
        super().__init__()
        self.stages = tuple(stages)
        self.projections = nn.ModuleList(nn.Linear(INPUT_SHAPE[0], _channels(s)) for s in self.stages)
        inputs = INPUT_SHAPE[0] * INPUT_SHAPE[1] * INPUT_SHAPE[2]
        self.embed = nn.Linear(inputs + sum(_channels(s) for s in self.stages), width)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, N×C."""
        return self.observe(inputs).logits

    def observe(self, inputs: Tensor) -> Outputs:
        """Logits, features of every stage, embedding."""
        features = tuple(self._features(inputs, s, p) for s, p in zip(self.stages, self.projections, strict=True))
        pooled = [f.mean(dim=(2, 3) if f.ndim == 4 else 1) for f in features]
        embedding = F.relu(self.embed(torch.cat([inputs.flatten(1), *pooled], dim=1)))
        return Outputs(self.head(embedding), features, embedding)

    def _features(self, inputs: Tensor, shape: Shape, projection: nn.Module) -> Tensor:
        if len(shape) == 3:
            pixels = F.adaptive_avg_pool2d(inputs, (shape[1], shape[2])).permute(0, 2, 3, 1)
            return F.relu(projection(pixels)).permute(0, 3, 1, 2)
        return F.relu(projection(F.adaptive_avg_pool1d(inputs.flatten(2), shape[0]).transpose(1, 2)))


def _channels(shape: Shape) -> int:
    return shape[0] if len(shape) == 3 else shape[-1]


class WatchedOutputs(Outputs):
    """Outputs limited to what was asked for, which write down what is read.

    Args:
        outputs: everything that the network gave.
        owner: ``"student"`` or ``"teacher"``, for the log.
        log: what was read, such as ``"teacher_features"``.
    """

    def __init__(self, outputs: Outputs, owner: str, log: set[str], *, logits: bool, stages: Stages, embedding: bool) -> None:
        features = select(outputs.features, stages)
        super().__init__(
            outputs.logits if logits else None, features if stages != () else None, outputs.embedding if embedding else None
        )
        self._owner, self._log = owner, log

    @property
    def logits(self) -> Tensor:
        """Logits."""
        return self._read(self._logits, "logits")

    @property
    def features(self) -> tuple[Tensor, ...]:
        """Features."""
        return self._read(self._features, "features")

    @property
    def embedding(self) -> Tensor:
        """Embedding."""
        return self._read(self._embedding, "embedding")

    def _read(self, value: T | None, what: str) -> T:
        return read(value, f"{self._owner}_{what}", self._log)


class WatchedStep(Step):
    """A step that writes down whether indices and past logits are read."""

    log: set[str] = set()

    @property
    def indices(self) -> Tensor:
        """Indices."""
        return read(self.extras.get("indices"), "indices", self.log)

    @property
    def past_logits(self) -> Tensor:
        """Past logits."""
        return read(self.extras.get("past_logits"), "past_logits", self.log)


class Teachers(tuple[Outputs, ...]):
    """Outputs of the teachers; to reach for one more than was asked for is a breach, not an IndexError."""

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        """One of them, or a slice."""
        if not isinstance(key, slice) and not -len(self) <= key.__index__() < len(self):
            raise Undeclared(f"it reads teacher number {key.__index__() + 1} and declares {len(self)}: set Needs(teachers=…)")
        return super().__getitem__(key)


def read(value: T | None, name: str, log: set[str]) -> T:
    """Write down that something was read, and pass it on if it was asked for."""
    if value is None:
        raise Undeclared(f"it reads {name} and does not declare them: set Needs({name}=…)")
    log.add(name)
    return value


def select(stages: tuple[T, ...], wanted: Stages) -> tuple[T, ...]:
    """The stages that a method asked for; those that are missing are left out."""
    return tuple(stages[i] for i in pick_stages(wanted, len(stages)))


def shapes(stages: tuple[Shape, ...], wanted: Stages, width: int, embedding: bool) -> Shapes:
    """What ``build`` is told of one network."""
    return Shapes(select(stages, wanted), width if embedding else 0)


def pair_up(labels: Tensor, anchors: Tensor) -> Tensor:
    """For each anchor the next sample of its class."""
    partners = []
    for anchor in anchors.tolist():
        same = torch.nonzero(labels == labels[anchor])[:, 0]
        partners.append(same[(int((same == anchor).nonzero()[0, 0]) + 1) % len(same)])
    return torch.stack(partners)
