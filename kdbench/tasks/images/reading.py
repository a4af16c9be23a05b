"""From image files to a data set, as ``folder`` and ``parquet`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from kdbench.data.types import RawData, Split
from kdbench.tasks.images.decode import SQUARE, Channels, Source, decode_images
from kdbench.tasks.images.survey import Survey, survey


@dataclass(frozen=True)
class Part:
    """The encoded images of one split.

    Args:
        sources: the images, or paths of their files.
        targets: a class for each of them.
        label: names the image at a position, for messages.
    """

    sources: Sequence[Source]
    targets: Sequence[int]
    label: Callable[[int], str]


@dataclass(frozen=True)
class Reading:
    """Everything that decides how images are decoded.

    Args:
        parts: ``train`` and ``test``, and ``validation`` if the data set has it.
        class_names: one name per class.
        size: side of the square that images are resized to; ``None`` keeps their size.
        channels: number of channels; by default 1 if every image is grey, else 3.
        notes: what a user should know about the images that are not decoded.
    """

    parts: Mapping[str, Part]
    class_names: tuple[str, ...]
    size: int | None
    channels: Channels | None
    notes: Sequence[str] = field(default=())

    def decode(self) -> RawData:
        """Decode every image.

        Raises:
            DataError: an image is damaged, or of another size than the others.
        """
        channels = self.channels or self._survey.channels
        splits: dict[str, Split] = {}
        image_size: tuple[int, ...] = ()
        for name, part in self.parts.items():
            targets = torch.tensor(part.targets, dtype=torch.int64)
            if part.sources:
                inputs = decode_images(part.sources, part.label, self.size, channels)
                splits[name], image_size = Split(inputs, targets), inputs.shape[1:]
            else:
                splits[name] = Split(torch.empty((0, *image_size), dtype=torch.uint8), targets)
        return self._noted(RawData(splits["train"], splits["test"], self.class_names, splits.get("validation")), channels)

    def renew(self, old: RawData) -> RawData | None:
        """Return what an older version decoded, with notes.

        It is ``None`` if it is decoded differently now. Older versions went by the first image where
        ``channels`` is not given, did not turn images upright, and took other columns of parquet files for
        labels.
        """
        shape: tuple[int, ...] = tuple(getattr(old.train.inputs, "shape", ()))
        targets = {name: split.targets.tolist() for name, split in old.splits().items()}
        now = {name: list(part.targets) for name, part in self.parts.items()}
        channels = self.channels or self._survey.channels
        if self._survey.turned or len(shape) != 4 or shape[1] != channels:
            return None
        if old.class_names != self.class_names or targets != now:
            return None
        return self._noted(old, channels)

    @cached_property
    def _survey(self) -> Survey:
        return sum((survey(part.sources, part.label) for part in self.parts.values()), Survey())

    def _noted(self, data: RawData, channels: Channels) -> RawData:
        notes = (*self.notes, *self._survey.notes(channels))
        return replace(data, notes=notes, preparation={} if self.size is None else dict(SQUARE))
