"""Stratified splits that are the same on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kdbench.seeding import named_seed


def stratified_cut(targets: Tensor, size: int, purpose: str, seed: int) -> tuple[Tensor, Tensor]:
    """Draw ``size`` samples so that each class keeps its share, within one sample.

    Args:
        targets: classes, int64, N.
        size: number of samples to draw, at most N.
        purpose: name of the split; splits with different names are independent.
        seed: the seed.

    Returns:
        The positions that were drawn and those that were not, each int64 and ascending.
    """
    classes = targets.numpy()
    generator = _frozen_generator(purpose, seed)
    sizes = _allocate(np.bincount(classes), size, generator)
    chosen = np.zeros(len(classes), dtype=bool)
    for label, count in enumerate(sizes):
        members = np.flatnonzero(classes == label)
        chosen[generator.permutation(members)[:count]] = True
    return torch.from_numpy(np.flatnonzero(chosen)), torch.from_numpy(np.flatnonzero(~chosen))


def _allocate(counts: npt.NDArray[np.int64], size: int, generator: np.random.RandomState) -> npt.NDArray[np.int64]:
    """Divide ``size`` in proportion to ``counts``, by the largest-remainder method.

    Ties are broken at random.
    """
    total = max(int(counts.sum()), 1)
    sizes: npt.NDArray[np.int64] = size * counts // total
    left = size * counts % total
    order = np.lexsort((generator.permutation(len(counts)), -left))
    sizes[order[: size - int(sizes.sum())]] += 1
    return sizes


def _frozen_generator(purpose: str, seed: int) -> np.random.RandomState:
    # NumPy guarantees that RandomState's streams never change (NEP 19); there is no such guarantee for
    # Generator's or torch's.
    mixed = named_seed("split", purpose, seed)
    return np.random.RandomState([mixed >> 32, mixed & 0xFFFFFFFF])
