from __future__ import annotations

import pytest
import torch

from tests.tasks.images.samples import batches, normalised, pixels, stream, task

FULL = {"crop_padding": 2, "flip": True}


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 5, 5)])
def test_a_batch_holds_the_images_and_classes_that_its_indices_name(shape: tuple[int, int, int], channels_last: bool) -> None:
    data = task(12, shape)
    for batch in stream(data, channels_last=channels_last).epoch(1):
        inputs = normalised(data, batch, channels_last)
        assert torch.equal(pixels(data, inputs), data.train.inputs[batch.indices])
        assert torch.equal(batch.targets, data.train.targets[batch.indices])
        assert inputs.dtype == torch.float32
        assert batch.targets.dtype == batch.indices.dtype == torch.int64
        order = torch.channels_last if channels_last else torch.contiguous_format
        assert inputs.is_contiguous(memory_format=order)


def test_training_and_evaluation_normalise_alike_to_the_bit() -> None:
    data = task(12)
    shown = {int(i): x for b in stream(data).epoch(0) for i, x in zip(b.indices, normalised(data, b), strict=True)}
    for batch in batches(data.train, batch_size=5, channels_last=False):
        for i, x in zip(batch.indices, normalised(data, batch, channels_last=False), strict=True):
            assert torch.equal(x, shown[int(i)])


def test_memory_order_does_not_change_values() -> None:
    data = task(12)
    pairs = zip(*(stream(data, augmentation=FULL, channels_last=c).epoch(0) for c in (True, False)), strict=True)
    for a, b in pairs:
        assert torch.equal(normalised(data, a, channels_last=True), normalised(data, b, channels_last=False))
        assert torch.equal(a.indices, b.indices)


@pytest.mark.parametrize("channels_last", [True, False])
def test_normalising_leaves_the_batch_that_others_share_as_it_was(channels_last: bool) -> None:
    data = task(8)
    one = stream(data, batch_size=8, channels_last=channels_last)
    batch = next(one.epoch(0))
    before = batch.inputs.clone()
    normalised(data, batch, channels_last).zero_()
    assert torch.equal(batch.inputs, before)


def test_evaluation_keeps_the_order_and_the_incomplete_batch() -> None:
    data = task(10)
    made = list(batches(data.test, batch_size=4, channels_last=True))
    assert [b.indices.tolist() for b in made] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    shown = [normalised(data, b) for b in made]
    inputs = torch.cat(shown)
    assert torch.equal(pixels(data, inputs), data.test.inputs)
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3), correction=0), torch.ones(3))
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in shown)


def test_evaluation_of_an_empty_split_gives_no_batch() -> None:
    data = task(4)
    assert list(batches(data.validation, batch_size=4, channels_last=True)) == []
