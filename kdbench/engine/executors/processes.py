"""Jobs in worker processes on this machine, which live as long as the run."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, TypeAdapter

from kdbench.engine.events import Event, JobEnded, Report, WorkerLost
from kdbench.engine.executors import ExecutorSettings, WorkerDied
from kdbench.engine.executors.child import GRACE
from kdbench.engine.executors.cores import threads_of_each
from kdbench.engine.job import Job
from kdbench.engine.resources import Resources, save_data
from kdbench.errors import KdbenchError, StoreError
from kdbench.plugins.carry import pack
from kdbench.results.files import temporary

LIVES = 2
"""A job that kills this many workers is given up."""
_MESSAGES: TypeAdapter[Event | JobEnded] = TypeAdapter(Annotated[Event | JobEnded, Field(discriminator="kind")])


class _Task(NamedTuple):
    job: Job
    report: Report
    future: Future[None]


class ProcessExecutor:
    """Runs jobs in processes of their own, started at once: imports take seconds, in which the main process can read data.

    A worker that dies is replaced, and its job submitted again; it goes on from its members' last checkpoints.

    Args:
        settings: what the user asked for. Without ``threads`` the cores are shared out; with several GPUs each worker has one.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self.slots = settings.jobs or 1
        self._threads = settings.threads or threads_of_each(self.slots)
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._data_file: Path | None = None
        self._objects = ""
        self._closing = threading.Event()
        self._workers = [_Worker(self._closing, device) for device in _devices(settings.device, self.slots)]
        self._threads_of_workers = [
            threading.Thread(target=self._serve, args=(worker,), daemon=True) for worker in self._workers
        ]
        for thread in self._threads_of_workers:
            thread.start()

    def open(self, resources: Resources) -> None:
        """Write the decoded data once, for all workers to map into their memory, and pickle the plugins that are objects.

        Raises:
            StoreError: the runs folder cannot be written.
            PluginError: an object cannot be pickled.
        """
        self._objects = pack(resources.objects)
        self._data_file = temporary(resources.store.root.absolute() / "data")
        save_data(resources.data, self._data_file)

    def submit(self, job: Job, report: Report) -> Future[None]:
        """Run a job in the next worker that is free."""
        future: Future[None] = Future()
        changes = {"threads": self._threads, "data_file": self._data_file, "objects": self._objects}
        self._tasks.put(_Task(job.model_copy(update=changes), report, future))
        return future

    def close(self) -> None:
        """End the workers: at once those that are idle, the others after the step that they are in."""
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

    def _serve(self, worker: _Worker) -> None:
        """Run tasks on one worker, until there are none."""
        while (task := self._tasks.get()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                self._run(worker, task)
            except BaseException as error:  # whatever it is, it is the submitter's to know
                task.future.set_exception(error)
            else:
                task.future.set_result(None)

    def _run(self, worker: _Worker, task: _Task) -> None:
        for life in range(1, LIVES + 1):
            try:
                worker.work(task.job, task.report)
                return
            except EOFError:
                how = worker.restart()
            if self._closing.is_set():
                raise WorkerDied("stopped")
            if life < LIVES:
                task.report(WorkerLost(message=f"a worker process {how}; its trials go on in another from their last epoch"))
            else:
                task.report(WorkerLost(message=f"a worker process {how}, for the second time with the same trials"))
        raise WorkerDied(f"its worker process {how}, twice (on Linux, signal 9 may mean that memory ran out)")


class _Worker:
    """A worker process, and the next one when it has died.

    Args:
        closing: set when no process is to be started any more.
        device: where its jobs run; ``None`` leaves a job's own.
    """

    def __init__(self, closing: threading.Event, device: str | None) -> None:
        self._closing = closing
        self._device = device
        self._lock = threading.Lock()
        self._process = _start()

    def work(self, job: Job, report: Report) -> None:
        """Run a job, and report its events.

        Raises:
            EOFError: the process has died.
            KdbenchError: what the job ended with.
        """
        process = self._process
        if self._device is not None:
            job = job.model_copy(update={"device": self._device})
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(job.model_dump_json() + "\n")
            process.stdin.flush()
        except (OSError, ValueError) as error:  # a broken pipe, or one that was closed
            raise EOFError from error
        for line in process.stdout:
            if not line.endswith("\n"):  # it died while it wrote
                break
            message = _MESSAGES.validate_json(line)
            if isinstance(message, JobEnded):
                _conclude(message)
                return
            report(message)
        raise EOFError

    def restart(self) -> str:
        """Replace a process that has died; returns what it died of, as the end of a sentence."""
        self.kill()
        code = self._process.wait()
        with self._lock:
            if not self._closing.is_set():
                self._process = _start()
        return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"

    def stop(self) -> None:
        """Ask the process to end."""
        with self._lock, suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def kill(self) -> None:
        """End the process, if it has not ended, and forget it."""
        self._process.kill()
        self._process.wait()


def _conclude(end: JobEnded) -> None:
    """Raise what a job ended with, if it did not end well."""
    if end.error == "StoreError":
        raise StoreError(end.message)
    if end.error == "KdbenchError":
        raise KdbenchError(end.message)
    if end.error is not None:
        raise RuntimeError(f"a worker failed with {end.error}: {end.message}\n{end.traceback}")


def _devices(device: str, slots: int) -> list[str | None]:
    """A device for each worker, where there are several to choose from."""
    if device != "cuda":
        return [None] * slots
    import torch

    count = max(torch.cuda.device_count(), 1)
    return [f"cuda:{slot % count}" for slot in range(slots)]


def _start() -> subprocess.Popen[str]:
    # As this process finds its modules; PYTHONPATH alone would not do, in a notebook for example.
    code = f"import sys; sys.path[:] = {sys.path!r}; from kdbench.engine.executors.child import main; main()"
    with _sigint_blocked():
        return subprocess.Popen(  # noqa: S603 (kdbench itself)
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            # Ctrl-C is for the main process, which stops the workers: elsewhere the process inherits a mask, see below.
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT in this thread; a process that is started now inherits that for good."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
