"""The training stream: whole batches in an order that is a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from kdbench.data.inputs import Inputs, map_inputs, select
from kdbench.data.types import PADDING, Batch, Split, TaskData
from kdbench.errors import DataError
from kdbench.method import Sampler
from kdbench.seeding import named_generator

Parameters = tuple[Tensor | None, ...]
"""Parameters of an epoch's augmentation, each K×N×…, or of a batch's, each B×…."""


@dataclass(frozen=True)
class StreamSettings:
    """How the batches of a cohort are made.

    Args:
        batch_size: samples a batch (anchors a batch with ``class_pairs``, whose batches hold twice as many samples).
        drop_last: leave out an incomplete last batch.
        augmentation: complete settings of the task's augmentation.
        sampler: how batches are drawn, see :data:`kdbench.method.Sampler`.
        seed: of the stream.
        device: where batches are made.
        channels_last: memory format of inputs that have channels.
    """

    batch_size: int
    drop_last: bool
    augmentation: Mapping[str, Any]
    sampler: Sampler
    seed: int
    device: torch.device
    channels_last: bool


class Source(Protocol):
    """The training samples on the device, augmented on request."""

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Parameters:
        """Draw the augmentation of an epoch for samples of a shape K×N, from a CPU generator."""

    def batch(self, indices: Tensor, parameters: Parameters) -> Inputs:
        """The inputs of some samples (int64, B, on the device), in memory of their own, with these parameters (each B×…)."""


class PlainSource:
    """Samples without augmentation.

    Args:
        inputs: of the training split.
        device: where batches are made.
    """

    def __init__(self, inputs: Inputs, device: torch.device) -> None:
        self._inputs = map_inputs(lambda t: t.to(device), inputs)

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Parameters:
        """Nothing is drawn."""
        return ()

    def batch(self, indices: Tensor, parameters: Parameters) -> Inputs:
        """The samples as they are."""
        return select(self._inputs, indices)


class TrainStream:
    """Batches of the training split, epoch by epoch.

    The training set lies on the device. Order and augmentation parameters are drawn on the CPU, so that they are the same for
    every device.

    Args:
        data: the data.
        settings: how batches are made.
        source: the training samples on the device.

    Raises:
        DataError: the training set is empty, or smaller than a batch where incomplete batches are left out; or partners of a class
            are asked for and samples have no class of their own.
    """

    def __init__(self, data: TaskData, settings: StreamSettings, source: Source) -> None:
        _check(data, settings)
        self.settings = settings
        self._source = source
        self._targets = data.train.targets.to(settings.device)
        self._partners = _Partners(data.train.targets) if settings.sampler == "class_pairs" else None

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        count, size = len(self._targets), self.settings.batch_size
        return count // size if self.settings.drop_last else -(-count // size)

    @property
    def samples_per_epoch(self) -> int:
        """Samples in all batches of an epoch, partners included."""
        anchors = min(len(self._targets), self.steps_per_epoch * self.settings.batch_size)
        return anchors if self._partners is None else 2 * anchors

    def epoch(self, e: int) -> Iterator[Batch]:
        """The batches of epoch ``e``, each in memory of its own."""
        size, device = self.settings.batch_size, self.settings.device
        indices, parameters = self._draw(e)
        indices = indices.to(device)
        parameters = tuple(None if p is None else p.to(device) for p in parameters)
        for step in range(self.steps_per_epoch):
            part = slice(step * size, (step + 1) * size)
            chosen = indices[:, part].flatten()
            drawn = tuple(None if p is None else p[:, part].flatten(0, 1) for p in parameters)
            yield with_units(self._source.batch(chosen, drawn), self._targets[chosen], chosen)

    def _draw(self, e: int) -> tuple[Tensor, Parameters]:
        """Indices K×N and augmentation parameters of an epoch, where K is 1, or 2 for anchors and partners.

        The order comes first from the generator, so that it is the same with and without augmentation and partners.
        """
        generator = named_generator("data-epoch", self.settings.seed, e)
        order = torch.randperm(len(self._targets), generator=generator)
        indices = order[None] if self._partners is None else torch.stack([order, self._partners.draw(order, generator)])
        return indices, self._source.draw(indices.shape, generator)


def with_units(inputs: Inputs, targets: Tensor, indices: Tensor) -> Batch:
    """A batch whose targets are those of the units that count.

    Args:
        inputs: of N samples.
        targets: N, or N×L with :data:`kdbench.data.types.PADDING` where there is no unit.
        indices: N.
    """
    if targets.dim() == 1:
        return Batch(inputs, targets, indices)
    mask = targets != PADDING
    return Batch(inputs, targets[mask], indices, mask)


def unit_targets(split: Split) -> Tensor:
    """Targets of the units that count, in the order of the samples: int64, M."""
    return split.targets if split.targets.dim() == 1 else split.targets[split.targets != PADDING]


def plain_batches(split: Split, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """The samples of a split in their order, as they are; the last batch may hold fewer."""
    for start in range(0, len(split), batch_size):
        chosen = torch.arange(start, min(start + batch_size, len(split)))
        inputs = map_inputs(lambda t: t.to(device), select(split.inputs, chosen))
        yield with_units(inputs, split.targets[chosen].to(device), chosen.to(device))


class _Partners:
    """Draws, for each sample, another one of its class (itself, where it is the only one).

    Args:
        targets: classes, int64, N.
    """

    def __init__(self, targets: Tensor) -> None:
        self.members = torch.argsort(targets, stable=True)  # class by class
        sizes = torch.bincount(targets)
        self.size = sizes[targets]
        self.start = (sizes.cumsum(0) - sizes)[targets]
        self.rank = torch.empty_like(targets)
        self.rank[self.members] = torch.arange(len(targets))
        self.rank -= self.start

    def draw(self, anchors: Tensor, generator: torch.Generator) -> Tensor:
        """A partner for each anchor."""
        size, start, rank = self.size[anchors], self.start[anchors], self.rank[anchors]
        ahead = 1 + (torch.rand(len(anchors), generator=generator, dtype=torch.float64) * (size - 1)).long()
        return self.members[start + (rank + ahead) % size]


def _check(data: TaskData, settings: StreamSettings) -> None:
    count = len(data.train)
    if count == 0:
        raise DataError(f"the training set of {data.name} is empty")
    if settings.drop_last and count < settings.batch_size:
        raise DataError(
            f"the training set of {data.name} holds {count} samples, less than one batch of {settings.batch_size}:"
            " set recipe.batch_size lower, or recipe.drop_last to false"
        )
    if settings.sampler == "class_pairs" and data.train.targets.dim() != 1:
        raise DataError(f"samples of {data.name} have no class of their own, so they cannot be drawn in pairs of one class")
