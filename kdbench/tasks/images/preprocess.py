"""Preprocessing: from the bytes of images to the input of one network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.data.types import TaskData
from kdbench.errors import DataError
from kdbench.models.pretrained import pretrained_config
from kdbench.suite.schema import ModelSpec
from kdbench.tasks.images.settings import Preprocessing


class Normalize:
    """Turns bytes into ``(x / 255 - mean) / std``, float32, and resizes the images.

    Args:
        shape: channels, height and width of the images.
        mean: mean of each channel, for images scaled to [0, 1].
        std: standard deviation of each channel, likewise.
        size: height and width of the network's input; ``None`` for those of the images.
        device: device of the images.
        channels_last: whether the bytes are N×H×W×C rather than N×C×H×W.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        mean: Tensor,
        std: Tensor,
        size: tuple[int, int] | None,
        device: torch.device,
        channels_last: bool,
    ) -> None:
        self._shape = shape
        self._size = None if size == shape[1:] else size
        self._channels_last = channels_last
        # One factor and one summand per byte of an image: long vectors are three times as fast as
        # broadcasting over three channels.
        area = shape[1] * shape[2]

        def spread(per_channel: Tensor) -> Tensor:
            return (per_channel.repeat(area) if channels_last else per_channel.repeat_interleave(area)).to(device)

        mean, std = mean.double(), std.double()
        self._factor = spread((1 / (255 * std)).float())
        self._summand = spread((-mean / std).float())

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize uint8 images to float32 N×C×H×W.

        The result has the channels-last memory format if the bytes are N×H×W×C.
        """
        channels, height, width = self._shape
        flat = images.reshape(len(images), -1).float().mul_(self._factor).add_(self._summand)
        if self._channels_last:
            normal = flat.view(-1, height, width, channels).permute(0, 3, 1, 2)
        else:
            normal = flat.view(-1, channels, height, width)
        if self._size is None:
            return normal
        return F.interpolate(normal, self._size, mode="bilinear", antialias=True)


def normalize(data: TaskData, wanted: Mapping[str, Any] | None, device: torch.device, channels_last: bool) -> Normalize:
    """Create the normalization of a network; its defaults come from the data.

    Raises:
        DataError: mean or standard deviation are given for another number of channels.
    """
    shape = image_shape(data)
    mean, std = mean_and_std(data.statistics, wanted, shape[0])
    size = Preprocessing.model_validate(dict(wanted or {})).size
    return Normalize(shape, mean, std, size, device, channels_last)


def mean_and_std(statistics: Mapping[str, Tensor], wanted: Mapping[str, Any] | None, channels: int) -> tuple[Tensor, Tensor]:
    """Return the mean and standard deviation of each channel for normalisation.

    Args:
        statistics: statistics of the data: ``mean`` and ``std``, each float32, C.
        wanted: preprocessing of the network, which takes precedence.
        channels: C.

    Raises:
        DataError: the preprocessing is for another number of channels.
    """
    own = Preprocessing.model_validate(dict(wanted or {}))
    mean = statistics["mean"] if own.mean is None else _per_channel("mean", own.mean, channels)
    std = statistics["std"] if own.std is None else _per_channel("std", own.std, channels)
    return mean, std


def pretrained_statistics(spec: ModelSpec) -> dict[str, Any]:
    """Return the ``mean`` and ``std`` of pretrained weights; empty if unknown."""
    config = pretrained_config(spec)
    if config.get("mean") is None or config.get("std") is None:
        return {}
    return {"mean": list(config["mean"]), "std": list(config["std"])}


def image_shape(data: TaskData) -> tuple[int, int, int]:
    """Return channels, height and width of the images of a data set."""
    inputs = data.train.inputs
    assert isinstance(inputs, Tensor)
    channels, height, width = inputs.shape[1:]
    return channels, height, width


def _per_channel(name: str, values: tuple[float, ...], channels: int) -> Tensor:
    if len(values) == channels:
        return torch.tensor(values)
    if len(values) == 1:
        return torch.tensor(values * channels)
    if channels == 1 and len(values) == 3:  # timm sums the first convolution's weights over the channels: gray is their mean
        return torch.tensor([sum(values) / len(values)])
    has = f"{channels} channel{'s' * (channels != 1)}"
    raise DataError(f"preprocessing.{name} has {len(values)} values, but the images have {has}")
