from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kdbench.tasks.images.stream import TrainStream, evaluation_batches
from torch import Tensor

from kdbench.data.types import TaskData
from kdbench.errors import DataError
from kdbench.suite.schema import Augmentation
from kdbench.tasks.images.resident import ResidentImages
from tests.data.samples import sentence, task

CPU = torch.device("cpu")
FULL = Augmentation(crop_padding=2, flip=True)


def stream(data: TaskData, **changes: Any) -> TrainStream:
    options: dict[str, Any] = {
        "batch_size": 4,
        "drop_last": True,
        "augmentation": Augmentation(),
        "sampler": "shuffle",
        "seed": 7,
        "device": CPU,
        "channels_last": True,
    }
    return TrainStream(data, **(options | changes))


def pixels(data: TaskData, inputs: Tensor) -> Tensor:
    """Normalised inputs, turned back into bytes."""
    levels = (inputs.double() * data.std.view(-1, 1, 1) + data.mean.view(-1, 1, 1)) * 255
    assert (levels - levels.round()).abs().max() < 1e-3
    return levels.round().to(torch.uint8)


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
    batch = images.batch(
        torch.tensor([r[0] for r in rows]),
        torch.tensor([r[1:3] for r in rows]) if padding else None,
        torch.tensor([r[3] for r in rows]),
    )
    expected = np.stack([naive(data.train.inputs[i], padding, mode, top, left, flip) for i, top, left, flip in rows])
    np.testing.assert_array_equal(pixels(data, batch).numpy(), expected)


def test_padding_with_zeros_is_black_and_not_the_mean() -> None:
    data = task(2, (1, 3, 3))
    images = ResidentImages(data, Augmentation(crop_padding=3), CPU, True)
    corner = images.batch(torch.tensor([0]), torch.tensor([[0, 0]]), None)
    torch.testing.assert_close(corner, (-data.mean / data.std).expand(1, 1, 3, 3))


def test_an_epoch_holds_every_sample_once() -> None:
    batches = list(stream(task(22), drop_last=False, augmentation=FULL).epoch(0))
    assert [len(b.targets) for b in batches] == [4, 4, 4, 4, 4, 2]
    assert sorted(torch.cat([b.indices for b in batches]).tolist()) == list(range(22))


def test_an_incomplete_last_batch_is_left_out_when_asked() -> None:
    one = stream(task(22), drop_last=True)
    batches = list(one.epoch(0))
    assert (one.steps_per_epoch, one.samples_per_epoch) == (5, 20)
    assert [len(b.targets) for b in batches] == [4] * 5
    assert len(set(torch.cat([b.indices for b in batches]).tolist())) == 20


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 5, 5)])
def test_a_batch_holds_the_images_and_classes_that_its_indices_name(shape: tuple[int, int, int], channels_last: bool) -> None:
    data = task(12, shape)
    for batch in stream(data, channels_last=channels_last).epoch(1):
        assert torch.equal(pixels(data, batch.inputs), data.train.inputs[batch.indices])
        assert torch.equal(batch.targets, data.train.targets[batch.indices])
        assert batch.inputs.dtype == torch.float32
        assert batch.targets.dtype == batch.indices.dtype == torch.int64
        order = torch.channels_last if channels_last else torch.contiguous_format
        assert batch.inputs.is_contiguous(memory_format=order)


def test_training_and_evaluation_normalise_alike_to_the_bit() -> None:
    data = task(12)
    shown = {int(i): x for b in stream(data).epoch(0) for i, x in zip(b.indices, b.inputs, strict=True)}
    for batch in evaluation_batches(data.train, data, batch_size=5, device=CPU, channels_last=False):
        for i, x in zip(batch.indices, batch.inputs, strict=True):
            assert torch.equal(x, shown[int(i)])


def test_memory_order_does_not_change_values() -> None:
    data = task(12)
    pairs = zip(*(stream(data, augmentation=FULL, channels_last=c).epoch(0) for c in (True, False)), strict=True)
    assert all(torch.equal(a.inputs, b.inputs) and torch.equal(a.indices, b.indices) for a, b in pairs)


def test_an_epoch_is_a_function_of_seed_and_epoch_alone() -> None:
    data = task(16)
    first = stream(data, augmentation=FULL)
    seen = [[b.inputs.clone() for b in first.epoch(e)] for e in range(3)]
    torch.manual_seed(99)
    late = [b.inputs for b in stream(data, augmentation=FULL).epoch(2)]  # without epochs 0 and 1 before it
    assert all(torch.equal(a, b) for a, b in zip(seen[2], late, strict=True))
    assert not torch.equal(seen[0][0], seen[1][0])
    other = next(stream(data, augmentation=FULL, seed=8).epoch(0))
    assert not torch.equal(other.inputs, seen[0][0])


def test_streams_leave_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    list(stream(task(), augmentation=FULL, sampler="class_pairs").epoch(0))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("changes", [{"augmentation": FULL}, {"sampler": "class_pairs"}])
def test_the_order_does_not_depend_on_augmentation_or_partners(changes: dict[str, Any]) -> None:
    data = task(16)
    for plain, other in zip(stream(data).epoch(0), stream(data, **changes).epoch(0), strict=True):
        assert torch.equal(plain.indices, other.indices[: len(plain.indices)])


def test_a_batch_may_be_written_to_without_harm() -> None:
    data = task(8)
    one = stream(data, batch_size=8)
    before = next(one.epoch(0))
    kept = before.inputs.clone()
    before.inputs.zero_()
    before.targets.zero_()
    again = next(one.epoch(0))
    assert torch.equal(again.inputs, kept)
    assert torch.equal(again.targets, data.train.targets[again.indices])


def test_crops_reach_every_offset_and_half_of_them_are_mirrored() -> None:
    one = stream(task(4000, (1, 2, 2)), batch_size=100, augmentation=FULL)
    _, offsets, mirrored = one._draw(0)
    assert offsets is not None
    assert mirrored is not None
    assert len({tuple(o) for o in offsets[0].tolist()}) == 25
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.05)


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=30), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_class_pairs_append_another_sample_of_the_same_class(labels: list[int], seed: int) -> None:
    data = task(len(labels), (1, 2, 2), 5)
    data.train.targets.copy_(torch.tensor(labels))
    one = stream(data, sampler="class_pairs", drop_last=False, seed=seed)
    batches = list(one.epoch(0))
    assert one.samples_per_epoch == sum(len(b.targets) for b in batches) == 2 * len(labels)
    for batch in batches:
        anchors, partners = batch.indices.chunk(2)
        assert torch.equal(data.train.targets[anchors], data.train.targets[partners])
        for anchor, partner in zip(anchors.tolist(), partners.tolist(), strict=True):
            assert anchor != partner or labels.count(labels[anchor]) == 1
    assert sorted(i for b in batches for i in b.indices.chunk(2)[0].tolist()) == list(range(len(labels)))


def test_partners_are_drawn_evenly() -> None:
    data = task(6, (1, 2, 2), 1)
    one = stream(data, sampler="class_pairs", batch_size=6)
    counts = torch.zeros(6, 6)
    for e in range(600):
        anchors, partners = next(one.epoch(e)).indices.chunk(2)
        counts[anchors, partners] += 1
    off_diagonal = counts[~torch.eye(6, dtype=torch.bool)]
    assert counts.diagonal().sum() == 0
    assert off_diagonal.min() > 80  # 120 on average, standard deviation 10
    assert off_diagonal.max() < 160


def test_evaluation_keeps_the_order_and_the_incomplete_batch() -> None:
    data = task(10)
    batches = list(evaluation_batches(data.test, data, batch_size=4, device=CPU, channels_last=True))
    assert [b.indices.tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    inputs = torch.cat([b.inputs for b in batches])
    assert torch.equal(pixels(data, inputs), data.test.inputs)
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs.std((0, 2, 3), correction=0), torch.ones(3))
    assert all(b.inputs.is_contiguous(memory_format=torch.channels_last) for b in batches)


def test_evaluation_of_an_empty_split_gives_no_batch() -> None:
    data = task(4)
    assert list(evaluation_batches(data.validation, data, batch_size=4, device=CPU, channels_last=True)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 21}, ["20 samples", "batch of 21", "drop_last"]),
        ({"augmentation": Augmentation(crop_padding=6, crop_mode="reflect")}, ["6 pixels", "crop_padding to 5"]),
    ],
)
def test_what_cannot_be_streamed_is_said_in_one_sentence(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        stream(task(20), **changes)
    assert all(word in sentence(caught.value) for word in words)


def test_an_empty_training_set_is_an_error() -> None:
    with pytest.raises(DataError, match="is empty"):
        stream(task(0), drop_last=False)


@pytest.mark.gpu
def test_a_gpu_gets_the_same_batches() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    data = task(64)
    for channels_last in (True, False):
        options: dict[str, Any] = {"augmentation": FULL, "sampler": "class_pairs", "channels_last": channels_last}
        for a, b in zip(
            stream(data, **options).epoch(0), stream(data, device=torch.device("cuda"), **options).epoch(0), strict=True
        ):
            assert torch.equal(a.indices, b.indices.cpu())
            torch.testing.assert_close(a.inputs, b.inputs.cpu())
