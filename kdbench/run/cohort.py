"""Running one cohort: make its members, go on where they stopped, train, evaluate, store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdbench.data.types import Batch, Split
from kdbench.models import observe
from kdbench.plan.identity import data_side
from kdbench.plan.trial import Cohort, Trial
from kdbench.results.record import Costs, Record
from kdbench.run.session import Session
from kdbench.seeding import named_seed
from kdbench.tasks.stream import StreamSettings, TrainStream, unit_targets
from kdbench.tasks.task import Task
from kdbench.train.checkpoint import CheckpointUnreadable, load_checkpoint, save_checkpoint
from kdbench.train.cohort import EpochSeconds, member_recoverable, train_cohort
from kdbench.train.evaluate import predict
from kdbench.train.member import Member
from kdbench.train.networks import (
    build_context,
    initial_student,
    interface_of,
    make_method,
    profile_id,
    task_of,
    teacher_shapes,
    trained_network,
)
from kdbench.train.presentation import Presentation
from kdbench.train.teacher import Teacher

EVALUATION_BATCH = 500
"""Samples a batch in evaluation: larger ones gain nothing on a CPU and little on a GPU at 32 px."""


@dataclass
class Tally:
    """What a member has cost so far, over all sessions."""

    train: float = 0.0
    shared: float = 0.0
    shared_share: float = 0.0
    evaluate: float = 0.0
    peak_memory_mb: float = 0.0
    cohort_members: int = 1
    sessions: int = 1


def run_cohort(session: Session, cohort: Cohort) -> None:
    """Train all members of a cohort that have no finished record. This is the local executor."""
    trials = [session.plan.trials[t] for t in cohort.trials if not session.is_finished(t)]
    if not trials:
        return
    stream = _stream(session, trials[0], cohort)
    keeper = Keeper(session, task_of(trials[0], session.registry), stream.samples_per_epoch)
    trials = [t for t in trials if keeper.has_teachers(t)]
    members = [m for t in trials if (m := keeper.admit(t, stream))]
    if not members:
        return
    try:
        teachers = _teachers(session, members)
    except Exception as error:
        if not member_recoverable(error):
            raise
        for member in members:
            keeper.failed(member, error)
        return
    waiting = [m for m in members if m.epoch < m.trial.recipe.epochs]
    for member in members:
        if member not in waiting:  # interrupted between its last epoch and its record, or never to be trained at all
            keeper.finish_untrained(member)
    if waiting:
        train_cohort(waiting, teachers, stream, keeper, session.device, recoverable=member_recoverable)


class Keeper:
    """Listens to the trainer: evaluates, keeps the history, writes checkpoints and records."""

    def __init__(self, session: Session, task: Task, samples_per_epoch: int) -> None:
        self.session = session
        self.task = task
        self.tally: dict[str, Tally] = {}
        self.samples_per_epoch = samples_per_epoch

    def has_teachers(self, trial: Trial) -> bool:
        """Whether all teachers of a trial are finished; if not, its failure is recorded."""
        found = _has_teachers(self.session, trial)
        if not found:
            self._skipped(trial, trial.recipe.epochs)
        return found

    def admit(self, trial: Trial, stream: TrainStream) -> Member | None:
        """Make the member of a trial, at the epoch where it stopped; ``None`` when it cannot be made (which is recorded)."""
        session, path = self.session, self.session.store.checkpoint_path(trial.id)
        try:
            member = self._make(trial, stream)
            self.tally[trial.id] = Tally()
            if path.exists():
                try:
                    self.tally[trial.id] = Tally(**load_checkpoint(member, path))
                    self.tally[trial.id].sessions += 1
                    self._skipped(trial, member.epoch)
                except CheckpointUnreadable as error:
                    session.progress.warn(f"checkpoint {path} cannot be continued from ({error}); the trial begins anew")
                    member = self._make(trial, stream)
        except Exception as error:
            if not member_recoverable(error):
                raise
            session.fail(trial, error)
            self._skipped(trial, trial.recipe.epochs)
            return None
        session.event("kdbench_trial_started", trial=trial)
        return member

    def batch(self, epoch: int, samples: int, members: Sequence[Member]) -> None:
        """Pass it on to the display."""
        work = samples * sum(self.session.work[m.trial.id] for m in members)
        self.session.progress.batch(epoch, samples, len(members), work)

    def failed(self, member: Member, error: Exception) -> None:
        """Record a member's failure."""
        session, member.alive = self.session, False
        session.fail(member.trial, error, member.epoch)
        session.store.checkpoint_path(member.trial.id).unlink(missing_ok=True)
        self._skipped(member.trial, member.trial.recipe.epochs - member.epoch)

    def epoch_trained(self, members: Sequence[tuple[Member, dict[str, float]]], seconds: EpochSeconds) -> None:
        """Evaluate, add a row to the history, checkpoint; store the record after the last epoch."""
        rows = {m.trial.id: means for m, means in members}
        predictions = self._evaluate([m for m, _ in members])
        for member, _ in members:
            if member.trial.id not in predictions:  # failed in evaluation
                continue
            trial, tally = member.trial, self.tally[member.trial.id]
            tally.train += seconds.own[trial.id]
            tally.shared += seconds.shared
            tally.shared_share += seconds.shared / len(members)
            tally.peak_memory_mb = max(tally.peak_memory_mb, seconds.peak_memory_mb[trial.id])
            tally.cohort_members = len(members)
            logits = predictions[trial.id]
            spent = seconds.own[trial.id] + seconds.shared / len(members)
            row = {
                "epoch": float(member.epoch),
                "lr": float(member.optimizer.param_groups[0]["lr"]),
                **rows[trial.id],
                **_prefixed("validation_", self.task.scores(logits["validation"], unit_targets(self.session.data.validation))),
                **_prefixed("test_", self.task.scores(logits["test"], unit_targets(self.session.data.test))),
                "train_seconds": spent,
                "samples_per_second": self.samples_per_epoch / spent if spent else 0.0,
            }
            member.history.append(row)
            save_checkpoint(member, self.session.store.checkpoint_path(trial.id), vars(tally))
            self.session.progress.epoch_finished(trial, member.epoch, row)
            self.session.event("kdbench_epoch_finished", trial=trial, epoch=member.epoch, metrics=row)
            if member.epoch == trial.recipe.epochs:
                self._finish(member, logits)

    def finish_untrained(self, member: Member) -> None:
        """Evaluate and store a member that has no epoch left to train."""
        predictions = self._evaluate([member])
        if member.trial.id in predictions:
            self._finish(member, predictions[member.trial.id])

    def _skipped(self, trial: Trial, epochs: int) -> None:
        self.session.progress.skipped(epochs * self.samples_per_epoch * self.session.work[trial.id])

    def _make(self, trial: Trial, stream: TrainStream) -> Member:
        session = self.session
        data, registry = session.data, session.registry
        method = make_method(trial, registry)
        student = initial_student(trial, data, registry)
        shapes = teacher_shapes(trial, session.plan.trials, data, registry, method)
        context = build_context(trial, student, shapes, data, registry, method, stream.steps_per_epoch)
        presentation = Presentation.of(trial, self.task, data, session.device)
        return Member(trial, method, student, context, presentation, self.task.metrics, session.device)

    def _evaluate(self, members: Sequence[Member]) -> dict[str, dict[str, Tensor]]:
        """Logits on validation and test split by trial id; members that fail here are recorded and left out."""
        begin = time.perf_counter()
        networks = {}
        for member in members:
            try:
                networks[member.trial.id] = member.deployed()
            except Exception as error:
                self.failed(member, error)
        found: dict[str, dict[str, Tensor]] = {}
        recipe = members[0].trial.recipe
        for name, split in (("validation", self.session.data.validation), ("test", self.session.data.test)):
            logits = self._predict(members, networks, split, recipe.channels_last, recipe.precision)
            for key, value in logits.items():
                found.setdefault(key, {})[name] = value
        spent = (time.perf_counter() - begin) / max(len(networks), 1)
        for member in members:
            self.tally[member.trial.id].evaluate += spent
        return {key: value for key, value in found.items() if key in networks}

    def _predict(
        self, members: Sequence[Member], networks: dict[str, torch.nn.Module], split: Split, channels_last: bool, precision: str
    ) -> dict[str, Tensor]:
        def batches() -> Iterator[Batch]:
            return self.task.batches(
                split, batch_size=EVALUATION_BATCH, device=self.session.device, channels_last=channels_last
            )

        presentations = {m.trial.id: m.presentation for m in members}
        try:
            return predict(networks, batches(), presentations, precision)[0]
        except Exception:  # find out whose fault it is
            found: dict[str, Tensor] = {}
            for member in members:
                key = member.trial.id
                if key not in networks:
                    continue
                try:
                    found.update(predict({key: networks[key]}, batches(), presentations, precision)[0])
                except Exception as error:
                    del networks[key]
                    self.failed(member, error)
            return found

    def _finish(self, member: Member, logits: Mapping[str, Tensor]) -> None:
        session, trial, tally = self.session, member.trial, self.tally[member.trial.id]
        test = unit_targets(session.data.test)
        last = member.history[-1] if member.history else {}
        own = self.task.scores(logits["test"], test)
        for name, metric in session.registry.metrics.items():
            try:
                value = float(metric(logits["test"], test))
                own[name if name not in own else f"metric_{name}"] = value
            except Exception as error:
                session.progress.warn(f'metric "{name}" failed on trial {trial.id}: {type(error).__name__}: {error}')
        wall = tally.train + tally.shared_share + tally.evaluate
        trained = tally.train + tally.shared_share
        record = Record(
            trial=trial,
            status="finished",
            metrics={
                "train": {name: last[f"train_{name}"] for name in self.task.metrics if f"train_{name}" in last},
                "validation": self.task.scores(logits["validation"], unit_targets(session.data.validation)),
                "test": own,
            },
            profile=profile_id(trial, session.data, session.registry),
            costs=Costs(
                train_seconds=tally.train,
                shared_seconds=tally.shared,
                evaluate_seconds=tally.evaluate,
                wall_seconds=wall,
                samples_per_second=trial.recipe.epochs * self.samples_per_epoch / trained if trained else 0.0,
                cohort_members=tally.cohort_members,
                peak_memory_mb=tally.peak_memory_mb,
                peak_memory_scope="device" if session.device.type == "cuda" else "process",
                method_parameters=member.method_parameters,
                sessions=tally.sessions,
            ),
            data=session.data_facts(),
            provenance=session.provenance(trial),
        )
        record = session.store.save(
            record,
            history=member.history,
            predictions=self.task.predictions(logits["test"], test),
            student=member.deployed().state_dict(),
        )
        session.store.checkpoint_path(trial.id).unlink(missing_ok=True)
        session.announce(trial, record)


def _has_teachers(session: Session, trial: Trial) -> bool:
    for teacher in trial.teachers:
        if not session.is_finished(teacher):
            session.fail(trial, f"its teacher {session.plan.trials[teacher].model.model} (trial {teacher}) has failed")
            return False
    return True


def _stream(session: Session, trial: Trial, cohort: Cohort) -> TrainStream:
    recipe = trial.recipe
    settings = StreamSettings(
        batch_size=recipe.batch_size,
        drop_last=recipe.drop_last,
        augmentation=recipe.augmentation,
        sampler=cohort.sampler,
        seed=named_seed("data", trial.seed, session.data.fingerprint, data_side(recipe)),
        device=session.device,
        channels_last=recipe.channels_last,
    )
    return task_of(trial, session.registry).stream(session.data, settings)


def _teachers(session: Session, members: Sequence[Member]) -> dict[str, Teacher]:
    found: dict[str, Teacher] = {}
    for name in dict.fromkeys(t for m in members for t in m.trial.teachers):
        trial = session.plan.trials[name]
        taught = [m for m in members if name in m.trial.teachers]
        recipe = taught[0].trial.recipe
        network = trained_network(trial, session.plan.trials, session.data, session.registry, session.store.student(name))
        stages = observe.num_stages(network, interface_of(trial, session.data, session.registry).example())
        presentation = Presentation.of(trial, task_of(trial, session.registry), session.data, session.device)
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        network.to(session.device)
        network.to(memory_format=layout)
        found[name] = Teacher(name, network, [m.needs for m in taught], stages, presentation, recipe.precision)
    return found


def _prefixed(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {prefix + key: value for key, value in values.items()}
