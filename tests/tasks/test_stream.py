from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.errors import DataError
from tests.tasks.images.samples import sentence, stream, task

FULL = {"crop_padding": 2, "flip": True}


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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 21}, ["20 samples", "batch of 21", "drop_last"]),
        ({"augmentation": {"crop_padding": 6, "crop_mode": "reflect"}}, ["6 pixels", "crop_padding to at most 5"]),
    ],
)
def test_what_cannot_be_streamed_is_said_in_one_sentence(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        stream(task(20), **changes)
    assert all(word in sentence(caught.value) for word in words)


def test_an_empty_training_set_is_an_error() -> None:
    with pytest.raises(DataError, match="is empty"):
        stream(task(0), drop_last=False)
