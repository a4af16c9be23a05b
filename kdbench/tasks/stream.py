"""The training stream: batches in an order that depends on seed and epoch only."""

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
"""Parameters of the augmentation of an epoch, each K×N×…, or of a batch, each B×…."""


@dataclass(frozen=True)
class StreamSettings:
    """How the batches of a cohort are made.

    Args:
        batch_size: samples per batch (anchors per batch with ``class_pairs``, whose batches have twice as
            many samples).
        drop_last: whether to drop an incomplete last batch.
        augmentation: complete settings of the task's augmentation.
        sampler: how batches are drawn, see :data:`kdbench.method.Sampler`.
        seed: seed of the stream.
        device: device of the batches.
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
    """The training samples on the device, with augmentation."""

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Parameters:
        """Draw the augmentation of an epoch for K×N samples, from a CPU generator."""

    def batch(self, indices: Tensor, parameters: Parameters) -> Inputs:
        """Create the inputs of a batch, in memory of their own.

        Args:
            indices: the samples, int64, B, on the device.
            parameters: their augmentation, each B×….
        """


class PlainSource:
    """Samples without augmentation.

    Args:
        inputs: inputs of the training split.
        device: device of the batches.
    """

    def __init__(self, inputs: Inputs, device: torch.device) -> None:
        self._inputs = map_inputs(lambda t: t.to(device), inputs)

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Parameters:
        """Draw nothing."""
        return ()

    def batch(self, indices: Tensor, parameters: Parameters) -> Inputs:
        """Return the samples unchanged."""
        return select(self._inputs, indices)


class TrainStream:
    """Batches of the training split, epoch by epoch.

    The training set is on the device. Order and augmentation parameters are drawn on the CPU, so that they
    are the same on every device.

    Args:
        data: the data.
        settings: how batches are made.
        source: the training samples on the device.

    Raises:
        DataError: the training set is empty, or smaller than a batch although incomplete batches are dropped;
            or partners of the same class are requested, but samples do not have one class each.
    """

    def __init__(self, data: TaskData, settings: StreamSettings, source: Source) -> None:
        check_stream(data, settings)
        self.settings = settings
        self._source = source
        self._targets = data.train.targets.to(settings.device)
        self._partners = _Partners(data.train.targets) if settings.sampler == "class_pairs" else None

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        count, size = len(self._targets), self.settings.batch_size
        return count // size if self.settings.drop_last else -(-count // size)

    @property
    def samples_per_epoch(self) -> int:
        """Number of samples in all batches of an epoch, including partners."""
        anchors = min(len(self._targets), self.steps_per_epoch * self.settings.batch_size)
        return anchors if self._partners is None else 2 * anchors

    def epoch(self, e: int) -> Iterator[Batch]:
        """Yield the batches of epoch ``e``, each in memory of its own."""
        size, device = self.settings.batch_size, self.settings.device
        indices, parameters = self._draw(e)
        indices = indices.to(device)
        parameters = tuple(None if p is None else p.to(device) for p in parameters)
        for step in range(self.steps_per_epoch):
            part = slice(step * size, (step + 1) * size)
            chosen = indices[:, part].flatten().clone()  # methods see it, and must not see the batches to come
            drawn = tuple(None if p is None else p[:, part].flatten(0, 1) for p in parameters)
            yield with_units(self._source.batch(chosen, drawn), self._targets[chosen], chosen)

    def _draw(self, e: int) -> tuple[Tensor, Parameters]:
        """Draw indices K×N and augmentation parameters of an epoch.

        K is 1, or 2 for anchors and partners. The order is drawn first, so that it is the same with and
        without augmentation and partners.
        """
        generator = named_generator("data-epoch", self.settings.seed, e)
        order = torch.randperm(len(self._targets), generator=generator)
        indices = order[None] if self._partners is None else torch.stack([order, self._partners.draw(order, generator)])
        return indices, self._source.draw(indices.shape, generator)


def with_units(inputs: Inputs, targets: Tensor, indices: Tensor) -> Batch:
    """Create a batch, dropping targets that are padding.

    Args:
        inputs: inputs of N samples.
        targets: N, or N×L with :data:`kdbench.data.types.PADDING` for positions that are not units.
        indices: N.
    """
    if targets.dim() == 1:
        return Batch(inputs, targets, indices)
    mask = targets != PADDING
    return Batch(inputs, targets[mask], indices, mask)


def unit_targets(split: Split) -> Tensor:
    """Return the targets that are not padding, in the order of the samples: int64, M."""
    return split.targets if split.targets.dim() == 1 else split.targets[split.targets != PADDING]


def plain_batches(split: Split, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Yield the samples of a split in order; the last batch may be smaller."""
    for start in range(0, len(split), batch_size):
        chosen = torch.arange(start, min(start + batch_size, len(split)))
        inputs = map_inputs(lambda t: t.to(device), select(split.inputs, chosen))
        yield with_units(inputs, split.targets[chosen].to(device), chosen.to(device))


class _Partners:
    """Draws, for each sample, another one of its class (itself if it is the only one).

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
        """Draw a partner for each anchor."""
        size, start, rank = self.size[anchors], self.start[anchors], self.rank[anchors]
        ahead = 1 + (torch.rand(len(anchors), generator=generator, dtype=torch.float64) * (size - 1)).long()
        return self.members[start + (rank + ahead) % size]


def check_stream(data: TaskData, settings: StreamSettings) -> None:
    """Check that batches can be made as a recipe asks.

    Raises:
        DataError: there are no samples, or fewer than in a batch, or they do not have the required classes.
    """
    count = len(data.train)
    if count == 0:
        raise DataError(f"the training set of {data.name} is empty")
    if settings.drop_last and count < settings.batch_size:
        raise DataError(
            f"the training set of {data.name} has {count} samples, fewer than one batch of {settings.batch_size}:"
            " lower recipe.batch_size, or set recipe.drop_last to false"
        )
    if settings.sampler == "class_pairs" and data.train.targets.dim() != 1:
        raise DataError(f"samples of {data.name} do not have one class each, so they cannot be drawn in pairs of one class")
