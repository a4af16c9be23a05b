"""Images that stay on the device, from which batches are cropped and flipped.

Images are stored as uint8, padded once, in the memory format of the batches. A line of a crop is then a
contiguous run of bytes, so that a batch of crops is a single gather of lines: see
``benchmarks/bench_stream.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdbench.data.types import TaskData
from kdbench.tasks.images.preprocess import image_shape
from kdbench.tasks.images.settings import Augmentation
from kdbench.tasks.stream import Parameters

CHUNK = 4096
"""Images padded at a time, which bounds the memory of intermediate results."""


class ResidentImages:
    """Training images on the device.

    Args:
        data: the data, whose training split is stored.
        augmentation: the augmentation, which decides the padding.
        device: device of the images.
        channels_last: memory format of the batches.
    """

    def __init__(self, data: TaskData, augmentation: Augmentation, device: torch.device, channels_last: bool) -> None:
        assert isinstance(data.train.inputs, Tensor)
        self.channels, self.height, self.width = image_shape(data)
        self.augmentation = augmentation
        self.padding = augmentation.crop_padding
        self.channels_last = channels_last
        self.pixels = self._lay_out(data.train.inputs, augmentation, device)
        self._lines = self._line_starts().to(device)

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Parameters:
        """Draw an epoch's crops and flips for K×N samples.

        Returns:
            Top and left edge of each crop in the padded image (int64, K×N×2; ``None`` without padding), and
            whether each crop is flipped left-right (bool, K×N; ``None`` without flips).
        """
        offsets = mirrored = None
        if self.padding:
            offsets = torch.randint(2 * self.padding + 1, (*shape, 2), generator=generator)
        if self.augmentation.flip:
            mirrored = torch.randint(2, shape, generator=generator).bool()
        return offsets, mirrored

    def batch(self, indices: Tensor, parameters: Parameters) -> Tensor:
        """Crop and flip some images.

        Args:
            indices: the images, int64, N, on the device.
            parameters: edges of the crops N×2 and flips N, from :meth:`draw`.

        Returns:
            uint8, N×H×W×C with channels last, else N×C×H×W.
        """
        offsets, mirrored = parameters
        crops = self.pixels.index_select(0, indices) if offsets is None else self._crop(indices, offsets)
        if mirrored is None:
            return crops
        # Selecting rows from both copies takes a third of the time of torch.where, which works byte by byte.
        both = torch.cat([crops, crops.flip(2 if self.channels_last else 3)])
        return both.index_select(0, torch.arange(len(crops), device=both.device) + len(crops) * mirrored)

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
        """Return the byte offsets of the lines of a top-left crop: H of them, or C·H."""
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
        # All runs of `line` bytes, as the overlapping rows of one matrix: gathering rows copies whole runs.
        runs = flat.as_strided((flat.numel() - line + 1, line), (1, 1))
        lines = runs.index_select(0, (starts[:, None] + self._lines).flatten())
        return lines.view(len(indices), *self._crop_shape())

    def _crop_shape(self) -> tuple[int, int, int]:
        if self.channels_last:
            return (self.height, self.width, self.channels)
        return (self.channels, self.height, self.width)


def _reflect(images: Tensor, padding: int) -> Tensor:
    """Pad uint8 N×C×H×W by reflection, which torch supports only for floats."""
    for axis in (2, 3):
        last = images.shape[axis] - 1
        position = torch.arange(-padding, last + padding + 1, device=images.device).abs()
        images = images.index_select(axis, last - (last - position).abs())
    return images
