"""One batch, as a method sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor, nn

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
        """Class scores before softmax, M×C."""
        return _required(self._logits, "logits")

    @property
    def features(self) -> tuple[Tensor, ...]:
        """One tensor a stage, N×C×H×W (or N×L×D for networks without a grid), first stage first."""
        return _required(self._features, "features")

    @property
    def embedding(self) -> Tensor:
        """The classifier's input, M×D."""
        return _required(self._embedding, "embedding")

    def units(self, mask: Tensor | None) -> Outputs:
        """The same with a row of logits and embedding for each unit that counts; features stay as they are.

        Args:
            mask: which units count, bool, N×L; ``None`` where a sample is one unit.
        """
        logits, embedding = self._logits, self._embedding
        if mask is not None:
            logits = None if logits is None else logits[mask]
            embedding = None if embedding is None else embedding[mask]
        return Outputs(logits, self._features, None if embedding is None else embedding.flatten(1))

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
        teachers: outputs of each teacher, without gradients; shared by all methods of a cohort, so never
            change them in place.
        inputs: the batch as the student saw it (augmented and normalised), N×…, or a mapping of such tensors
            by the names of the network's arguments; never change it in place. :meth:`run` runs a network on
            it.
        targets: classes, int64, M, where M counts units: samples, or tokens with padding left out.
        epoch: current epoch, from 0.
        progress: share of the training that is done, in [0, 1].
        mask: which units count, bool, N×L; ``None`` where a sample is one unit.
        extras: by name, the tensors that not every method asks for: ``indices``, ``past_logits``.
    """

    student: Outputs
    teachers: tuple[Outputs, ...]
    inputs: Tensor | Mapping[str, Tensor]
    targets: Tensor
    epoch: int
    progress: float
    mask: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def teacher(self) -> Outputs:
        """The first teacher's outputs."""
        return self.teachers[0]

    def run(self, network: nn.Module) -> Tensor:
        """Logits that a network of the method's own gives for this batch, M×C, in its own precision."""
        inputs = self.inputs
        logits: Tensor = network(**inputs) if isinstance(inputs, Mapping) else network(inputs)
        return logits if self.mask is None else logits[self.mask]

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
