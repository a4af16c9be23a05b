"""One batch, as a method sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from kdbench.errors import MethodError

T = TypeVar("T")


class Outputs:
    """Outputs of one network for one batch, in float32.

    Only what :class:`Needs` requests is available; other attributes raise :class:`MethodError`.
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
        """One tensor per stage, first stage first.

        Each is N×C×H×W, or N×L×D for networks without a grid.
        """
        return _required(self._features, "features")

    @property
    def embedding(self) -> Tensor:
        """The classifier's input, M×D.

        ``classifier(embedding)`` is the logits in most networks, but not where logits are the mean of two
        heads: in distilled transformers (DeiT, PiT, LeViT), EfficientFormer, SwiftFormer and distilled
        RepViT it is the input of the head that learns from labels, and in CrossViT that of the last
        branch's head.
        """
        return _required(self._embedding, "embedding")

    def units(self, mask: Tensor | None) -> Outputs:
        """Return outputs with one row of logits and embedding per unit that counts.

        Features stay as they are.

        Args:
            mask: which units count, bool, N×L; ``None`` if a sample is one unit.
        """
        logits, embedding = self._logits, self._embedding
        if mask is not None:
            logits = None if logits is None else logits[mask]
            embedding = None if embedding is None else embedding[mask]
        return Outputs(logits, self._features, None if embedding is None else embedding.flatten(1))

    def tensors(self) -> tuple[Tensor, ...]:
        """Return every tensor that is present."""
        found = (self._logits, *(self._features or ()), self._embedding)
        return tuple(t for t in found if t is not None)

    def map(self, function: Callable[[Tensor], Tensor]) -> Outputs:
        """Apply ``function`` to every tensor that is present."""
        return Outputs(
            None if self._logits is None else function(self._logits),
            None if self._features is None else tuple(function(f) for f in self._features),
            None if self._embedding is None else function(self._embedding),
        )


def concatenated(parts: Sequence[Outputs]) -> Outputs:
    """Concatenate the outputs of one network for parts of a batch, along the samples."""
    if len(parts) == 1:
        return parts[0]
    tensors = iter([torch.cat(found) for found in zip(*(part.tensors() for part in parts), strict=True)])
    return parts[0].map(lambda _: next(tensors))


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
        targets: classes, int64, M, where M is the number of units: samples, or tokens without padding.
        epoch: current epoch, from 0.
        progress: share of the training that is done, in [0, 1].
        mask: which units count, bool, N×L; ``None`` if a sample is one unit.
        extras: tensors by name that only some methods request: ``indices``, ``past_logits``.
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
        """Run one of the method's own networks on this batch.

        Returns:
            Logits, M×C, in the network's precision.
        """
        inputs = self.inputs
        logits: Tensor = network(**inputs) if isinstance(inputs, Mapping) else network(inputs)
        return logits if self.mask is None else logits[self.mask]

    @property
    def indices(self) -> Tensor:
        """Positions of the samples in the training set, int64, N.

        They require ``Needs(indices=True)``.
        """
        return _required(self.extras.get("indices"), "indices")

    @property
    def past_logits(self) -> Tensor:
        """The student's logits for these samples in the previous epoch, N×C.

        They have no gradients, and require ``Needs(past_logits=True)``. Rows are NaN for samples without a
        previous epoch (all samples in the first epoch).
        """
        return _required(self.extras.get("past_logits"), "past_logits")


def _required(value: T | None, what: str) -> T:
    if value is None:
        raise MethodError(f"{what} were read but not asked for: name them in the method's Needs")
    return value
