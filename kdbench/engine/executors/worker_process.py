"""One worker process: starting it, running jobs in it, replacing it if it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Annotated

import psutil
from pydantic import Field, TypeAdapter

from kdbench.engine.activity import Activity, map_memory, shared_memory
from kdbench.engine.events import Event, JobEnded, Report, Warned
from kdbench.engine.executors.watch import Watch
from kdbench.engine.job import Job
from kdbench.errors import KdbenchError, StoreError

MESSAGES: TypeAdapter[Event | JobEnded] = TypeAdapter(Annotated[Event | JobEnded, Field(discriminator="kind")])


class JobFailed(Exception):
    """A bug in kdbench or in a plugin ended a job in a worker.

    Its cause has the worker's traceback.
    """


@dataclass(frozen=True)
class End:
    """How a worker process ended.

    Args:
        how: what it died of, as the end of a sentence.
        trial: whose code it was in; ``None`` if that is unknown.
        begun: whether it had begun its job.
        overdue: what took too long, as the end of a sentence; ``None`` if it was not ended for that.
    """

    how: str
    trial: str | None
    begun: bool
    overdue: str | None = None


class WorkerProcess:
    """A worker process that can be replaced when it dies.

    Args:
        closing: set when no more processes may be started.
        device: device of its jobs; ``None`` for the job's own.
        trial_minutes: the longest time that a trial may train; ``None`` for no limit.
    """

    def __init__(self, closing: threading.Event, device: str | None, trial_minutes: float | None = None) -> None:
        self._closing = closing
        self._device = device
        self._lock = threading.Lock()
        self._watch = Watch(trial_minutes)
        self._memory = shared_memory()
        self._activity = Activity(map_memory(self._memory))
        self._process = _start(self._memory)

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
        self._activity.reset()
        self._watch.begin([label(job, t) for t in job.cohort.trials], lambda message: report(Warned(message=message)))
        try:
            process.stdin.write(job.model_dump_json() + "\n")
            process.stdin.flush()
        except (OSError, ValueError) as error:  # a broken pipe, or one that was closed
            raise EOFError from error
        for line in process.stdout:
            if not line.endswith("\n"):  # it died while it wrote
                break
            message = MESSAGES.validate_json(line)
            if isinstance(message, JobEnded):
                self._watch.end()
                _conclude(message)
                return
            report(message)
        raise EOFError

    def check(self, seconds: float) -> None:
        """Kill the process if a trial takes too long.

        Time in which the process is stopped (SIGSTOP) does not count.
        """
        moment = self._activity.now
        if self._watch.silent(moment) and _is_stopped(self._process.pid):
            return
        if self._watch.tick(moment, seconds):
            self._process.kill()

    def restart(self, job: Job) -> End:
        """Replace a process that has died in a job."""
        self.kill()
        overdue, moment = self._watch.end(), self._activity.now
        code = self._process.wait()
        with suppress(OSError):
            assert self._process.stdout is not None
            self._process.stdout.close()  # by the thread that read it
        with self._lock:
            if not self._closing.is_set():
                self._process = _start(self._memory)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        who = moment.trial if overdue is None else overdue.trial
        trials = job.cohort.trials
        trial = trials[who] if who is not None and who < len(trials) else None
        return End(how, trial, moment.begun, None if overdue is None else overdue.why)

    def stop(self) -> None:
        """Ask the process to end."""
        with self._lock, suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def kill(self) -> None:
        """End the process if it has not ended, and close the pipe to it.

        The pipe from it is not closed here: another thread may be reading it, and closing would wait for that
        read, forever if a process that the worker started holds the other end.
        """
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()


def _conclude(end: JobEnded) -> None:
    """Raise the error that a job ended with, if any."""
    if end.error == "StoreError":
        raise StoreError(end.message)
    if end.error == "KdbenchError":
        raise KdbenchError(end.message)
    if end.error is not None:
        raise JobFailed(f"{end.error}: {end.message}") from JobFailed(f"in the worker:\n{end.traceback}")


def label(job: Job, trial_id: str) -> str:
    """A trial as a person would call it."""
    trial = job.trials[trial_id]
    return f"{trial.method} on {trial.model.model}, seed {trial.seed}"


def _is_stopped(pid: int) -> bool:
    with suppress(psutil.Error):
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    return False


def _start(memory: int | None) -> subprocess.Popen[str]:
    # Pass on this process's module path; PYTHONPATH alone is not enough, for example in a notebook.
    call = f"main({os.getpid()}, {memory})"
    code = f"import sys; sys.path[:] = {sys.path!r}; from kdbench.engine.executors.child import main; {call}"
    with _sigint_blocked():
        return subprocess.Popen(  # noqa: S603 (kdbench itself)
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            pass_fds=() if memory is None else (memory,),
            # Only the main process handles Ctrl-C, and then stops the workers. Outside Windows, the worker
            # inherits a signal mask instead, see below.
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and so in processes that are started meanwhile."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
