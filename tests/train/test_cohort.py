"""The trainer is a generator: what happens comes out in order, and who fails leaves."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from kdbench.data.types import Batch
from kdbench.train.cohort import train_cohort
from kdbench.train.events import BatchDone, EpochEnd, Event, Left
from kdbench.train.member import Member
from tests.train.test_checkpoint import C, N, make_member, state

CPU = torch.device("cpu")


class Stream:
    """Three batches of eight an epoch."""

    steps_per_epoch = N // 8

    def epoch(self, number: int) -> Iterator[Batch]:
        inputs = torch.randn(N, 1, 4, 4, generator=torch.Generator().manual_seed(number))
        for step in range(self.steps_per_epoch):
            rows = torch.arange(step * 8, step * 8 + 8)
            yield Batch(inputs[rows], rows % C, rows)


def train(members: list[Member]) -> Iterator[Event]:
    return train_cohort(members, {}, Stream(), CPU)  # type: ignore[arg-type]


def kinds(events: list[Event]) -> list[str]:
    return [type(e).__name__ for e in events]


def test_batches_then_the_end_of_each_epoch() -> None:
    members = [make_member(), make_member("sgd")]
    events = list(train(members))
    assert kinds(events) == ["BatchDone", "BatchDone", "BatchDone", "EpochEnd"] * 4
    assert all(len(e.members) == 2 for e in events if isinstance(e, BatchDone | EpochEnd))
    assert [e.epoch for e in events if isinstance(e, BatchDone)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    last = events[-1]
    assert isinstance(last, EpochEnd)
    assert set(last.seconds.own) == {m.trial.id for m in members}
    assert all(m.epoch == 4 for m in members)


def test_who_fails_leaves_and_the_others_get_the_bits_they_get_alone() -> None:
    alone = make_member()
    list(train([alone]))
    good, bad = make_member(), make_member("sgd")
    taken = bad.train_step
    bad.train_step = lambda batch, teachers, step: 1 / 0 if bad.epoch == 1 else taken(batch, teachers, step)  # type: ignore[assignment, func-returns-value]
    members = [bad, good]
    events = list(train(members))
    (left,) = [e for e in events if isinstance(e, Left)]
    assert left.member is bad
    assert isinstance(left.error, ZeroDivisionError)
    assert members == [good]
    assert all(torch.equal(v, state(alone)[k]) for k, v in state(good).items())


def test_who_changes_what_is_shared_leaves_and_it_is_recreated_for_the_others() -> None:
    alone = make_member()
    list(train([alone]))
    good, bad = make_member(), make_member("sgd")
    bad.train_step = lambda batch, teachers, step: batch.inputs.zero_()  # type: ignore[assignment, return-value]
    events = list(train([bad, good]))
    assert "in place" in str(next(e.error for e in events if isinstance(e, Left)))
    assert all(torch.equal(v, state(alone)[k]) for k, v in state(good).items())


def test_the_consumer_may_take_a_member_out() -> None:
    members = [make_member(), make_member("sgd")]
    out = members[0]
    for event in train(members):
        if isinstance(event, EpochEnd) and out in members:
            members.remove(out)
    assert out.epoch == 1
    assert members[0].epoch == 4


def test_one_that_is_ahead_waits_and_nothing_is_trained_without_members() -> None:
    ahead, behind = make_member(), make_member("sgd")
    ahead.epoch = 3
    trained = [len(e.members) for e in train([ahead, behind]) if isinstance(e, EpochEnd)]
    assert trained == [1, 1, 1, 2]
    assert list(train([])) == []


def test_an_error_of_the_consumer_is_the_consumer_s() -> None:
    members = [make_member()]
    training = train(members)
    next(training)
    training.close()  # what a consumer that raises does
    assert members[0].epoch == 0
