from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdbench.data.types import Batch
from kdbench.tasks.images.resident import ResidentImages
from kdbench.tasks.images.settings import Augmentation
from tests.tasks.images.samples import CPU, normalised, pixels, stream, task

FULL = {"crop_padding": 2, "flip": True}


def naive(image: Tensor, padding: int, mode: str, top: int, left: int, mirrored: bool) -> np.ndarray:
    _, height, width = image.shape
    edges = ((0, 0), (padding, padding), (padding, padding))
    padded = np.pad(image.numpy(), edges, mode="constant" if mode == "zeros" else "reflect")
    crop = padded[:, top : top + height, left : left + width]
    return crop[:, :, ::-1] if mirrored else crop


@given(
    shape=st.tuples(st.sampled_from([1, 2, 3]), st.integers(3, 7), st.integers(3, 7)),
    padding=st.integers(0, 2),
    mode=st.sampled_from(["zeros", "reflect"]),
    channels_last=st.booleans(),
    drawn=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_a_batch_of_crops_and_mirrors_is_what_each_sample_alone_would_give(
    shape: tuple[int, int, int], padding: int, mode: Any, channels_last: bool, drawn: st.DataObject
) -> None:
    data = task(5, shape)
    images = ResidentImages(data, Augmentation(crop_padding=padding, crop_mode=mode), CPU, channels_last)
    offset = st.integers(0, 2 * padding)
    rows = drawn.draw(st.lists(st.tuples(st.integers(0, 4), offset, offset, st.booleans()), min_size=1, max_size=6))
    indices = torch.tensor([r[0] for r in rows])
    offsets = torch.tensor([r[1:3] for r in rows]) if padding else None
    crops = images.batch(indices, (offsets, torch.tensor([r[3] for r in rows])))
    expected = np.stack([naive(data.train.inputs[i], padding, mode, top, left, flip) for i, top, left, flip in rows])
    np.testing.assert_array_equal((crops.permute(0, 3, 1, 2) if channels_last else crops).numpy(), expected)
    batch = Batch(crops, data.train.targets[indices], indices)
    np.testing.assert_array_equal(pixels(data, normalised(data, batch, channels_last)).numpy(), expected)


def test_padding_with_zeros_is_black_and_not_the_mean() -> None:
    data = task(2, (1, 3, 3))
    images = ResidentImages(data, Augmentation(crop_padding=3), CPU, True)
    first = torch.tensor([0])
    corner = normalised(data, Batch(images.batch(first, (torch.tensor([[0, 0]]), None)), first, first))
    black = -data.statistics["mean"] / data.statistics["std"]
    torch.testing.assert_close(corner, black.expand(1, 1, 3, 3))


def test_crops_reach_every_offset_and_half_of_them_are_mirrored() -> None:
    one = stream(task(4000, (1, 2, 2)), batch_size=100, augmentation=FULL)
    _, (offsets, mirrored) = one._draw(0)
    assert offsets is not None
    assert mirrored is not None
    assert len({tuple(o) for o in offsets[0].tolist()}) == 25
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.gpu
def test_a_gpu_gets_the_same_batches() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    data, gpu = task(64), torch.device("cuda")
    for channels_last in (True, False):
        options: dict[str, Any] = {"augmentation": FULL, "sampler": "class_pairs", "channels_last": channels_last}
        for a, b in zip(stream(data, **options).epoch(0), stream(data, device=gpu, **options).epoch(0), strict=True):
            assert torch.equal(a.indices, b.indices.cpu())
            assert torch.equal(a.inputs, b.inputs.cpu())
            torch.testing.assert_close(normalised(data, a, channels_last), normalised(data, b, channels_last, device=gpu).cpu())
