"""Data sets that come with a library and need no files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from kdbench.data.split import stratified_cut
from kdbench.data.types import RawData, Split
from kdbench.tasks.images.resizable import Resizable

TEST_SHARE = 0.2
"""The data set has no official split; this one is kdbench's own and never changes."""


class Digits(Resizable):
    """scikit-learn's handwritten digits: 1797 images, 1×8×8, a fixed fifth held out."""

    name: ClassVar[str] = "digits"
    title: ClassVar[str] = "handwritten digits (8×8, embedded)"

    def load(self, root: Path) -> RawData:
        """Return the images, with gray levels scaled from 0…16 to 0…255."""
        from sklearn.datasets import load_digits

        found = load_digits()
        levels = torch.from_numpy(found.images).to(torch.int64).unsqueeze(1)
        inputs = ((levels * 255 + 8) // 16).to(torch.uint8)
        targets = torch.from_numpy(found.target).to(torch.int64)
        test, train = stratified_cut(targets, round(len(targets) * TEST_SHARE), "digits", 0)
        names = tuple(str(n) for n in found.target_names)
        return self.resized(RawData(Split(inputs[train], targets[train]), Split(inputs[test], targets[test]), names))
