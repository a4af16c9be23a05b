from __future__ import annotations

import pytest
import torch

from kdbench.data.content import fingerprint
from kdbench.data.types import Split

NAMES = ("a", "b")


def split() -> Split:
    return Split(torch.arange(2 * 3 * 4 * 4).view(2, 3, 4, 4).to(torch.uint8), torch.tensor([0, 1]))


def test_a_fingerprint_is_of_content_alone() -> None:
    scattered = split().inputs.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # the same values, in another memory order
    assert fingerprint({"train": split()}, NAMES) == fingerprint({"train": Split(scattered, split().targets)}, NAMES)


@pytest.mark.parametrize("change", ["pixel", "target", "class name", "split", "shape", "order"])
def test_a_fingerprint_shows_any_change(change: str) -> None:
    one, names, key = split(), NAMES, "train"
    match change:
        case "pixel":
            one.inputs[1, 2, 3, 3] ^= 1
        case "target":
            one.targets[0] = 1
        case "class name":
            names = ("a", "c")
        case "split":
            key = "test"
        case "shape":
            one = Split(one.inputs.view(2, 3, 2, 8), one.targets)
        case "order":
            one = Split(one.inputs.flip(0), one.targets)
    assert fingerprint({key: one}, names) != fingerprint({"train": split()}, NAMES)
