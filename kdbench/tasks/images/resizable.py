"""Data sets whose images have one size, and may be resized to another."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from kdbench.data.types import Dataset, RawData, Split
from kdbench.tasks.images.decode import SQUARE, resize_images
from kdbench.tasks.images.settings import Side


class Resizable(Dataset):
    """Base class of data sets with the option ``size``."""

    class Options(BaseModel):
        """How the images are presented.

        Args:
            size: side of the square that images are resized to (bicubic), for networks that want more pixels
                than there are.
        """

        model_config = ConfigDict(frozen=True, extra="forbid")

        size: Side | None = None

    options: Resizable.Options

    def resized(self, data: RawData) -> RawData:
        """Return the data with images of the size that was asked for.

        Raises:
            DataError: they do not fit into memory.
        """
        size = self.options.size
        if size is None:
            return data

        def resize(split: Split) -> Split:
            assert isinstance(split.inputs, Tensor)
            return Split(resize_images(split.inputs, size), split.targets)

        return replace(data, train=resize(data.train), test=resize(data.test), preparation=dict(SQUARE))
