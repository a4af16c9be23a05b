"""A set of images that lies on the device, and gives whole batches of crops, mirrored and normalised.

Images lie there as uint8 bytes, padded once, in the memory order that batches shall have. A line of a crop is then a run of
bytes that starts anywhere, so that a batch of crops is one gather of lines: see ``benchmarks/bench_stream.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdbench.data.types import TaskData
from kdbench.suite.schema import Augmentation

CHUNK = 4096
"""Images laid out at a time, which bounds the memory of intermediate results."""


class Normalise:
    """Turns bytes into ``(x / 255 - mean) / std``, float32.

    Args:
        data: whose mean and deviation are meant.
        device: where.
        channels_last: whether the bytes come as N×H×W×C rather than N×C×H×W.
    """

    def __init__(self, data: TaskData, device: torch.device, channels_last: bool) -> None:
        self.shape = data.input_shape
        self.channels_last = channels_last
        # One factor and one summand a byte of an image: long vectors are three times as fast as broadcasting three channels.
        area = self.shape[1] * self.shape[2]

        def spread(per_channel: Tensor) -> Tensor:
            return (per_channel.repeat(area) if channels_last else per_channel.repeat_interleave(area)).to(device)

        mean, std = data.mean.double(), data.std.double()
        self.factor = spread((1 / (255 * std)).float())
        self.summand = spread((-mean / std).float())

    def __call__(self, images: Tensor) -> Tensor:
        """Float32 N×C×H×W (in channels-last memory order if so asked), from uint8 with as many bytes an image."""
        channels, height, width = self.shape
        flat = images.reshape(len(images), -1).float().mul_(self.factor).add_(self.summand)
        if self.channels_last:
            return flat.view(-1, height, width, channels).permute(0, 3, 1, 2)
        return flat.view(-1, channels, height, width)


class ResidentImages:
    """Training images on the device.

    Args:
        data: the task; its training split is laid out.
        augmentation: says how images are padded.
        device: where.
        channels_last: memory order of batches.
    """

    def __init__(self, data: TaskData, augmentation: Augmentation, device: torch.device, channels_last: bool) -> None:
        self.channels, self.height, self.width = data.input_shape
        self.padding = augmentation.crop_padding
        self.channels_last = channels_last
        self.normalise = Normalise(data, device, channels_last)
        self.pixels = self._lay_out(data.train.inputs, augmentation, device)
        self._lines = self._line_starts().to(device)

    def batch(self, indices: Tensor, offsets: Tensor | None, mirrored: Tensor | None) -> Tensor:
        """Some images, cropped, mirrored and normalised.

        Args:
            indices: which images, int64, N, on the device.
            offsets: top and left edge of each crop in the padded image, int64, N×2; ``None`` without padding.
            mirrored: whether each crop is mirrored left-right, bool, N; ``None`` mirrors none.

        Returns:
            float32, N×C×H×W.
        """
        crops = self.pixels.index_select(0, indices) if offsets is None else self._crop(indices, offsets)
        if mirrored is not None:
            # Choosing rows from both copies takes a third of the time of torch.where, which goes byte by byte.
            both = torch.cat([crops, crops.flip(2 if self.channels_last else 3)])
            crops = both.index_select(0, torch.arange(len(crops), device=both.device) + len(crops) * mirrored)
        return self.normalise(crops)

    def _lay_out(self, inputs: Tensor, augmentation: Augmentation, device: torch.device) -> Tensor:
        p, C, H, W = self.padding, self.channels, self.height + 2 * self.padding, self.width + 2 * self.padding
        if p == 0 and (C == 1 or not self.channels_last):
            return inputs.to(device).view(-1, H, W, C) if self.channels_last else inputs.to(device)
        out = torch.zeros((len(inputs), *((H, W, C) if self.channels_last else (C, H, W))), dtype=torch.uint8, device=device)
        view = out.permute(0, 3, 1, 2) if self.channels_last else out
        if p == 0 or augmentation.crop_mode == "zeros":
            view[:, :, p : H - p, p : W - p] = inputs.to(device)
            return out
        for start in range(0, len(inputs), CHUNK):
            view[start : start + CHUNK] = _reflect(inputs[start : start + CHUNK].to(device), p)
        return out

    def _line_starts(self) -> Tensor:
        """Where the lines of a crop at the top left corner start, in bytes: H of them, or C·H."""
        across, down = self.width + 2 * self.padding, self.height + 2 * self.padding
        if self.channels_last:
            return torch.arange(self.height) * (across * self.channels)
        return (torch.arange(self.channels)[:, None] * (down * across) + torch.arange(self.height) * across).flatten()

    def _crop(self, indices: Tensor, offsets: Tensor) -> Tensor:
        flat = self.pixels.view(-1)
        pixel = self.channels if self.channels_last else 1
        line = self.width * pixel
        across = (self.width + 2 * self.padding) * pixel
        starts = indices * self.pixels[0].numel() + offsets[:, 0] * across + offsets[:, 1] * pixel
        # Every run of `line` bytes, as the overlapping rows of one matrix: gathering rows copies whole runs.
        runs = flat.as_strided((flat.numel() - line + 1, line), (1, 1))
        lines = runs.index_select(0, (starts[:, None] + self._lines).flatten())
        return lines.view(len(indices), *self._crop_shape())

    def _crop_shape(self) -> tuple[int, int, int]:
        if self.channels_last:
            return (self.height, self.width, self.channels)
        return (self.channels, self.height, self.width)


def _reflect(images: Tensor, padding: int) -> Tensor:
    """Pad N×C×H×W with what lies mirrored inside the edge (torch's own reflection padding takes no bytes)."""
    for axis in (2, 3):
        last = images.shape[axis] - 1
        position = torch.arange(-padding, last + padding + 1, device=images.device).abs()
        images = images.index_select(axis, last - (last - position).abs())
    return images
