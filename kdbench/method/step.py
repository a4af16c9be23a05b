"""One batch, as a method sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from kdbench.errors import MethodError

T = TypeVar("T")


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
        """Class scores before softmax, N×C."""
        return _required(self._logits, "logits")

    @property
    def features(self) -> tuple[Tensor, ...]:
        """One tensor a stage, N×C×H×W (or N×L×D for networks without a grid), first stage first."""
        return _required(self._features, "features")

    @property
    def embedding(self) -> Tensor:
        """The classifier's input, N×D."""
        return _required(self._embedding, "embedding")

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
        inputs: the batch as the networks saw it (augmented and normalised), N×…; never change it in place.
        targets: classes, int64, N.
        epoch: current epoch, from 0.
        progress: share of the training that is done, in [0, 1].
        extras: by name, the tensors that not every method asks for: ``indices``, ``past_logits``.
    """

    student: Outputs
    teachers: tuple[Outputs, ...]
    inputs: Tensor
    targets: Tensor
    epoch: int
    progress: float
    extras: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def teacher(self) -> Outputs:
        """The first teacher's outputs."""
        return self.teachers[0]

    @property
    def indices(self) -> Tensor:
        """Positions of the samples in the training set, int64, N (``Needs(indices=True)``)."""
        return _required(self.extras.get("indices"), "indices")

    @property
    def past_logits(self) -> Tensor:
        """The student's logits for these samples in the previous epoch, N×C, without gradients (``Needs(past_logits=True)``).

        Rows are NaN for samples that had no previous epoch (the whole first epoch).
        """
        return _required(self.extras.get("past_logits"), "past_logits")


def _required(value: T | None, what: str) -> T:
    if value is None:
        raise MethodError(f"{what} were read but not asked for: name them in the method's Needs")
    return value
