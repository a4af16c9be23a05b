"""Runs a suite, from its plan to its records.

The steps are: schedule, train, profile, measure latency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

import torch

from kdbench.engine.attempts import forget
from kdbench.engine.estimate import cohort_work, work_per_sample
from kdbench.engine.events import TrialEnded
from kdbench.engine.executors import Executor, WorkerDied
from kdbench.engine.executors.local import LocalExecutor
from kdbench.engine.forecast import latency_seconds, report_seconds
from kdbench.engine.job import Job, lineage
from kdbench.engine.latency import measure_plan
from kdbench.engine.monitor import Inbox, Monitor
from kdbench.engine.outcome import save_failure
from kdbench.engine.prepare import Prepared, planned_again
from kdbench.engine.presence import wait_for_workers
from kdbench.engine.progress import Progress
from kdbench.engine.resources import Resources
from kdbench.engine.scheduler import Scheduler
from kdbench.errors import KdbenchError
from kdbench.measure.cost import profile
from kdbench.measure.machine import now
from kdbench.method.guard import Guard
from kdbench.plan.trial import Cohort, Plan
from kdbench.plugins.manager import Registry
from kdbench.results.files import remove, tidy_safetensors
from kdbench.results.record import Failure, Record
from kdbench.results.store import Store
from kdbench.results.teachers import concerned, weak_teachers
from kdbench.train.networks import changes_student, interfaces_of, trained_network


@dataclass(frozen=True)
class Summary:
    """Result of a run.

    Args:
        prepared: the suite.
        records: id → record of every trial of the plan that has one.
        done_before: ids of trials that were finished before the run began.
        stale: ids of records that were made with another version of their method's source.
    """

    prepared: Prepared
    records: Mapping[str, Record]
    done_before: tuple[str, ...] = ()
    stale: tuple[str, ...] = field(default=())

    @property
    def failed(self) -> list[Record]:
        """The records of trials that failed."""
        return [r for r in self.records.values() if r.status == "failed"]


def run_suite(
    prepared: Prepared,
    store: Store,
    *,
    device: torch.device,
    fresh: bool = False,
    remeasure: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Summary:
    """Train every trial that has no finished record.

    Args:
        prepared: the suite.
        store: the store of the records; locked during the run.
        device: device of the networks.
        fresh: whether to discard the suite's finished records first.
        remeasure: whether to measure latencies that the store has again.
        executor: runs the jobs, and is closed at the end; runs them in this process by default.
        progress: the display.
        command: the command line, for provenance.

    Raises:
        KdbenchError: the runs folder cannot be written, or another run uses it.
        KeyboardInterrupt: passed on; finished trials are stored.
    """
    progress = progress or Progress()
    executor = executor or LocalExecutor()
    with ExitStack() as stack:
        stack.callback(executor.close)
        store.open()
        stack.enter_context(store.lock())
        wait_for_workers(store.root)
        stack.callback(_tidy, store)  # after workers that were ended
        stack.callback(executor.close)  # before the lock is released, so that no worker writes afterwards
        tidy_safetensors(store.root)
        tidy_safetensors(store.root / "checkpoints")
        prepared = _planned_again(prepared, store)
        if fresh:
            for trial_id in prepared.plan.trials:
                store.discard(trial_id)
                forget(store, trial_id)
            prepared = planned_again(prepared, store)
        run = _Run(prepared, store, device, executor, progress, command)
        done = run.begin()
        progress.afterwards(latency_seconds(prepared, store) + report_seconds(prepared))
        try:
            run.train(done)
            executor.close()  # the machine should be idle while latency is measured
            prepared = run.prepared
            run.profile_changed_students()
            measure_plan(prepared, store, progress, again=fresh or remeasure)
            progress.afterwards(report_seconds(prepared))
        finally:
            progress.suite_finished()
        run.restore_plan()
        records = store.records(prepared.plan.trials)
        prepared.registry.notify("kdbench_suite_finished", progress.warn, plan=prepared.plan, records=records)
    return Summary(prepared, records, done, _stale(records, prepared.registry))


class _Run:
    def __init__(
        self, prepared: Prepared, store: Store, device: torch.device, executor: Executor, progress: Progress, command: str
    ) -> None:
        self.prepared = prepared
        self.store = store
        self.device = device
        self.executor = executor
        self.progress = progress
        self.command = command
        self.started = now()
        self.resources = Resources(prepared.registry, prepared.task, prepared.data, store, prepared.objects)
        self.concerned = concerned(prepared.plan)
        self.warned: set[str] = set()

    def begin(self) -> tuple[str, ...]:
        """Store what is known before training; return the ids of finished trials."""
        if kept := self.save_plan():
            rows = "1 row of an earlier run" if kept == 1 else f"{kept} rows of earlier runs"
            self.progress.note(f"the report also shows {rows} of this suite")
        for known in self.prepared.profiles.values():
            self.store.save_profile(known)
        done = self._finished(self.prepared.plan)
        for trial_id in done:  # killed between a record and the removal of its checkpoint
            remove(self.store.checkpoint_path(trial_id))
            forget(self.store, trial_id)
        return done

    def save_plan(self) -> int:
        """Store the plan; return the number of earlier rows that the report shows."""
        return self.store.save_plan(self.prepared.plan, keep=self.prepared.loaded.written)

    def restore_plan(self) -> None:
        """Write the plan and the profiles again if somebody deleted them in the meantime."""
        if self.store.plan(self.prepared.plan.suite) is None:
            self.begin()

    def train(self, done: tuple[str, ...]) -> None:
        """Run the plan's trials and plan again, until there are no new trials.

        What is finished by then decides what tuning asks for next.
        """
        plan = self.prepared.plan
        self._warn_of_weak_teachers(done)
        tried: set[str] = set(done)
        if tried.issuperset(plan.trials):
            self.progress.suite_started(plan, done, 0.0)
            return
        self.executor.open(self.resources)
        while True:
            self._round(plan, done, [t for t in plan.trials if t not in tried])
            tried.update(plan.trials)
            self.prepared = _planned_again(self.prepared, self.store)
            if self.prepared.plan == plan:
                return
            plan = self.prepared.plan
            self.concerned = concerned(plan)
            self.progress.suite_finished()
            self.save_plan()
            done = self._finished(plan)
            if tried.issuperset(plan.trials):
                return

    def profile_changed_students(self) -> None:
        """Profile networks that a method changes, which are known only after training."""
        prepared, store = self.prepared, self.store
        plan, data, registry = prepared.plan, prepared.data, prepared.registry
        measure, interfaces = prepared.loaded.suite.measure, interfaces_of(data, registry)
        for trial in plan.trials.values() if measure.cost else ():
            record = store.record(trial.id) if changes_student(registry.methods[trial.method]) else None
            if record is not None and record.status == "finished" and store.profile(record.profile) is None:
                weights, name = store.student(trial.id), f"{trial.model.model} ({trial.method})"
                try:
                    with Guard().calling(f'the network that method "{trial.method}" deploys', "the measurement of its cost"):
                        network = trained_network(trial, plan.trials, interfaces, data.train.targets, registry, weights)
                        cost = profile(
                            network, name=name, interface=interfaces(trial), id=record.profile, batch_size=measure.batch_size
                        )
                except KdbenchError as error:
                    self.progress.warn(f"the cost of {name} was not measured: {error}")
                else:
                    store.save_profile(cost)

    def _round(self, plan: Plan, done: tuple[str, ...], trials: list[str]) -> None:
        """Train trials of a plan."""
        size = len(self.prepared.data.train)
        work = work_per_sample(plan, self.prepared.profile_of)
        samples = _samples(plan, size)
        monitor = Monitor(plan, self.prepared.registry, self.progress, work, samples, partial(_tidy, self.store))
        inbox = Inbox(monitor)
        self.progress.suite_started(plan, done, sum(plan.trials[t].recipe.epochs * samples[t] * work[t] for t in trials))
        load = partial(cohort_work, plan=plan, profile_of=self.prepared.profile_of, size=size)
        Scheduler(
            plan,
            self.executor,
            partial(self._job, plan),
            load,
            inbox,
            partial(self._job_started, plan.names(), len(plan.cohorts)),
            partial(self._job_ended, monitor),
            self.progress.tick,
        ).run(trials)

    def _job(self, plan: Plan, cohort: Cohort) -> Job:
        """Create the job of a cohort."""
        return Job(
            suite=plan.suite,
            trials=lineage(cohort.trials, plan.trials),
            cohort=cohort,
            dataset=self.prepared.loaded.suite.dataset,
            data_root=self.prepared.data_root.absolute(),
            runs=self.store.root.absolute(),
            plugins=tuple(p.absolute() for p in self.prepared.plugins),
            device=str(self.device),
            command=self.command,
            started=self.started,
            suspects=tuple(t for t in cohort.trials if self._died_before(t)),
        )

    def _died_before(self, trial_id: str) -> bool:
        """Whether a trial's code ended processes in an earlier run."""
        record = self.store.record(trial_id)
        return record is not None and record.failure is not None and record.failure.kind == "WorkerDied"

    def _job_started(self, names: Mapping[str, str], total: int, number: int, job: Job) -> None:
        labels = [names[t.id] for t in job.members]
        self.progress.cohort_started(f"cohort {number}/{total}", job.cohort, labels, job.members[0].recipe.epochs)

    def _job_ended(self, monitor: Monitor, job: Job, error: BaseException | None) -> None:
        if isinstance(error, WorkerDied):
            failures = error.failures
            if failures is None:
                failures = dict.fromkeys(job.cohort.trials, Failure(kind="WorkerDied", message=str(error)))
            for trial in (t for t in job.members if t.id in failures and t.id not in monitor.ended):
                record = self.store.record(trial.id)  # its worker may have died before it could report it
                if record is None or record.status != "finished":
                    record = save_failure(job, self.resources, trial, failures[trial.id])
                monitor(TrialEnded(record=record))
        elif error is not None:
            raise error
        self.progress.cohort_finished(job.cohort)
        self._warn_of_weak_teachers(job.cohort.trials)

    def _warn_of_weak_teachers(self, ended: Iterable[str]) -> None:
        """Warn once of each teacher that turns out to be weak."""
        if self.concerned.isdisjoint(ended):
            return
        for weak in weak_teachers(self.prepared.plan, self.store.records(self.concerned)):
            if weak.warning not in self.warned:
                self.warned.add(weak.warning)
                self.progress.warn(weak.warning)

    def _finished(self, plan: Plan) -> tuple[str, ...]:
        return tuple(i for i, r in self.store.records(plan.trials).items() if r.status == "finished")


def _planned_again(prepared: Prepared, store: Store) -> Prepared:
    """Plan again, with the lock held: no trial of the plan may be of a newer format."""
    store.bring_up_to_date(prepared.plan.trials)
    again = planned_again(prepared, store)
    if again is not prepared:
        store.bring_up_to_date(again.plan.trials)
    return again


def _tidy(store: Store) -> None:
    """Remove the unfinished files of dead workers."""
    with suppress(OSError):  # the next run tries again
        store.tidy(own=False)


def _samples(plan: Plan, size: int) -> dict[str, int]:
    """Count the training samples of an epoch, by trial id."""
    found = {}
    for cohort in plan.cohorts:
        for trial_id in cohort.trials:
            recipe = plan.trials[trial_id].recipe
            anchors = size // recipe.batch_size * recipe.batch_size if recipe.drop_last else size
            found[trial_id] = anchors * (2 if cohort.sampler == "class_pairs" else 1)
    return found


def _stale(records: Mapping[str, Record], registry: Registry) -> tuple[str, ...]:
    finished = {i: r for i, r in records.items() if r.status == "finished"}
    return tuple(i for i, r in finished.items() if not registry.methods[r.trial.method].has_source(r.provenance.method_digest))
