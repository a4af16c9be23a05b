"""The contract of a distillation method: all that a plugin author has to know.

A method is an ``nn.Module`` that turns the outputs of student and teachers into named loss terms. It says
in :class:`Needs` what it reads; nothing else is computed for it. It never owns the student or the teachers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, ParamSpec, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from kdbench.errors import MethodError
from kdbench.seeding import digest

UnitInterval = Annotated[float, Field(ge=0.0, le=1.0)]
"""A number in [0, 1]."""

Stages = Literal["all"] | tuple[int, ...]
"""Feature stages of a network, in the order of timm's ``forward_intermediates``.

``"all"``, or indices counted from the last stage (``-1``). Those a network lacks are left out, so that
``(-4, -3, -2, -1)`` means "the last four, or all if there are fewer"; ``()`` asks for none.
"""

Sampler = Literal["shuffle", "class_pairs"]
"""How training batches are drawn: ``shuffle`` is an ordinary epoch without replacement; ``class_pairs``
appends to the N anchors of each batch N partners, each of its anchor's class (so batches hold 2N samples)."""


@dataclass(frozen=True)
class Needs:
    """What a method reads. What is not asked for is not computed, and reading it raises :class:`MethodError`.

    Args:
        teachers: how many teachers it takes. A pair that lists more gives the first ones.
        more_teachers: whether it takes every teacher that the pair lists, ``teachers`` being the least.
        teacher_logits: whether teachers' logits are read; without them a teacher runs only as deep as its features need.
        teacher_features: stages read from each teacher.
        student_features: stages read from the student.
        teacher_embedding: whether teachers' embeddings (the classifier's input, N×D) are read.
        student_embedding: whether the student's embedding is read.
        indices: whether ``step.indices`` (positions in the training set) are read.
        past_logits: whether ``step.past_logits``, the student's own logits of the previous epoch, are read.
        sampler: how batches are drawn; methods with different samplers never share a cohort.
    """

    teachers: int = 0
    more_teachers: bool = False
    teacher_logits: bool = True
    teacher_features: Stages = ()
    student_features: Stages = ()
    teacher_embedding: bool = False
    student_embedding: bool = False
    indices: bool = False
    past_logits: bool = False
    sampler: Sampler = "shuffle"


class Outputs:
    """What one network gave for one batch, in float32.

    Attributes are those that :class:`Needs` asked for; the others raise :class:`MethodError`.
    """

    def __init__(
        self,
        logits: Tensor | None = None,
        features: tuple[Tensor, ...] | None = None,
        embedding: Tensor | None = None,
    ) -> None:
        self._logits = logits
        self._features = features
        self._embedding = embedding

    @property
    def logits(self) -> Tensor:
        """Class scores before softmax, M×C."""
        return _asked(self._logits, "logits")

    @property
    def features(self) -> tuple[Tensor, ...]:
        """One tensor a stage, N×C×H×W (or N×L×D for networks without a grid), first stage first."""
        return _asked(self._features, "features")

    @property
    def embedding(self) -> Tensor:
        """The classifier's input, M×D."""
        return _asked(self._embedding, "embedding")

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor that is present."""
        found = (self._logits, *(self._features or ()), self._embedding)
        return tuple(t for t in found if t is not None)

    def map(self, function: Callable[[Tensor], Tensor]) -> Outputs:
        """Apply ``function`` to every tensor that is present."""
        return Outputs(
            None if self._logits is None else function(self._logits),
            None if self._features is None else tuple(function(f) for f in self._features),
            None if self._embedding is None else function(self._embedding),
        )


@dataclass(frozen=True)
class Step:
    """One batch, as a method sees it.

    Args:
        student: outputs of the trained student, with gradients.
        teachers: outputs of each teacher, without gradients; shared by all methods of a cohort, so never change them in place.
        inputs: the batch as the student saw it (augmented and normalised), N×…, or a mapping of such tensors by the names of the
            network's arguments; never change it in place. :meth:`run` runs a network on it.
        targets: classes, int64, M, where M counts units: samples, or tokens with padding left out.
        epoch: current epoch, from 0.
        progress: share of the training that is done, in [0, 1].
    """

    student: Outputs
    teachers: tuple[Outputs, ...]
    inputs: Tensor | Mapping[str, Tensor]
    targets: Tensor
    epoch: int
    progress: float
    _indices: Tensor | None = field(default=None, repr=False)
    _past_logits: Tensor | None = field(default=None, repr=False)
    _mask: Tensor | None = field(default=None, repr=False)

    @property
    def teacher(self) -> Outputs:
        """The first teacher's outputs."""
        return self.teachers[0]

    def run(self, network: nn.Module) -> Tensor:
        """Logits that a network of the method's own gives for this batch, M×C, in its own precision."""
        inputs = self.inputs
        logits: Tensor = network(**inputs) if isinstance(inputs, Mapping) else network(inputs)
        return logits if self._mask is None else logits[self._mask]

    @property
    def indices(self) -> Tensor:
        """Positions of the samples in the training set, int64, N (``Needs(indices=True)``)."""
        return _asked(self._indices, "indices")

    @property
    def past_logits(self) -> Tensor:
        """The student's logits for these samples in the previous epoch, N×C, without gradients (``Needs(past_logits=True)``).

        Rows are NaN for samples that had no previous epoch (the whole first epoch).
        """
        return _asked(self._past_logits, "past_logits")


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
        new_student: makes one more network of the student's architecture, with weights of its own (online methods).
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


class Method(nn.Module):
    """Base class of every distillation method.

    Subclasses set ``family`` and ``needs``, may declare ``Params``, and implement :meth:`loss`. ``name`` defaults to
    the class name in lower case. Hyper-parameters default to the values of the paper or its reference implementation.

    ``needs`` may be a property where it depends on ``self.params``.
    """

    name: ClassVar[str] = ""
    family: ClassVar[str] = "other"
    needs: Needs | Any = Needs()

    class Params(BaseModel):
        """Hyper-parameters: a pydantic model, so that a suite's values are checked before anything trains."""

        model_config = ConfigDict(frozen=True, extra="forbid")

    params: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__.lower()

    def __init__(self, params: BaseModel | None = None) -> None:
        super().__init__()
        self.params = params if params is not None else self.Params()

    def build(self, context: BuildContext) -> None:
        """Make adapters, memory banks and peers. Called once, before the first step; the default makes none."""

    def loss(self, step: Step) -> dict[str, Tensor]:
        """Return named scalar terms, already weighted; their sum is minimised and each is logged."""
        raise MethodError(f'method "{self.name}" does not implement loss(step)')

    def deploy(self, student: nn.Module) -> nn.Module:
        """Return the network that is evaluated and profiled: the student, unless the method changes it."""
        return student

    @classmethod
    def describe(cls) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(cls) or "").partition("\n")[0]

    @classmethod
    def source_digest(cls) -> str:
        """Digest of the source files that define the method and the bases that it inherits from."""
        own = [k for k in cls.__mro__ if issubclass(k, Method) and k is not Method]
        sources = {k.__module__: _module_source(k) for k in own}
        return digest(sources)


P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a loss so that it is computed in float32 at least, inside an autocast region too.

    Tensors in half precision (also inside tuples and lists) are cast to float32; float32 and float64 stay as they are.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            return function(*[_promote(a) for a in args], **{k: _promote(v) for k, v in kwargs.items()})

    return wrapped


def _promote(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    if isinstance(value, tuple | list):
        return type(value)(_promote(v) for v in value)
    return value


T = TypeVar("T")


def _asked(value: T | None, what: str) -> T:
    if value is None:
        raise MethodError(f"{what} were read but not asked for: name them in the method's Needs")
    return value


def _module_source(cls: type) -> str:
    try:
        return inspect.getsource(inspect.getmodule(cls) or cls)
    except (OSError, TypeError):  # defined in an interactive session
        return cls.__qualname__
