"""Jobs in worker processes on this machine, which live as long as the run."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import torch

from kdbench.engine.events import EpochFinished, Event, Report, TrialEnded, WorkerLost
from kdbench.engine.executors import ExecutorSettings, WorkerDied
from kdbench.engine.executors.child import GRACE
from kdbench.engine.executors.cores import threads_of_each
from kdbench.engine.executors.isolation import Isolation
from kdbench.engine.executors.worker_process import WorkerProcess, label
from kdbench.engine.job import Job, part_of
from kdbench.engine.resources import Resources, save_data
from kdbench.plugins.carry import pack
from kdbench.results.files import remove, temporary
from kdbench.results.record import Failure

PERIOD = 0.5
"""Seconds between two looks at the workers."""


class _Task(NamedTuple):
    job: Job
    report: Report
    future: Future[None]


class ProcessExecutor:
    """Runs jobs in worker processes, which start immediately.

    Their imports take seconds, during which the main process can read data.

    A worker that dies is replaced, and its job is submitted again: it continues from its members' last
    checkpoints. A trial that kills workers is found, and fails alone: see
    :mod:`kdbench.engine.executors.isolation`. So does one that trains for longer than the suite allows.

    Args:
        settings: the user's settings. Without ``threads``, the cores are divided among the workers; with
            several GPUs, each worker has one.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self.slots = settings.jobs or 1
        # One worker gets what this process would train with: sums may depend on the number of threads.
        own = threads_of_each(self.slots) if self.slots > 1 else torch.get_num_threads()
        self._threads = settings.threads or own
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._folder: Path | None = None
        self._objects = ""
        self._closing = threading.Event()
        self._workers: list[WorkerProcess] = []
        self._serving: list[threading.Thread] = []
        try:
            for device in _devices(settings.device, self.slots):
                worker = WorkerProcess(self._closing, device, settings.trial_minutes)
                self._workers.append(worker)
                self._serving.append(_thread(self._serve, worker))
            _thread(self._watch)
        except BaseException:  # nobody else knows the workers yet
            self.close()
            raise

    def open(self, resources: Resources) -> None:
        """Write the decoded data to a file, and pickle the plugins that are objects.

        All workers map the file into their memory.

        Raises:
            StoreError: the runs folder cannot be written.
            PluginError: an object cannot be pickled.
        """
        self._objects = pack(resources.objects)
        self._folder = temporary(resources.store.root.absolute() / "data")  # of its own: safetensors has temporary files
        save_data(resources.data, self._folder / "data")

    def submit(self, job: Job, report: Report) -> Future[None]:
        """Run a job in the next free worker."""
        future: Future[None] = Future()
        data_file = None if self._folder is None else self._folder / "data"
        changes = {"threads": self._threads, "data_file": data_file, "objects": self._objects}
        self._tasks.put(_Task(job.model_copy(update=changes), report, future))
        return future

    def close(self) -> None:
        """End the workers: idle ones at once, the others after their current step."""
        try:
            if not self._closing.is_set():
                self._closing.set()
                for worker in self._workers:
                    self._tasks.put(None)
                    worker.stop()
                deadline = time.monotonic() + GRACE
                for thread in self._serving:
                    thread.join(max(0.0, deadline - time.monotonic()))
        finally:  # after a second Ctrl-C too
            for worker in self._workers:
                worker.kill()
            if self._folder is not None:
                remove(self._folder)

    def _serve(self, worker: WorkerProcess) -> None:
        """Run tasks on one worker until the executor closes."""
        while (task := self._tasks.get()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                self._run(worker, task)
            except BaseException as error:  # any exception goes to the submitter
                task.future.set_exception(error)
            else:
                task.future.set_result(None)

    def _run(self, worker: WorkerProcess, task: _Task) -> None:
        """Run a job, in parts where its trials kill workers.

        Raises:
            WorkerDied: some of the trials failed because workers died, or because they took too long.
        """
        job, isolation = task.job, Isolation(task.job.cohort.trials, task.job.suspects)

        def report(event: Event) -> None:
            if isinstance(event, TrialEnded):
                isolation.ended(event.record.trial.id)
            if isinstance(event, EpochFinished | TrialEnded):
                isolation.progress()
            task.report(event)

        while trials := isolation.part():
            part = job if trials == job.cohort.trials else _part(job, trials)
            try:
                worker.work(part, report)
            except EOFError:
                end = worker.restart(part)
                if self._closing.is_set():
                    raise WorkerDied("stopped") from None
                who = "work that trials share" if end.trial is None else label(job, end.trial)
                if end.overdue is not None:
                    what, done = f"was ended: {who} {end.overdue}", isolation.overdue(end.trial, end.overdue)
                else:
                    what, done = f"{end.how} in {who}", isolation.died(end.how, end.trial, end.begun)
                task.report(WorkerLost(message=f"a worker process {what}; {done}"))
            else:
                isolation.over()
        if isolation.failed:
            failures = {t: Failure(kind=kind, message=why) for t, (kind, why) in isolation.failed.items()}
            raise WorkerDied("; ".join(f.message for f in failures.values()), failures)

    def _watch(self) -> None:
        """Look at the workers now and then."""
        before = time.monotonic()
        while not self._closing.wait(PERIOD):
            now = time.monotonic()
            for worker in self._workers:
                worker.check(min(now - before, 2 * PERIOD))  # this process may have been stopped in between
            before = now


def _part(job: Job, trials: tuple[str, ...]) -> Job:
    return job.model_copy(update={"cohort": part_of(job.cohort, trials, job)})


def _thread(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def _devices(device: str, slots: int) -> list[str | None]:
    """Return a device for each worker, or ``None`` for the job's own."""
    if device != "cuda":
        return [None] * slots
    count = max(torch.cuda.device_count(), 1)
    return [f"cuda:{slot % count}" for slot in range(slots)]
