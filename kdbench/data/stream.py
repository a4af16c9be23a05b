"""The training stream: whole batches, augmented on the device, in an order that is a pure function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from kdbench.data.resident import Normalise, ResidentImages
from kdbench.data.types import Batch, Split, TaskData
from kdbench.errors import DataError
from kdbench.method import Sampler
from kdbench.seeding import named_generator
from kdbench.suite.schema import Augmentation


class TrainStream:
    """Batches of the training split, epoch by epoch.

    The training set lies on the device as uint8. Order and augmentation parameters are drawn on the CPU, so that they are
    the same for every device.

    Args:
        data: the task.
        batch_size: samples a batch (anchors a batch with ``class_pairs``, whose batches hold twice as many samples).
        drop_last: leave out an incomplete last batch.
        augmentation: of training samples.
        sampler: how batches are drawn, see :data:`kdbench.method.Sampler`.
        seed: of the stream.
        device: where batches are made.
        channels_last: memory order of the inputs.

    Raises:
        DataError: the training set is smaller than a batch and incomplete batches are left out, or smaller than its padding.
    """

    def __init__(
        self,
        data: TaskData,
        *,
        batch_size: int,
        drop_last: bool,
        augmentation: Augmentation,
        sampler: Sampler,
        seed: int,
        device: torch.device,
        channels_last: bool,
    ) -> None:
        _check(data, batch_size, drop_last, augmentation)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.augmentation = augmentation
        self.seed = seed
        self.device = torch.device(device)
        self._images = ResidentImages(data, augmentation, self.device, channels_last)
        self._targets = data.train.targets.to(self.device)
        self._partners = _Partners(data.train.targets) if sampler == "class_pairs" else None

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        count = len(self._targets)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    @property
    def samples_per_epoch(self) -> int:
        """Samples in all batches of an epoch, partners included."""
        anchors = min(len(self._targets), self.steps_per_epoch * self.batch_size)
        return anchors if self._partners is None else 2 * anchors

    def epoch(self, e: int) -> Iterator[Batch]:
        """The batches of epoch ``e``, each in memory of its own."""
        indices, offsets, mirrored = (None if t is None else t.to(self.device) for t in self._draw(e))
        assert indices is not None
        for step in range(self.steps_per_epoch):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            chosen = indices[:, part].flatten()
            inputs = self._images.batch(
                chosen,
                None if offsets is None else offsets[:, part].flatten(0, 1),
                None if mirrored is None else mirrored[:, part].flatten(),
            )
            yield Batch(inputs, self._targets[chosen], chosen)

    def _draw(self, e: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Indices, crop offsets and mirroring of an epoch: K×N, K×N×2, K×N, where K is 1, or 2 for anchors and partners.

        The order comes first from the generator, so that it is the same with and without augmentation and partners.
        """
        generator = named_generator("data-epoch", self.seed, e)
        order = torch.randperm(len(self._targets), generator=generator)
        indices = order[None] if self._partners is None else torch.stack([order, self._partners.draw(order, generator)])
        offsets = mirrored = None
        if padding := self.augmentation.crop_padding:
            offsets = torch.randint(2 * padding + 1, (*indices.shape, 2), generator=generator)
        if self.augmentation.flip:
            mirrored = torch.randint(2, indices.shape, generator=generator).bool()
        return indices, offsets, mirrored


def evaluation_batches(
    split: Split, data: TaskData, *, batch_size: int, device: torch.device, channels_last: bool
) -> Iterator[Batch]:
    """The samples of a split in their order, normalised like training samples and not augmented.

    Args:
        split: the samples, on the CPU.
        data: the task that the split is of; its training split's mean and deviation count.
        batch_size: samples a batch; the last one may hold fewer.
        device: where batches go.
        channels_last: memory order of the inputs.
    """
    normalise = Normalise(data, torch.device(device), channels_last)
    for start in range(0, len(split), batch_size):
        images = split.inputs[start : start + batch_size].to(device)
        yield Batch(
            inputs=normalise(images.permute(0, 2, 3, 1) if channels_last else images),
            targets=split.targets[start : start + batch_size].to(device),
            indices=torch.arange(start, start + len(images), device=device),
        )


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


def _check(data: TaskData, batch_size: int, drop_last: bool, augmentation: Augmentation) -> None:
    count, side = len(data.train), min(data.input_shape[1:])
    if count == 0:
        raise DataError(f"the training set of {data.name} is empty")
    if drop_last and count < batch_size:
        raise DataError(
            f"the training set of {data.name} holds {count} samples, less than one batch of {batch_size}:"
            " set recipe.batch_size lower, or recipe.drop_last to false"
        )
    if augmentation.crop_mode == "reflect" and augmentation.crop_padding >= side:
        raise DataError(
            f"images of {side} pixels cannot be padded by {augmentation.crop_padding} pixels of their own reflection:"
            f" set recipe.augmentation.crop_padding to {side - 1} at most"
        )
