"""A member that logs its steps, and what the method reads in them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, SupportsIndex, TypeVar

import numpy as np
import torch
from torch import Tensor

from kdbench.data.types import Batch
from kdbench.errors import MethodError
from kdbench.method import Outputs, Step
from kdbench.method.guard import Guard
from kdbench.train.member import Member

T = TypeVar("T")
Change = Callable[[Tensor, str], Tensor]
"""Replaces a network's output, before the method sees it.

The second argument is the network's role, ``"student"`` or ``"teacher"``.
"""


class Undeclared(MethodError):
    """The method read something that its Needs do not name."""


@dataclass
class LoggedStep:
    """Result of one training step.

    Args:
        epoch: number of the epoch, from 0.
        terms: the terms of the loss.
        reached: names of parameters that have a gradient, even if it is zero.
        moved: names of parameters whose gradient is not all zeros.
        not_finite: names of parameters whose gradient has NaN or infinite values.
    """

    epoch: int
    terms: dict[str, Tensor]
    reached: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    not_finite: list[str] = field(default_factory=list)


class LoggingMember(Member):
    """A member that logs its training.

    It trains like every other member, and logs each step in ``log``, what the method reads in ``read``,
    and in ``drew`` which of Python's and numpy's generators the method uses. If ``change`` is set, the
    method sees outputs of the networks that are changed by it; with ``autocast`` the loss is computed
    under autocast.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.log: list[LoggedStep] = []
        self.read: set[str] = set()
        self.drew: set[str] = set()
        self.change: Change | None = None
        self.autocast = False
        self.warnings: list[str] = []
        with reseeded(0, self.drew):
            super().__init__(*args, **{**kwargs, "guard": Guard(self.warnings.append)})

    def trained_parameters(self) -> dict[str, Tensor]:
        """Return the trained parameters of the student and the method, by name."""
        named = [*self.student.named_parameters(prefix="student"), *self.method.named_parameters(prefix="method")]
        return {n: p for n, p in named if p.requires_grad}

    def train_step(self, batch: Batch, teachers: tuple[Outputs, ...], step: int) -> None:
        """Train on a batch, and log the gradients."""
        super().train_step(batch, teachers, step)
        taken = self.log[-1]
        for name, parameter in self.trained_parameters().items():
            if parameter.grad is not None:
                taken.reached.add(name)
                if bool(parameter.grad.any()):
                    taken.moved.add(name)
                if not bool(torch.isfinite(parameter.grad).all()):
                    taken.not_finite.append(name)

    def step(self, batch: Batch, student: Outputs, teachers: tuple[Outputs, ...], taken: int) -> Step:
        """Return the step, with changed outputs that log what is read."""
        if (change := self.change) is not None:
            student = student.map(lambda t: change(t, "student"))
            teachers = tuple(outputs.map(lambda t: change(t, "teacher")) for outputs in teachers)
        step = super().step(batch, student, teachers, taken)
        given = {f.name: getattr(step, f.name) for f in fields(step)}
        given["student"] = LoggingOutputs(step.student, "student", self.read)
        given["teachers"] = LoggingTeachers(LoggingOutputs(t, "teacher", self.read) for t in step.teachers)
        return LoggingStep(**given, read=self.read)

    def loss(self, step: Step) -> tuple[Any, Tensor]:
        """Compute the loss, and log its terms."""
        with reseeded(len(self.log), self.drew), torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            terms, total = super().loss(step)
        self.log.append(LoggedStep(self.epoch, {n: v.detach() for n, v in terms.items()}))
        return terms, total

    def update(self, total: Tensor) -> None:
        """Update the parameters if the loss has a gradient, which another claim tests."""
        if total.requires_grad:
            super().update(total)


class LoggingOutputs(Outputs):
    """Outputs that log what is read.

    Args:
        outputs: the outputs that the method asked for.
        owner: ``"student"`` or ``"teacher"``.
        read: the log: names such as ``"teacher_features"``.
    """

    def __init__(self, outputs: Outputs, owner: str, read: set[str]) -> None:
        super().__init__(_given(lambda: outputs.logits), _given(lambda: outputs.features), _given(lambda: outputs.embedding))
        self._owner, self._read = owner, read

    @property
    def logits(self) -> Tensor:
        """The logits; logged."""
        return _logged(lambda: super(LoggingOutputs, self).logits, f"{self._owner}_logits", self._read)

    @property
    def features(self) -> tuple[Tensor, ...]:
        """The features; logged."""
        return _logged(lambda: super(LoggingOutputs, self).features, f"{self._owner}_features", self._read)

    @property
    def embedding(self) -> Tensor:
        """The embedding; logged."""
        return _logged(lambda: super(LoggingOutputs, self).embedding, f"{self._owner}_embedding", self._read)


class LoggingTeachers(tuple[Outputs, ...]):
    """Outputs of the teachers.

    Reading one beyond the declared number raises :class:`Undeclared`, not an IndexError.
    """

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        """Return the outputs of one teacher, or of a slice of them."""
        if not isinstance(key, slice) and not -len(self) <= key.__index__() < len(self):
            raise Undeclared(f"it reads teacher number {key.__index__() + 1} and declares {len(self)}: set Needs(teachers=…)")
        return super().__getitem__(key)


@dataclass(frozen=True)
class LoggingStep(Step):
    """A step that logs whether indices and past logits are read."""

    read: set[str] = field(default_factory=set, repr=False)

    @property
    def indices(self) -> Tensor:
        """The indices; logged."""
        return _logged(lambda: super(LoggingStep, self).indices, "indices", self.read)

    @property
    def past_logits(self) -> Tensor:
        """The past logits; logged."""
        return _logged(lambda: super(LoggingStep, self).past_logits, "past_logits", self.read)


@contextmanager
def reseeded(seed: int, drew: set[str]) -> Iterator[None]:
    """Seed Python's and numpy's generators, and note which of them are used.

    Args:
        seed: the seed.
        drew: receives the names of the generators that are used; another claim tests it.
    """
    random.seed(seed)
    np.random.seed(seed)
    before = _states()
    yield
    drew |= {name for name, state in _states().items() if state != before[name]}


def _states() -> dict[str, Any]:
    numpy: Any = np.random.get_state()
    return {"Python's random": random.getstate(), "numpy's random": (numpy[1].tobytes(), *numpy[2:])}


def _given(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except MethodError:
        return None


def _logged(value: Callable[[], T], name: str, read: set[str]) -> T:
    try:
        found = value()
    except MethodError:
        raise Undeclared(f"it reads {name}, which its Needs do not declare: set Needs({name}=…)") from None
    read.add(name)
    return found
