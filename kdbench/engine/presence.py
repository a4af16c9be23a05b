"""Locks of workers, which may outlive a killed run.

Each worker holds a lock in the runs folder, and the next run waits for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kdbench.errors import StoreError
from kdbench.results.files import disk_errors

PREFIX = ".worker.tmp-"
""":func:`kdbench.results.files.tidy` removes such files of dead processes."""
PATIENCE = 60.0
"""Longest wait in seconds.

A worker whose main process was killed ends within a training step, or after ten seconds.
"""


@contextmanager
def present(runs: Path) -> Iterator[None]:
    """Hold a lock in the runs folder while this process works there."""
    path = runs / f"{PREFIX}{os.getpid()}"
    lock = FileLock(path)
    with suppress(OSError, NotImplementedError):  # a file system without locks, or one that is full
        lock.acquire(timeout=0)
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):
            path.unlink(missing_ok=True)


def wait_for_workers(runs: Path) -> None:
    """Wait for the workers of a run that was killed.

    Raises:
        StoreError: a worker does not end.
    """
    for path in sorted(runs.glob(f"{PREFIX}*")):
        try:
            with suppress(NotImplementedError), FileLock(path, timeout=PATIENCE):
                pass
        except Timeout:
            raise StoreError(
                f"a worker of an earlier run still works in {runs} (process {path.name.removeprefix(PREFIX)}):"
                " end it, or give --runs another folder"
            ) from None
        with disk_errors(runs):
            path.unlink(missing_ok=True)
