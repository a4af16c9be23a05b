"""What can be said of data by looking at every byte: fingerprint and channel statistics."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from kdbench.data.types import Split
from kdbench.seeding import canonical_json


def fingerprint(splits: Mapping[str, Split], class_names: tuple[str, ...]) -> str:
    """SHA-256 of shapes, types and bytes of all splits and of the class names, as 16 hexadecimal digits."""
    sha = hashlib.sha256(canonical_json(list(class_names)).encode())
    for name, split in splits.items():
        for part, tensor in (("inputs", split.inputs), ("targets", split.targets)):
            sha.update(canonical_json([name, part, list(tensor.shape), str(tensor.dtype)]).encode())
            sha.update(tensor.contiguous().numpy().data)
    return sha.hexdigest()[:16]


def channel_statistics(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, of inputs scaled to [0, 1].

    The sums are exact integers, so that the result has the same bits everywhere. A constant channel gets a deviation of 1.

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
