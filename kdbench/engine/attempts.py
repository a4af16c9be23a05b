"""Attempts to train a trial in which the process died.

A process that trains by itself keeps a file for each trial meanwhile, which its death leaves behind; the
next run counts them. A death counts afresh when an epoch was finished since the attempt began, so that
a run that is killed now and then loses nothing. Trials that two processes died in, with no epoch finished
in between, are trained in a worker process, where the one that ends processes is found: see
:mod:`kdbench.engine.executors.isolation`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from kdbench.results.files import disk_errors, write_whole
from kdbench.results.store import Store
from kdbench.suite.schema import Frozen

Stamp = tuple[int, int] | None
"""When a trial's checkpoint was written, in ns, and its size in bytes."""


class Attempt(Frozen):
    """An attempt to train a trial.

    Args:
        version: of this format.
        deaths: processes that died in it before, since the last finished epoch.
        running: whether the attempt has not ended.
        checkpoint: the checkpoint that it began with.
    """

    version: Literal[1] = 1
    deaths: int = 0
    running: bool = True
    checkpoint: Stamp = None


def deaths(store: Store, trial: str) -> int:
    """Count the processes that died in a trial since its last finished epoch."""
    try:
        found = Attempt.model_validate_json(_path(store, trial).read_bytes())
    except (OSError, ValueError):  # there was none, or it is damaged, or a newer kdbench wrote it
        return 0
    if not found.running:
        return found.deaths
    return found.deaths + 1 if found.checkpoint == _stamp(store, trial) else 1


@contextmanager
def attempt(store: Store, trials: Iterable[str], ended: Collection[str]) -> Iterator[None]:
    """Mark a block in which this process trains trials.

    Args:
        store: the runs folder.
        trials: their ids.
        ended: ids of those that have ended, when the block ends.

    Raises:
        StoreError: the runs folder cannot be written.
    """
    begun = {t: Attempt(deaths=deaths(store, t), checkpoint=_stamp(store, t)) for t in trials}
    with disk_errors(store.root):
        for trial, mark in begun.items():
            _save(store, trial, mark)
    try:
        yield
    finally:
        for trial, mark in begun.items():
            if trial in ended or not mark.deaths or _stamp(store, trial) != mark.checkpoint:
                forget(store, trial)
            else:
                with suppress(OSError):  # a full disk is reported by what needs it
                    _save(store, trial, mark.model_copy(update={"running": False}))


def forget(store: Store, trial: str) -> None:
    """Forget what is known about a trial's attempts."""
    with suppress(OSError):
        _path(store, trial).unlink(missing_ok=True)


def _save(store: Store, trial: str, mark: Attempt) -> None:
    write_whole(_path(store, trial), mark.model_dump_json().encode(), durable=False)


def _path(store: Store, trial: str) -> Path:
    return store.checkpoint_path(trial).with_suffix(".attempt.json")


def _stamp(store: Store, trial: str) -> Stamp:
    try:
        found = store.checkpoint_path(trial).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
