"""Jobs in worker processes on this machine, which live as long as the run."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from kdbench.engine.events import EpochFinished, Event, Report, TrialEnded, TrialStarted, WorkerLost
from kdbench.engine.executors import ExecutorSettings, WorkerDied
from kdbench.engine.executors.child import GRACE
from kdbench.engine.executors.cores import threads_of_each
from kdbench.engine.executors.worker_process import WorkerProcess
from kdbench.engine.job import Job
from kdbench.engine.resources import Resources, save_data
from kdbench.plugins.carry import pack
from kdbench.results.files import temporary

LIVES = 2
"""A job that loses this many workers in one epoch is given up."""
STARTS = 5
"""A job that loses this many workers before its training begins is given up too.

The limit is higher because the cause may be something other than the job.
"""


class _Task(NamedTuple):
    job: Job
    report: Report
    future: Future[None]


class ProcessExecutor:
    """Runs jobs in worker processes, which start immediately.

    Their imports take seconds, during which the main process can read data.

    A worker that dies is replaced, and its job is submitted again: it continues from its members' last
    checkpoints. A job that loses two workers in the same epoch is given up.

    Args:
        settings: the user's settings. Without ``threads``, the cores are divided among the workers; with
            several GPUs, each worker has one.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self.slots = settings.jobs or 1
        self._threads = settings.threads or threads_of_each(self.slots)
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._data_file: Path | None = None
        self._objects = ""
        self._closing = threading.Event()
        self._workers = [WorkerProcess(self._closing, device) for device in _devices(settings.device, self.slots)]
        self._threads_of_workers = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True) for worker in self._workers
        ]
        for thread in self._threads_of_workers:
            thread.start()

    def open(self, resources: Resources) -> None:
        """Write the decoded data to a file, and pickle the plugins that are objects.

        All workers map the file into their memory.

        Raises:
            StoreError: the runs folder cannot be written.
            PluginError: an object cannot be pickled.
        """
        self._objects = pack(resources.objects)
        self._data_file = temporary(resources.store.root.absolute() / "data")
        save_data(resources.data, self._data_file)

    def submit(self, job: Job, report: Report) -> Future[None]:
        """Run a job in the next free worker."""
        future: Future[None] = Future()
        changes = {"threads": self._threads, "data_file": self._data_file, "objects": self._objects}
        self._tasks.put(_Task(job.model_copy(update=changes), report, future))
        return future

    def close(self) -> None:
        """End the workers: idle ones at once, the others after their current step."""
        if self._closing.is_set():
            return
        self._closing.set()
        for worker in self._workers:
            self._tasks.put(None)
            worker.stop()
        try:
            for thread in self._threads_of_workers:
                thread.join(GRACE)
        finally:  # after a second Ctrl-C too
            for worker in self._workers:
                worker.kill()
            if self._data_file is not None:
                self._data_file.unlink(missing_ok=True)

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
        deaths = _Deaths(task.report)
        while True:
            try:
                worker.work(task.job, deaths.report)
                return
            except EOFError:
                how = worker.restart()
            if self._closing.is_set():
                raise WorkerDied("stopped")
            if reason := deaths.too_many():
                task.report(WorkerLost(message=f"a worker process {how}, {reason}: its trials are given up"))
                raise WorkerDied(f"its worker process {how}, {reason} (on Linux, signal 9 may mean that memory ran out)")
            task.report(WorkerLost(message=f"a worker process {how}; its trials go on in another from their last epoch"))


class _Deaths:
    """Counts the workers that a job has lost since its last progress.

    Args:
        report: takes the job's events.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._in_epoch = self._before = 0
        self._began = False

    def report(self, event: Event) -> None:
        """Pass on an event, and note how far the job has come."""
        if isinstance(event, EpochFinished | TrialEnded):
            self._in_epoch = self._before = 0
        self._began |= isinstance(event, TrialStarted)
        self._report(event)

    def too_many(self) -> str:
        """Count a death; return how many there were if too many, else an empty string."""
        self._in_epoch, self._before = self._in_epoch + self._began, self._before + (not self._began)
        self._began = False
        if self._in_epoch == LIVES:
            return "twice in the same epoch"
        return f"{STARTS} times before training began" if self._before == STARTS else ""


def _devices(device: str, slots: int) -> list[str | None]:
    """Return a device for each worker, or ``None`` for the job's own."""
    if device != "cuda":
        return [None] * slots
    import torch

    count = max(torch.cuda.device_count(), 1)
    return [f"cuda:{slot % count}" for slot in range(slots)]
