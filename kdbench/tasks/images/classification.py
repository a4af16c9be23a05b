"""Image classification, the default task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor

from kdbench.data.inputs import Inputs
from kdbench.data.types import Batch, RawData, Split, TaskData
from kdbench.errors import DataError
from kdbench.suite.schema import ModelSpec
from kdbench.tasks.images import settings
from kdbench.tasks.images.preprocess import image_shape, mean_and_std, normalize, pretrained_statistics
from kdbench.tasks.images.resident import ResidentImages
from kdbench.tasks.images.statistics import channel_statistics
from kdbench.tasks.stream import StreamSettings
from kdbench.tasks.task import SPLIT_NAMES, InputSpec, Preprocess, Task


class ImageClassification(Task):
    """Image classification: one class per image.

    Images are uint8 N×C×H×W in data sets, and float32 N×C×H×W for networks.
    """

    name: ClassVar[str] = "classification"
    unit: ClassVar[str] = "image"

    Augmentation: ClassVar[type[BaseModel]] = settings.Augmentation
    Preprocessing: ClassVar[type[BaseModel]] = settings.Preprocessing

    def check(self, name: str, raw: RawData) -> None:
        """Check that images are uint8 N×C×H×W of one shape, with one class each.

        Raises:
            DataError: they are not.
        """
        shape = getattr(raw.train.inputs, "shape", torch.Size())[1:]
        for which, split in raw.splits().items():
            wrong = _wrong(split, shape)
            if wrong:
                raise DataError(f'data set "{name}": the {SPLIT_NAMES[which]} {wrong}')
        super().check(name, raw)

    def statistics(self, train: Split) -> dict[str, Tensor]:
        """Compute each channel's ``mean`` and ``std``, for images in [0, 1]; float32, C."""
        assert isinstance(train.inputs, Tensor)
        mean, std = channel_statistics(train.inputs)
        return {"mean": mean, "std": std}

    def preprocessing(self, given: Mapping[str, Any] | None, spec: ModelSpec) -> dict[str, Any] | None:
        """Return a network's preprocessing: the suite's, or that of timm's weights.

        Raises:
            pydantic.ValidationError: a key is unknown or a value is out of range.
        """
        own = super().preprocessing(given, spec) or {}
        default = pretrained_statistics(spec) if spec.weights == "pretrained" else {}
        return {**default, **own} or None

    def input_spec(self, data: TaskData, preprocessing: Mapping[str, Any] | None = None) -> InputSpec:
        """Return ``[channels, height, width]`` of a network's images.

        Raises:
            DataError: mean or standard deviation are given for another number of channels.
        """
        channels, height, width = image_shape(data)
        normalize(data, preprocessing, torch.device("cpu"), channels_last=False)
        return [channels, *(dict(preprocessing or {}).get("size") or (height, width))]

    def example(self, spec: InputSpec, batch_size: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """Create images, float32 N×C×H×W: zeros, or standard normal numbers."""
        if generator is None:
            return torch.zeros(batch_size, *spec)
        return torch.randn(batch_size, *spec, generator=generator)

    def model_arguments(self, spec: InputSpec, num_classes: int) -> dict[str, Any]:
        """Return ``num_classes``, ``in_chans`` and ``img_size`` (height, width)."""
        channels, height, width = spec
        return {"num_classes": num_classes, "in_chans": channels, "img_size": (height, width)}

    def preprocess(
        self, data: TaskData, preprocessing: Mapping[str, Any] | None, *, device: torch.device, channels_last: bool
    ) -> Preprocess:
        """Create the function from the stream's bytes to normalized float32 N×C×H×W."""
        function = normalize(data, preprocessing, device, channels_last)

        def apply(inputs: Inputs) -> Tensor:
            assert isinstance(inputs, Tensor)
            return function(inputs)

        return apply

    def network_config(
        self,
        spec: InputSpec,
        preprocessing: Mapping[str, Any] | None,
        statistics: Mapping[str, Tensor],
        class_names: Sequence[str],
    ) -> dict[str, Any]:
        """Describe a trained network for ``timm.data.resolve_model_data_config``.

        ``squash`` with a share of 1 means that images are resized to the network's size, whatever their
        aspect ratio, without a crop.
        """
        mean, std = mean_and_std(statistics, preprocessing, spec[0])
        return {
            "input_size": tuple(spec),
            "mean": tuple(mean.tolist()),
            "std": tuple(std.tolist()),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            **super().network_config(spec, preprocessing, statistics, class_names),
        }

    def source(self, data: TaskData, asked: StreamSettings) -> ResidentImages:
        """Create the source of training images on the device, cropped and flipped.

        Raises:
            DataError: images are smaller than their padding.
        """
        known = settings.Augmentation.model_validate(dict(asked.augmentation))
        _check_padding(known, min(image_shape(data)[1:]))
        return ResidentImages(data, known, asked.device, asked.channels_last)

    def check_stream(self, data: TaskData, settings: StreamSettings) -> None:
        """Check that there are enough images, and that they are larger than their padding.

        Raises:
            DataError: there are not, or they are not.
        """
        super().check_stream(data, settings)
        _check_padding(self.Augmentation.model_validate(dict(settings.augmentation)), min(image_shape(data)[1:]))

    def batches(self, split: Split, *, batch_size: int, device: torch.device, channels_last: bool) -> Iterator[Batch]:
        """Yield the images of a split in order, as bytes in the given memory format."""
        for batch in super().batches(split, batch_size=batch_size, device=device, channels_last=channels_last):
            images = batch.inputs
            assert isinstance(images, Tensor)
            yield Batch(images.permute(0, 2, 3, 1) if channels_last else images, batch.targets, batch.indices)


def _check_padding(augmentation: Any, side: int) -> None:
    """Check that images of a side are not padded by more than themselves."""
    padding, reflected = augmentation.crop_padding, augmentation.crop_mode == "reflect"
    most = side - 1 if reflected else side
    if padding > most:
        what = "pixels of their own reflection" if reflected else "pixels"
        raise DataError(
            f"images of {side} pixels cannot be padded by {padding} {what}: set recipe.augmentation.crop_padding to at most {most}"
        )


def _wrong(split: Split, shape: torch.Size) -> str:
    inputs, targets = split.inputs, split.targets
    if not isinstance(inputs, Tensor) or inputs.dtype != torch.uint8 or inputs.dim() != 4:
        what = f"{inputs.dtype} with {inputs.dim()} dimensions" if isinstance(inputs, Tensor) else type(inputs).__name__
        return f"inputs are {what}, not uint8 N×C×H×W"
    if len(inputs) and not inputs[0].numel():
        return f"images of shape {tuple(inputs.shape[1:])} have no pixels"
    if targets.dtype != torch.int64 or targets.shape != inputs.shape[:1]:
        return f"targets are {targets.dtype} of shape {tuple(targets.shape)}, not int64 of length {len(inputs)}"
    if inputs.shape[1:] != shape:
        return f"images are of shape {tuple(inputs.shape[1:])}, training images of {tuple(shape)}"
    return ""
