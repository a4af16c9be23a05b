"""Training of a cohort: many members in lock-step on one batch stream, each teacher run once a batch.

A member gets bit for bit what it would get alone: it has its own random numbers, and what members share (the batch, the
teachers' outputs) is watched for changes in place. A member that fails leaves; the others go on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from kdbench.data.inputs import tensors
from kdbench.data.types import Batch
from kdbench.errors import MethodError, StoreError
from kdbench.method import Outputs
from kdbench.tasks.stream import TrainStream
from kdbench.train.member import Member
from kdbench.train.presentation import present
from kdbench.train.teacher import Teacher, versions
from kdbench.train.timing import Stopwatch, peak_memory_mb, reset_peak_memory


class Listener(Protocol):
    """What the trainer tells its caller."""

    def batch(self, epoch: int, samples: int, members: Sequence[Member]) -> None:
        """``members`` were trained on a batch of ``samples``."""

    def epoch_trained(self, members: Sequence[tuple[Member, dict[str, float]]], seconds: EpochSeconds) -> None:
        """Members finished the training part of an epoch; the numbers are their means over it. Evaluates and stores."""

    def failed(self, member: Member, error: Exception) -> None:
        """A member left the cohort."""


class EpochSeconds:
    """Where an epoch's time went.

    Args:
        shared: seconds of the batch stream and the teachers.
        own: seconds of each member's steps, by trial id.
        peak_memory_mb: each member's peak, by trial id.
    """

    def __init__(self, shared: float, own: Mapping[str, float], peak_memory_mb: Mapping[str, float]) -> None:
        self.shared = shared
        self.own = own
        self.peak_memory_mb = peak_memory_mb


def train_cohort(
    members: Sequence[Member],
    teachers: Mapping[str, Teacher],
    stream: TrainStream,
    listener: Listener,
    device: torch.device,
    *,
    recoverable: Callable[[Exception], bool] = lambda error: True,
) -> None:
    """Train members until each has had all its epochs or has failed.

    Members may begin at different epochs (after an interruption): one that is ahead waits for the others.

    Args:
        members: the members, with the same number of epochs.
        teachers: by id of the trial that they come from.
        stream: the batches.
        listener: is told what happens.
        device: where everything runs.
        recoverable: whether an error costs only the member that raised it; others end the training.
    """
    alive = list(members)
    epochs = members[0].trial.recipe.epochs
    for epoch in range(min(m.epoch for m in alive), epochs):
        active = [m for m in alive if m.epoch == epoch]
        seconds = _Run(active, teachers, stream, listener, device, recoverable).epoch(epoch)
        finished: list[tuple[Member, dict[str, float]]] = []
        for member in active:
            try:
                finished.append((member, member.finish_training_epoch()))
                member.epoch += 1
            except Exception as error:
                if not recoverable(error):
                    raise
                member.alive = False
                listener.failed(member, error)
        if finished:
            listener.epoch_trained(finished, seconds)
        alive = [m for m in alive if m.alive]
        if not alive:
            return


class _Run:
    """One epoch of a cohort; ``active`` shrinks when members fail."""

    def __init__(
        self,
        active: list[Member],
        teachers: Mapping[str, Teacher],
        stream: TrainStream,
        listener: Listener,
        device: torch.device,
        recoverable: Callable[[Exception], bool],
    ) -> None:
        self.active = active
        self.teachers = teachers
        self.stream = stream
        self.listener = listener
        self.device = device
        self.recoverable = recoverable
        self.shared = Stopwatch(device)
        self.peak: dict[str, float] = {}

    def epoch(self, epoch: int) -> EpochSeconds:
        """Train every active member on every batch of the epoch."""
        for member in self.active:
            member.begin_epoch()
        batches = self.stream.epoch(epoch)
        for step in range(self.stream.steps_per_epoch):
            with self.shared.running():
                drawn = next(batches)
                batch = self._present(drawn)
                outputs = self._teach(batch)
            self._step(epoch, step, batch, outputs)
            if not self.active:
                break
            self.listener.batch(epoch, len(drawn.indices), self.active)
        own = {m.trial.id: m.stopwatch.take() for m in self.active}
        return EpochSeconds(self.shared.take(), own, self.peak)

    def _teach(self, batch: Mapping[str, Batch]) -> dict[str, Outputs]:
        wanted = {t for m in self.active for t in m.trial.teachers}
        return {name: teacher(batch[teacher.presentation.key]) for name, teacher in self.teachers.items() if name in wanted}

    def _present(self, batch: Batch) -> dict[str, Batch]:
        """The batch as each network that is run on it wants it, by the presentation's key."""
        wanted = {t for m in self.active for t in m.trial.teachers}
        teachers = [t.presentation for name, t in self.teachers.items() if name in wanted]
        return present(batch, [*(m.presentation for m in self.active), *teachers])

    def _step(self, epoch: int, step: int, batch: dict[str, Batch], outputs: dict[str, Outputs]) -> None:
        shared = _shared(batch, outputs)
        before = versions(shared)
        for member in list(self.active):
            try:
                reset_peak_memory(self.device)
                mine = tuple(self.teachers[t].select(outputs[t], member.needs) for t in member.trial.teachers)
                member.train_step(batch[member.presentation.key], mine, step)
                self.peak[member.trial.id] = max(self.peak.get(member.trial.id, 0.0), peak_memory_mb(self.device))
                if versions(shared) != before:
                    raise MethodError("in place")
            except Exception as error:
                if not self.recoverable(error):
                    raise
                self.active.remove(member)
                member.alive = False
                self.listener.failed(member, _blame(error, member, versions(shared) != before))
                if versions(shared) != before:  # make what was spoilt anew for the members that follow
                    batch = self._present(next(itertools.islice(self.stream.epoch(epoch), step, None)))
                    outputs = self._teach(batch) if self.active else {}
                    shared = _shared(batch, outputs)
                    before = versions(shared)


def _shared(batch: Mapping[str, Batch], outputs: Mapping[str, Outputs]) -> list[Tensor]:
    """Every tensor that members share."""
    found = [t for o in outputs.values() for t in o.tensors()]
    for one in batch.values():
        found += [*tensors(one.inputs).values(), one.targets, one.indices]
        found += [] if one.mask is None else [one.mask]
    return found


def _blame(error: Exception, member: Member, tampered: bool) -> Exception:
    """The error to record: what was changed in place is the cause of whatever failed after it."""
    if not tampered:
        return error
    name = member.method.name
    blame = MethodError(f'method "{name}" changed the batch or a teacher\'s outputs in place, which other methods share')
    blame.__cause__ = error
    return blame.with_traceback(error.__traceback__)


def member_recoverable(error: Exception) -> bool:
    """Whether an error is the member's own affair: everything but a runs folder that cannot be written."""
    return not isinstance(error, StoreError)
