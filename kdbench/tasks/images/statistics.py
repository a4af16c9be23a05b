"""Mean and standard deviation of the channels of images."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def channel_statistics(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Compute each channel's mean and standard deviation, for images in [0, 1].

    The sums are exact integers, so that the result has the same bits everywhere. A constant channel gets a
    standard deviation of 1.

    Args:
        inputs: uint8, N×C×H×W.

    Returns:
        Mean and (population) standard deviation, each float32, C.
    """
    count = inputs.numel() // inputs.shape[1]
    mean, std = [], []
    for c in range(inputs.shape[1]):
        levels = list(enumerate(torch.bincount(inputs[:, c].reshape(-1), minlength=256).tolist()))
        total, squares = sum(v * n for v, n in levels), sum(v * v * n for v, n in levels)
        mean.append(total / (255 * count))
        std.append(math.sqrt((count * squares - total**2) / (255 * count) ** 2) or 1.0)
    return torch.tensor(mean), torch.tensor(std)
