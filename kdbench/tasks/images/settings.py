"""A suite's settings for images: augmentation, and preprocessing for a network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

MAX_SIDE = 4096
"""Longest side of an image that is trained on, in pixels."""

Side = Annotated[PositiveInt, Field(le=MAX_SIDE)]


class Settings(BaseModel):
    """Base class: immutable, rejects unknown keys and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Augmentation(Settings):
    """Augmentation of training images, with parameters drawn per sample.

    Args:
        crop_padding: pad by this many pixels on each side and crop back at a random position; 0 disables
            crops.
        crop_mode: content of the padding: ``zeros`` (black in the original image) or ``reflect``.
        flip: flip left-right with probability 1/2.
    """

    crop_padding: Annotated[NonNegativeInt, Field(le=MAX_SIDE)] = 0
    crop_mode: Literal["zeros", "reflect"] = "zeros"
    flip: bool = False


Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=1000)]


class Preprocessing(Settings):
    """Preprocessing of a network's images: ``(x / 255 - mean) / std``, resized.

    Args:
        mean: mean of each channel, for images scaled to [0, 1]; that of the training images by default.
        std: standard deviation of each channel, likewise.
        size: height and width that images are resized to (bilinear, antialiased); those of the data by
            default.
    """

    mean: Channels | None = None
    std: Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=1000)] | None = None
    size: tuple[Side, Side] | None = None
