"""Training of a cohort: members in lock-step on one batch stream.

Each teacher runs once per batch. A member is trained bit for bit as it would be alone: it has its own random
numbers, and what members share (the batch, the teachers' outputs and weights, the data) is checked for
changes. A member that fails leaves the cohort; the others continue. If a change is found too late to know who
made it, the epoch is void: the consumer repeats it, and every shared value is compared after every member.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from kdbench.data.inputs import tensors
from kdbench.data.types import Batch
from kdbench.errors import MethodError
from kdbench.method import Outputs
from kdbench.method.guard import Guard
from kdbench.tasks.stream import TrainStream
from kdbench.train.events import BatchDone, EpochEnd, EpochSeconds, Event, Left, Void
from kdbench.train.member import Member
from kdbench.train.presentation import present
from kdbench.train.shared import Digests, Shared
from kdbench.train.teacher import Teacher
from kdbench.train.timing import Stopwatch, peak_memory_mb, reset_peak_memory

BATCH = "the batch or a teacher's outputs"


def train_cohort(
    members: list[Member],
    teachers: Mapping[str, Teacher],
    stream: TrainStream,
    device: torch.device,
    *,
    entering: Callable[[str, int], None] = lambda trial, epoch: None,
    guard: Guard | None = None,
    lasting: Callable[[], Sequence[str]] = tuple,
    exact: Container[int] = (),
) -> Iterator[Event]:
    """Train members until each has completed all its epochs or has failed.

    After an interruption members may start at different epochs: one that is ahead waits for the others.

    Args:
        members: the members to train, with the same number of epochs. A member that fails is removed from
            this list; the consumer may remove others between two events.
        teachers: the teachers, by the id of their trial.
        stream: the batches.
        device: device of all networks.
        entering: called before each step of a member, with the id of its trial and the number of the epoch.
        guard: calls plugins, and knows which of them left threads running.
        lasting: returns the names of the data that were changed in memory.
        exact: epochs in which every shared value is compared after every member, which is slow.

    Yields:
        Events, in order.
    """
    if not members:
        return
    epochs = members[0].trial.recipe.epochs
    weights = {name: Digests((teacher.label, t) for t in teacher.state()) for name, teacher in teachers.items()}
    for epoch in range(min(m.epoch for m in members), epochs):
        made = _Epoch(epoch, members, teachers, weights, stream, device, entering, guard or Guard(), lasting, epoch in exact)
        yield from made.train()
        if not members:
            return


class _Epoch:
    """One epoch of a cohort."""

    def __init__(
        self,
        number: int,
        members: list[Member],
        teachers: Mapping[str, Teacher],
        weights: Mapping[str, Digests],
        stream: TrainStream,
        device: torch.device,
        entering: Callable[[str, int], None],
        guard: Guard,
        lasting: Callable[[], Sequence[str]],
        exact: bool,
    ) -> None:
        self.number = number
        self.entering = entering
        self.members = members
        self.teachers = teachers
        self.stream = stream
        self.device = device
        self.guard = guard
        self.lasting = lasting
        self.exact = exact
        self.shared = Stopwatch(device)
        self.peak: dict[str, float] = {}
        self.void = False
        self.broken: list[Tensor] = []
        """Whether large tensors changed during a step; read once per epoch on a GPU."""
        self.weights = weights

    def active(self) -> list[Member]:
        """Return the members that train in this epoch and have not failed."""
        return [m for m in self.members if m.epoch == self.number]

    def train(self) -> Iterator[Event]:
        """Train every active member on every batch of the epoch."""
        if self._lasting_changed():  # since the last epoch, whoever did it
            yield self._void()
            return
        for member in self.active():
            try:
                member.begin_epoch()
            except Exception as error:
                yield self._leave(member, error)
        batches = self.stream.epoch(self.number)
        for step in range(self.stream.steps_per_epoch):
            with self.shared.running():
                drawn, batch, outputs, left = self._prepare(lambda: next(batches))
            yield from left
            yield from self._step(step, batch, outputs)
            if self.void:
                yield self._void()
                return
            if drawn is None or not (active := self.active()):
                return
            yield BatchDone(self.number, len(drawn.indices), tuple(active))
        yield from self._end()

    def _prepare(self, draw: Callable[[], Batch]) -> tuple[Batch | None, dict[str, Batch], dict[str, Outputs], list[Left]]:
        """Draw a batch, and run the teachers; members whose teachers fail have left.

        Returns:
            The batch, the presentations of it, the teachers' outputs, and the members that left.
        """
        left: list[Left] = []
        drawn: Batch | None = None
        batch: dict[str, Batch] = {}
        try:
            drawn = draw()
            batch = self._present(drawn)
        except Exception as error:
            left += [self._leave(member, error) for member in self.active()]
        outputs: dict[str, Outputs] = {}
        for name, teacher in self._wanted_teachers(self.active()).items():
            try:
                with self.guard.calling(teacher.label, "its forward pass"):
                    outputs[name] = teacher(batch[teacher.presentation.key])
                if self.exact and self.weights[name].changed():
                    raise MethodError(f"{teacher.label} changes its own weights or buffers when it runs, in evaluation mode")
            except Exception as error:
                left += [self._leave(member, error) for member in self.active() if name in member.trial.teachers]
        return drawn, batch, outputs, left

    def _end(self) -> Iterator[Event]:
        if changed := ["a batch"] if any(bool(b) for b in self.broken) else self._lasting_changed():
            yield from self._give_up(changed)
            return
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
        shared = self._fingerprints(batch, outputs)
        for member in self.active():
            if member not in self.members:  # found out to have changed the batch meanwhile
                continue
            self.entering(member.trial.id, self.number)
            error: Exception | None = None
            try:
                reset_peak_memory(self.device)
                mine = tuple(self.teachers[t].select(outputs[t], member.needs) for t in member.trial.teachers)
                member.train_step(batch[member.presentation.key], mine, step)
                self.peak[member.trial.id] = max(self.peak.get(member.trial.id, 0.0), peak_memory_mb(self.device))
            except Exception as failure:
                error = failure
            if tampered := shared.changed():
                yield from self._blame(member, error)
            elif self.exact and (changed := self._lasting_changed()):
                self.void = True
                yield self._leave(member, _tampered(member, changed[0], error))
            elif error is not None:
                yield self._leave(member, error)
            if self.void:
                return
            if tampered:  # recreate the shared tensors for the members that follow
                _, batch, outputs, left = self._prepare(self._same_batch(step))
                yield from left
                shared = self._fingerprints(batch, outputs)
        if (broken := shared.broken()) is not None:
            self.broken.append(broken)
            self.void = self.device.type == "cpu" and bool(broken)

    def _blame(self, member: Member, error: Exception | None) -> Iterator[Left]:
        """Let the member that changed the batch leave.

        That is the member that ran last, unless another one has left threads running.
        """
        suspects = self.guard.suspects()
        others = [m for m in self.active() if m is not member and not suspects.isdisjoint(m.labels)]
        if not others or not suspects.isdisjoint(member.labels):
            yield self._leave(member, _tampered(member, BATCH, error))
            return
        self.void = True
        for other in others:
            yield self._leave(other, _tampered(other, f"{BATCH} from a thread that it left running", None))

    def _same_batch(self, step: int) -> Callable[[], Batch]:
        return lambda: next(itertools.islice(self.stream.epoch(self.number), step, None))

    def _fingerprints(self, batch: Mapping[str, Batch], outputs: Mapping[str, Outputs]) -> Shared:
        shared = Shared(_shared(batch, outputs), exact=self.exact)
        if len(self.active()) > 1:
            shared.seal()
        return shared

    def _lasting_changed(self) -> list[str]:
        """Return the names of what was changed of all that outlives a batch."""
        wanted = self._wanted_teachers(self.active())
        weights = [f"the weights of {c}" for name in wanted for c in self.weights[name].changed()[:1]]
        return [*weights, *self.lasting()]

    def _void(self) -> Void:
        active = self.active()
        for member in active:
            self.members.remove(member)
        return Void(self.number, tuple(active))

    def _give_up(self, changed: Sequence[str]) -> Iterator[Event]:
        """Repeat the epoch, or fail its members if it was exact and found no culprit."""
        if not self.exact:
            yield self._void()
            return
        for member in self.active():
            message = (
                f"an unknown plugin changed {changed[0]} during epoch {self.number + 1}, so that its numbers would be wrong"
            )
            yield self._leave(member, MethodError(message))

    def _present(self, batch: Batch) -> dict[str, Batch]:
        """Preprocess the batch for each network that runs on it, by presentation key."""
        active = self.active()
        teachers = [t.presentation for t in self._wanted_teachers(active).values()]
        with self.guard.calling("the task", "its preprocessing"):
            return present(batch, [*(m.presentation for m in active), *teachers])

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


def _tampered(member: Member, what: str, cause: Exception | None) -> Exception:
    """Return the error to record: what was changed caused any later error."""
    error = MethodError(f"{member.labels[0]}, or its student, changed {what} in place, which other methods share")
    error.__cause__ = cause
    return error.with_traceback(cause.__traceback__ if cause is not None else None)
