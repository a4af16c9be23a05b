"""One worker process: starting it, running jobs in it, replacing it if it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

from pydantic import Field, TypeAdapter

from kdbench.engine.events import Event, JobEnded, Report
from kdbench.engine.job import Job
from kdbench.errors import KdbenchError, StoreError

MESSAGES: TypeAdapter[Event | JobEnded] = TypeAdapter(Annotated[Event | JobEnded, Field(discriminator="kind")])


class JobFailed(Exception):
    """A bug in kdbench or in a plugin ended a job in a worker.

    Its cause has the worker's traceback.
    """


class WorkerProcess:
    """A worker process that can be replaced when it dies.

    Args:
        closing: set when no more processes may be started.
        device: device of its jobs; ``None`` for the job's own.
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
            message = MESSAGES.validate_json(line)
            if isinstance(message, JobEnded):
                _conclude(message)
                return
            report(message)
        raise EOFError

    def restart(self) -> str:
        """Replace a dead process; return why it died, as the end of a sentence."""
        self.kill()
        code = self._process.wait()
        with suppress(OSError):
            assert self._process.stdout is not None
            self._process.stdout.close()  # by the thread that read it
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


def _start() -> subprocess.Popen[str]:
    # Pass on this process's module path; PYTHONPATH alone is not enough, for example in a notebook.
    code = f"import sys; sys.path[:] = {sys.path!r}; from kdbench.engine.executors.child import main; main()"
    with _sigint_blocked():
        return subprocess.Popen(  # noqa: S603 (kdbench itself)
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
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
