"""What a worker is doing at this moment, in memory that the main process shares.

It costs a training step two stores into memory, can be read while the worker is deaf, and outlives it: so
the main process knows which trial's code a worker died in, or has been in for an hour.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

SIZE = 4 * 8
_WHO, _STEPS, _EPOCH, _BEGUN = range(4)
_NOBODY = -1


@dataclass(frozen=True)
class Moment:
    """What a worker is doing.

    Args:
        trial: number of the trial, in the order of its job, whose code is running; ``None`` in work that
            trials share.
        steps: a counter that changes whenever the worker advances.
        epoch: number of the epoch, from 0.
        begun: whether the job has begun; before that, the worker imports, or reads data.
    """

    trial: int | None
    steps: int
    epoch: int
    begun: bool


class Activity:
    """Says what this process is doing, to whoever shares the memory.

    Args:
        memory: of :data:`SIZE` bytes; by default nobody shares it.
    """

    def __init__(self, memory: mmap.mmap | bytearray | None = None) -> None:
        self._cells = memoryview(bytearray(SIZE) if memory is None else memory).cast("q")
        self._numbers: dict[str, int] = {}
        self.reset()

    def reset(self) -> None:
        """Forget the job before the next one is given out."""
        self._cells[_BEGUN] = 0
        self.leave()

    def begin(self, trials: Sequence[str]) -> None:
        """Begin a job of these trials."""
        self._numbers = {trial: number for number, trial in enumerate(trials)}
        self.leave()
        self._cells[_BEGUN] = 1

    def enter(self, trial: str, epoch: int = 0) -> None:
        """Say that the code of a trial's plugins is about to run."""
        cells = self._cells
        cells[_EPOCH] = epoch
        cells[_WHO] = self._numbers.get(trial, _NOBODY)
        cells[_STEPS] += 1

    def leave(self) -> None:
        """Say that what runs now belongs to all trials."""
        self._cells[_WHO] = _NOBODY
        self._cells[_STEPS] += 1

    @property
    def now(self) -> Moment:
        """What is being done."""
        who, steps, epoch, begun = self._cells
        return Moment(None if who == _NOBODY else who, steps, epoch, bool(begun))


def shared_memory() -> int | None:
    """Create memory that a child process can inherit and map.

    Returns:
        Its file descriptor; ``None`` where the system has no such thing.
    """
    if os.name != "posix":
        return None
    with contextlib.suppress(OSError):
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("kdbench")
        else:
            with tempfile.TemporaryFile() as file:  # has no name
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, SIZE)
        return descriptor
    return None


def map_memory(descriptor: int | None) -> mmap.mmap | None:
    """The memory of a descriptor of :func:`shared_memory`."""
    return None if descriptor is None else mmap.mmap(descriptor, SIZE)
