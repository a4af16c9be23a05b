"""The worker, which trains, evaluates and stores the members of a job's cohort."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from kdbench.engine.activity import Activity
from kdbench.engine.assembly import (
    Evaluated,
    evaluate,
    load_teachers,
    make_member,
    make_stream,
    split_scores,
)
from kdbench.engine.events import BatchTrained, EpochFinished, Event, Report, TrialEnded, TrialStarted, Warned
from kdbench.engine.job import Job
from kdbench.engine.outcome import failure_of, save_failure, save_finished
from kdbench.engine.resources import Resources, open_resources
from kdbench.engine.timings import Timings
from kdbench.errors import MethodError, StoreError, cut
from kdbench.method.guard import Guard
from kdbench.plan.trial import Trial
from kdbench.results.record import Failure, Record, SplitName
from kdbench.tasks.stream import TrainStream
from kdbench.train.checkpoint import CheckpointUnreadable, load_checkpoint, save_checkpoint
from kdbench.train.cohort import train_cohort
from kdbench.train.events import BatchDone, EpochEnd, Left, Void
from kdbench.train.member import Member

MOST_REPETITIONS = 10
"""Epochs of a job that are repeated at most, beyond one for each member."""


def ignore(event: Event) -> None:
    """Ignore an event."""


def work(job: Job, report: Report = ignore, resources: Resources | None = None, activity: Activity | None = None) -> None:
    """Train the members of a job's cohort that have no finished record.

    They train in this process. When it returns, every trial of the cohort has a record; that of a member that
    failed gives the reason.

    Args:
        job: the job.
        report: receives events.
        resources: the job's resources, if they are already open.
        activity: says what this process is doing.

    Raises:
        StoreError: the runs folder cannot be read or written.
        KdbenchError: a plugin or the data cannot be read.
    """
    if job.threads is not None and job.threads != torch.get_num_threads():
        torch.set_num_threads(job.threads)
    if resources is None:
        resources = open_resources(job, lambda message: report(Warned(message=message)))
    activity = activity or Activity()
    activity.begin(job.cohort.trials)
    _Worker(job, resources, report, activity).run()


class _Worker:
    def __init__(self, job: Job, resources: Resources, report: Report, activity: Activity) -> None:
        self.job = job
        self.activity = activity
        self.resources = resources
        self.report = report
        self.store = resources.store
        self.device = torch.device(job.device)
        self.guard = Guard(self._warn)
        self.timings: dict[str, Timings] = {}
        self.training: list[Member] = []
        self.batch_sizes: dict[str, int] = {}
        self.exact: set[int] = set()
        """Epochs to repeat with every shared value compared, as a plugin changed some."""
        self.repetitions = 0
        self.failed: set[str] = set()

    def run(self) -> None:
        """Create, train, evaluate and store the members."""
        trials = [t for t in self.job.members if not self._is_finished(t.id) and self._has_teachers(t)]
        while trials:
            if self.resources.digests.changed():
                self.resources.restore_data(self.job)
            trials = [m.trial for m in self._train(trials)]
            self.repetitions += 1

    def _train(self, trials: Sequence[Trial]) -> Sequence[Member]:
        """Train trials from where they stopped; return the members to train again."""
        try:
            with self.guard.calling("the task", "its stream"):
                stream = make_stream(self.job, self.resources, trials[0])
        except Exception as error:
            for trial in trials:
                self._announce(save_failure(self.job, self.resources, trial, failure_of(error)))
            return ()
        self.training = [m for t in trials if (m := self._make(t, stream))]
        teachers = load_teachers(self.job, self.resources, self.training, self._fail)
        for member in self.training.copy():
            if member.epoch >= member.trial.recipe.epochs:  # interrupted before its record, or never to be trained at all
                self.training.remove(member)
                self._finish_untrained(member, stream)
        for event in train_cohort(
            self.training,
            teachers,
            stream,
            self.device,
            entering=self.activity.enter,
            guard=self.guard,
            lasting=self.resources.digests.changed,
            exact=self.exact,
        ):
            self.activity.leave()
            match event:
                case BatchDone(epoch, samples, trained):
                    self.report(BatchTrained(trials=tuple(m.trial.id for m in trained), epoch=epoch, samples=samples))
                case Left(member, why):
                    self._fail(member, why)
                case Void(epoch, members):
                    return [*self._repeat(epoch, members), *self.training]
                case EpochEnd():
                    self._end_epoch(event, stream)
                    self._note_leftovers()
        return ()

    def _repeat(self, epoch: int, members: Sequence[Member]) -> Sequence[Member]:
        """Decide whether an epoch is repeated; if not, its members fail."""
        self.exact.add(epoch)
        if self.repetitions <= MOST_REPETITIONS + len(self.job.members):
            self._warn(
                f"a plugin changed what others share in epoch {epoch + 1}, which does not count: it is trained again, and whose"
                " fault it is will be found out"
            )
            return members
        for member in members:
            self._fail(member, MethodError(f"an unknown plugin keeps changing what its members share in epoch {epoch + 1}"))
        return ()

    def _is_finished(self, trial_id: str) -> bool:
        record = self.store.record(trial_id)
        return record is not None and record.status == "finished"

    def _has_teachers(self, trial: Trial) -> bool:
        """Return whether all teachers of a trial are finished; record a failure if not."""
        for teacher in trial.teachers:
            if not self._is_finished(teacher):
                model = self.job.trials[teacher].model.model
                failure = Failure(kind="TeacherFailed", message=f"its teacher {model} (trial {teacher}) has failed")
                self._announce(save_failure(self.job, self.resources, trial, failure))
                return False
        return True

    def _make(self, trial: Trial, stream: TrainStream) -> Member | None:
        """Create the member of a trial, at the epoch where it stopped.

        If that fails, record the failure and return ``None``.
        """
        path = self.store.checkpoint_path(trial.id)
        self.timings[trial.id] = Timings()
        self.activity.enter(trial.id)
        try:
            member = make_member(self.job, self.resources, trial, stream.steps_per_epoch, self.guard)
            if path.exists():
                try:
                    with member.calling("load_state_dict()", passing=(StoreError, CheckpointUnreadable)):
                        self.timings[trial.id] = Timings(**load_checkpoint(member, path))
                    self.timings[trial.id].sessions += 1
                except (CheckpointUnreadable, TypeError) as error:  # TypeError: another version kept other costs
                    self._warn(f"the checkpoint {path} cannot be used ({error}); the trial starts again from its first epoch")
                    member = make_member(self.job, self.resources, trial, stream.steps_per_epoch, self.guard)
        except StoreError:
            raise
        except Exception as error:
            self._announce(save_failure(self.job, self.resources, trial, failure_of(error)))
            return None
        finally:
            self.activity.leave()
        self.report(TrialStarted(trial=trial.id, epoch=member.epoch))
        return member

    def _fail(self, member: Member, error: Exception) -> None:
        """Record a member's failure, and stop training it."""
        self.failed.add(member.trial.id)
        if member in self.training:
            self.training.remove(member)
        record = save_failure(self.job, self.resources, member.trial, failure_of(error, member.epoch))
        self.store.checkpoint_path(member.trial.id).unlink(missing_ok=True)
        self._announce(record)

    def _end_epoch(self, end: EpochEnd, stream: TrainStream) -> None:
        """Evaluate members, extend their histories and write checkpoints.

        After the last epoch, store the record.
        """
        evaluated = self._evaluate([m for m, _ in end.members])
        for member, means in end.members:
            trial = member.trial
            if trial.id not in evaluated:  # failed in evaluation
                continue
            self.activity.enter(trial.id, member.epoch - 1)
            self._mend_targets()
            spent = self.timings[trial.id].add_epoch(end.seconds, trial.id, len(end.members))
            with self._costs_only(member, "state_dict()"):
                row = {
                    "epoch": float(member.epoch),
                    "lr": member.learning_rate,
                    **means,
                    **_columns(split_scores(self.resources, evaluated[trial.id].logits, self.guard)),
                    "train_seconds": spent,
                    "samples_per_second": stream.samples_per_epoch / spent if spent else 0.0,
                }
                member.history.append(row)
                member.check_state()
                save_checkpoint(member, self.store.checkpoint_path(trial.id), vars(self.timings[trial.id]))
            if trial.id in self.failed:
                continue
            self.report(EpochFinished(trial=trial.id, epoch=member.epoch, metrics=dict(row)))
            if member.epoch == trial.recipe.epochs:
                self._finish(member, evaluated[trial.id], stream)

    def _finish_untrained(self, member: Member, stream: TrainStream) -> None:
        """Evaluate and store a member that has no epochs left to train."""
        evaluated = self._evaluate([member])
        if member.trial.id in evaluated:
            self._finish(member, evaluated[member.trial.id], stream)

    def _evaluate(self, members: Sequence[Member]) -> dict[str, Evaluated]:
        begin = time.perf_counter()
        if len(members) == 1:
            self.activity.enter(members[0].trial.id, members[0].epoch - 1)
        found = evaluate(self.resources, members, self.batch_sizes, self._fail)
        if self.resources.digests.changed():
            found = self._evaluate_alone([m for m in members if m.trial.id in found])
        spent = (time.perf_counter() - begin) / max(len(found), 1)
        for member in members:
            self.timings[member.trial.id].evaluate += spent
        return found

    def _mend_targets(self) -> None:
        """Read the data again if a plugin, told of another trial, changed the targets."""
        if changed := self.resources.targets.changed():
            self._warn(f"a plugin changed {changed[0]} in memory; the data are read again")
            self.resources.restore_data(self.job)

    def _evaluate_alone(self, members: Sequence[Member]) -> dict[str, Evaluated]:
        """Evaluate members one by one, to find the network that changes the data."""
        found: dict[str, Evaluated] = {}
        for member in members:
            self.resources.restore_data(self.job)
            own = evaluate(self.resources, [member], self.batch_sizes, self._fail)
            if changed := self.resources.digests.changed():
                if own:
                    self._fail(
                        member, MethodError(f"the network that {member.labels[0]} deploys changed {changed[0]} in memory")
                    )
            else:
                found |= own
        if self.resources.digests.changed():
            self.resources.restore_data(self.job)
        return found

    def _finish(self, member: Member, evaluated: Evaluated, stream: TrainStream) -> None:
        """Store the record of a member that has completed all its epochs."""
        trial = member.trial
        self._mend_targets()
        with self._costs_only(member, "its record"):
            record = save_finished(
                self.job, self.resources, member, evaluated, self.timings[trial.id], stream.samples_per_epoch, self.guard
            )
        if trial.id not in self.failed:
            self.store.checkpoint_path(trial.id).unlink(missing_ok=True)
            self._announce(record)

    @contextmanager
    def _costs_only(self, member: Member, what: str) -> Iterator[None]:
        """Record whatever a block raises as a member's failure, except store errors."""
        try:
            with member.calling(what, passing=(StoreError,)):
                yield
        except StoreError:
            raise
        except Exception as error:
            self._fail(member, error)

    def _note_leftovers(self) -> None:
        """Say which threads and processes plugins left running."""
        for plugin, threads in self.guard.threads.items():
            if names := ", ".join(t.name for t in threads if t.is_alive()):
                self.guard.warn(f"{plugin} leaves threads running: {cut(names, 200)}")

    def _announce(self, record: Record) -> None:
        self.report(TrialEnded(record=record))

    def _warn(self, message: str) -> None:
        self.report(Warned(message=message))


def _columns(scores: Mapping[SplitName, Mapping[str, float]]) -> dict[str, float]:
    """Return scores as columns of the history, such as ``validation_accuracy``."""
    return {f"{split}_{name}": value for split, found in scores.items() for name, value in found.items()}
