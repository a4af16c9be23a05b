"""Training of a cohort: members in lock-step on one batch stream.

Each teacher runs once per batch. A member is trained bit for bit as it would be alone: it has its own random
numbers, and what members share (the batch, the teachers' outputs) is checked for changes in place. A member
that fails leaves the cohort; the others continue.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdbench.data.inputs import tensors
from kdbench.data.types import Batch
from kdbench.errors import MethodError
from kdbench.method import Outputs
from kdbench.tasks.stream import TrainStream
from kdbench.train.member import Member
from kdbench.train.presentation import present
from kdbench.train.teacher import Teacher, versions
from kdbench.train.timing import Stopwatch, peak_memory_mb, reset_peak_memory


@dataclass(frozen=True)
class BatchDone:
    """A batch was trained.

    Args:
        epoch: number of the epoch, from 0.
        samples: samples of the batch.
        members: the members that were trained on it.
    """

    epoch: int
    samples: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class EpochSeconds:
    """The training time and memory of an epoch.

    Args:
        shared: seconds of the batch stream and the teachers.
        own: seconds of each member's steps, by trial id.
        peak_memory_mb: each member's peak, by trial id.
    """

    shared: float
    own: Mapping[str, float]
    peak_memory_mb: Mapping[str, float]


@dataclass(frozen=True)
class EpochEnd:
    """Members finished the training part of an epoch.

    The consumer of the event evaluates and stores them.

    Args:
        members: each member, with its means over the epoch.
        seconds: time and memory of the epoch.
    """

    members: tuple[tuple[Member, Mapping[str, float]], ...]
    seconds: EpochSeconds


@dataclass(frozen=True)
class Left:
    """A member failed and left the cohort.

    Args:
        member: the member.
        error: the reason for the failure.
    """

    member: Member
    error: Exception


Event = BatchDone | EpochEnd | Left


def train_cohort(
    members: list[Member], teachers: Mapping[str, Teacher], stream: TrainStream, device: torch.device
) -> Iterator[Event]:
    """Train members until each has completed all its epochs or has failed.

    After an interruption members may start at different epochs: one that is ahead waits for the others.

    Args:
        members: the members to train, with the same number of epochs. A member that fails is removed from
            this list; the consumer may remove others between two events.
        teachers: the teachers, by the id of their trial.
        stream: the batches.
        device: device of all networks.

    Yields:
        Events, in order.
    """
    if not members:
        return
    epochs = members[0].trial.recipe.epochs
    for epoch in range(min(m.epoch for m in members), epochs):
        yield from _Epoch(epoch, members, teachers, stream, device).train()
        if not members:
            return


class _Epoch:
    """One epoch of a cohort."""

    def __init__(
        self,
        number: int,
        members: list[Member],
        teachers: Mapping[str, Teacher],
        stream: TrainStream,
        device: torch.device,
    ) -> None:
        self.number = number
        self.members = members
        self.teachers = teachers
        self.stream = stream
        self.device = device
        self.shared = Stopwatch(device)
        self.peak: dict[str, float] = {}

    def active(self) -> list[Member]:
        """Return the members that train in this epoch and have not failed."""
        return [m for m in self.members if m.epoch == self.number]

    def train(self) -> Iterator[Event]:
        """Train every active member on every batch of the epoch."""
        for member in self.active():
            member.begin_epoch()
        batches = self.stream.epoch(self.number)
        for step in range(self.stream.steps_per_epoch):
            with self.shared.running():
                drawn = next(batches)
                batch = self._present(drawn)
                outputs = self._teach(batch)
            yield from self._step(step, batch, outputs)
            if not (active := self.active()):
                return
            yield BatchDone(self.number, len(drawn.indices), tuple(active))
        yield from self._end()

    def _end(self) -> Iterator[Event]:
        seconds = EpochSeconds(self.shared.take(), {m.trial.id: m.stopwatch.take() for m in self.active()}, self.peak)
        finished: list[tuple[Member, Mapping[str, float]]] = []
        for member in self.active():
            try:
                finished.append((member, member.finish_training_epoch()))
                member.epoch += 1
            except Exception as error:
                yield self._leave(member, error)
        if finished:
            yield EpochEnd(tuple(finished), seconds)

    def _step(self, step: int, batch: Mapping[str, Batch], outputs: Mapping[str, Outputs]) -> Iterator[Left]:
        """Train every member on one batch."""
        shared = _shared(batch, outputs)
        before = versions(shared)
        for member in self.active():
            try:
                reset_peak_memory(self.device)
                mine = tuple(self.teachers[t].select(outputs[t], member.needs) for t in member.trial.teachers)
                member.train_step(batch[member.presentation.key], mine, step)
                self.peak[member.trial.id] = max(self.peak.get(member.trial.id, 0.0), peak_memory_mb(self.device))
                if versions(shared) != before:
                    raise MethodError("in place")
            except Exception as error:
                tampered = versions(shared) != before
                yield self._leave(member, _blame(error, member) if tampered else error)
                if tampered:  # recreate the shared tensors for the members that follow
                    batch = self._present(next(itertools.islice(self.stream.epoch(self.number), step, None)))
                    outputs = self._teach(batch)
                    shared = _shared(batch, outputs)
                    before = versions(shared)

    def _present(self, batch: Batch) -> dict[str, Batch]:
        """Preprocess the batch for each network that runs on it, by presentation key."""
        active = self.active()
        teachers = [t.presentation for t in self._wanted_teachers(active).values()]
        return present(batch, [*(m.presentation for m in active), *teachers])

    def _teach(self, batch: Mapping[str, Batch]) -> dict[str, Outputs]:
        wanted = self._wanted_teachers(self.active())
        return {name: teacher(batch[teacher.presentation.key]) for name, teacher in wanted.items()}

    def _wanted_teachers(self, members: Sequence[Member]) -> dict[str, Teacher]:
        wanted = {t for m in members for t in m.trial.teachers}
        return {name: teacher for name, teacher in self.teachers.items() if name in wanted}

    def _leave(self, member: Member, error: Exception) -> Left:
        self.members.remove(member)
        return Left(member, error)


def _shared(batch: Mapping[str, Batch], outputs: Mapping[str, Outputs]) -> list[Tensor]:
    """Collect all tensors that members share in a step."""
    found = [t for o in outputs.values() for t in o.tensors()]
    for one in batch.values():
        found += [*tensors(one.inputs).values(), one.targets, one.indices]
        found += [] if one.mask is None else [one.mask]
    return found


def _blame(error: Exception, member: Member) -> Exception:
    """Return the error to record: a change in place, which caused any later error."""
    name = member.method.name
    blame = MethodError(f'method "{name}" changed the batch or a teacher\'s outputs in place, which other methods share')
    blame.__cause__ = error
    return blame.with_traceback(error.__traceback__)
