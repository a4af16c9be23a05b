"""The worker, which trains, evaluates and stores the members of a job's cohort."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kdbench.engine.assembly import evaluate, extra_metrics, load_teachers, make_member, make_stream, split_scores
from kdbench.engine.events import BatchTrained, EpochFinished, Event, Report, TrialEnded, TrialStarted, Warned
from kdbench.engine.job import Job
from kdbench.engine.outcome import data_facts, failure_of, provenance, save_failure
from kdbench.engine.resources import Resources, open_resources
from kdbench.engine.timings import Timings
from kdbench.errors import StoreError
from kdbench.plan.trial import Trial
from kdbench.results.record import Failure, Record, SplitName
from kdbench.tasks.stream import TrainStream, unit_targets
from kdbench.train.checkpoint import CheckpointUnreadable, load_checkpoint, save_checkpoint
from kdbench.train.cohort import BatchDone, EpochEnd, Left, train_cohort
from kdbench.train.member import Member
from kdbench.train.networks import interface_of, profile_id


def ignore(event: Event) -> None:
    """Ignore an event."""


def work(job: Job, report: Report = ignore, resources: Resources | None = None) -> None:
    """Train the members of a job's cohort that have no finished record.

    They train in this process. When it returns, every trial of the cohort has a record; that of a member that
    failed gives the reason.

    Args:
        job: the job.
        report: receives events.
        resources: the job's resources, if they are already open.

    Raises:
        StoreError: the runs folder cannot be read or written.
        KdbenchError: a plugin or the data cannot be read.
    """
    if job.threads is not None and job.threads != torch.get_num_threads():
        torch.set_num_threads(job.threads)
    if resources is None:
        resources = open_resources(job, lambda message: report(Warned(message=message)))
    _Worker(job, resources, report).run()


class _Worker:
    def __init__(self, job: Job, resources: Resources, report: Report) -> None:
        self.job = job
        self.resources = resources
        self.report = report
        self.store = resources.store
        self.device = torch.device(job.device)
        self.timings: dict[str, Timings] = {}
        self.training: list[Member] = []
        self.batch_sizes: dict[str, int] = {}

    def run(self) -> None:
        """Create, train, evaluate and store the members."""
        trials = [t for t in self.job.members if not self._is_finished(t.id) and self._has_teachers(t)]
        if not trials:
            return
        stream = make_stream(self.job, self.resources, trials[0])
        members = [m for t in trials if (m := self._make(t, stream))]
        try:
            teachers = load_teachers(self.job, self.resources, members)
        except StoreError:
            raise
        except Exception as error:
            for member in members:
                self._fail(member, error)
            return
        self.training = [m for m in members if m.epoch < m.trial.recipe.epochs]
        for member in members:
            if member not in self.training:  # interrupted between its last epoch and its record, or has no epochs at all
                self._finish_untrained(member, stream)
        for event in train_cohort(self.training, teachers, stream, self.device):
            match event:
                case BatchDone(epoch, samples, trained):
                    self.report(BatchTrained(trials=tuple(m.trial.id for m in trained), epoch=epoch, samples=samples))
                case Left(member, why):
                    self._fail(member, why)
                case EpochEnd():
                    self._end_epoch(event, stream)

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
        try:
            member = make_member(self.job, self.resources, trial, stream.steps_per_epoch)
            if path.exists():
                try:
                    self.timings[trial.id] = Timings(**load_checkpoint(member, path))
                    self.timings[trial.id].sessions += 1
                except CheckpointUnreadable as error:
                    self._warn(f"the checkpoint {path} cannot be used ({error}); the trial starts again from its first epoch")
                    member = make_member(self.job, self.resources, trial, stream.steps_per_epoch)
        except StoreError:
            raise
        except Exception as error:
            self._announce(save_failure(self.job, self.resources, trial, failure_of(error)))
            return None
        self.report(TrialStarted(trial=trial.id, epoch=member.epoch))
        return member

    def _fail(self, member: Member, error: Exception) -> None:
        """Record a member's failure, and stop training it."""
        if member in self.training:
            self.training.remove(member)
        record = save_failure(self.job, self.resources, member.trial, failure_of(error, member.epoch))
        self.store.checkpoint_path(member.trial.id).unlink(missing_ok=True)
        self._announce(record)

    def _end_epoch(self, end: EpochEnd, stream: TrainStream) -> None:
        """Evaluate members, extend their histories and write checkpoints.

        After the last epoch, store the record.
        """
        logits = self._evaluate([m for m, _ in end.members])
        for member, means in end.members:
            trial = member.trial
            if trial.id not in logits:  # failed in evaluation
                continue
            spent = self.timings[trial.id].add_epoch(end.seconds, trial.id, len(end.members))
            row = {
                "epoch": float(member.epoch),
                "lr": member.learning_rate,
                **means,
                **_columns(split_scores(self.resources, logits[trial.id])),
                "train_seconds": spent,
                "samples_per_second": stream.samples_per_epoch / spent if spent else 0.0,
            }
            member.history.append(row)
            save_checkpoint(member, self.store.checkpoint_path(trial.id), vars(self.timings[trial.id]))
            self.report(EpochFinished(trial=trial.id, epoch=member.epoch, metrics=row))
            if member.epoch == trial.recipe.epochs:
                self._finish(member, logits[trial.id], stream)

    def _finish_untrained(self, member: Member, stream: TrainStream) -> None:
        """Evaluate and store a member that has no epochs left to train."""
        logits = self._evaluate([member])
        if member.trial.id in logits:
            self._finish(member, logits[member.trial.id], stream)

    def _evaluate(self, members: Sequence[Member]) -> dict[str, dict[str, Tensor]]:
        begin = time.perf_counter()
        logits = evaluate(self.resources, members, self.batch_sizes, self._fail)
        spent = (time.perf_counter() - begin) / max(len(logits), 1)
        for member in members:
            self.timings[member.trial.id].evaluate += spent
        return logits

    def _finish(self, member: Member, logits: Mapping[str, Tensor], stream: TrainStream) -> None:
        """Store the record of a member that has completed all its epochs."""
        trial = member.trial
        last = member.history[-1] if member.history else {}
        task, test = self.resources.task, unit_targets(self.resources.data.test)
        trained = {name: last[f"train_{name}"] for name in task.metrics if f"train_{name}" in last}
        metrics = {"train": trained, **split_scores(self.resources, logits)}
        own = metrics["test"]
        interface = interface_of(trial, self.resources.data, self.resources.registry)

        def failed(name: str, error: Exception) -> None:
            self._warn(f'metric "{name}" failed on trial {trial.id}: {type(error).__name__}: {error}')

        for name, value in extra_metrics(self.resources, logits["test"], failed).items():
            own[name if name not in own else f"metric_{name}"] = value
        record = Record(
            trial=trial,
            status="finished",
            metrics=metrics,
            profile=profile_id(trial, interface, self.resources.registry),
            costs=self.timings[trial.id].costs(member, stream.samples_per_epoch),
            data={**data_facts(self.resources.data), "inputs": interface.spec},
            provenance=provenance(self.job, self.resources, trial),
        )
        record = self.store.save(
            record,
            history=member.history,
            predictions=task.predictions(logits["test"], test),
            student=member.deployed().state_dict(),
            source=None if member.method.is_installed() else member.method.source(),
        )
        self.store.checkpoint_path(trial.id).unlink(missing_ok=True)
        self._announce(record)

    def _announce(self, record: Record) -> None:
        self.report(TrialEnded(record=record))

    def _warn(self, message: str) -> None:
        self.report(Warned(message=message))


def _columns(scores: Mapping[SplitName, Mapping[str, float]]) -> dict[str, float]:
    """Return scores as columns of the history, such as ``validation_accuracy``."""
    return {f"{split}_{name}": value for split, found in scores.items() for name, value in found.items()}
