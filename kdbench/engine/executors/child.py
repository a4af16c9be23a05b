"""The worker process, which reads jobs from standard input and writes events.

Jobs and events are one line of JSON each; events go to standard output.

Standard input ends when the main process closes it, or dies for any reason. Then the worker ends too: at
once if it is idle, otherwise after the current training step.
"""

from __future__ import annotations

import _thread
import os
import queue
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from kdbench.measure.parent import end_with

if TYPE_CHECKING:
    from kdbench.engine.events import Event, JobEnded

GRACE = 10.0
"""Seconds that a job has to end by itself when the worker must stop."""


class _State:
    """State of the main thread, shared with the thread that reads."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.busy = threading.Event()
        self.stopping = threading.Event()
        self.jobs: queue.SimpleQueue[str | None] = queue.SimpleQueue()


def main(parent: int, memory: int | None = None) -> None:
    """Run jobs until standard input ends.

    Args:
        parent: id of the main process.
        memory: descriptor of the memory in which this process says what it is doing.
    """
    end_with(parent)
    out = _take_stdout()
    state = _State()
    threading.Thread(target=_read, args=(state,), daemon=True).start()
    with suppress(KeyboardInterrupt, BrokenPipeError):  # the main process asks the worker to end, or has ended
        _serve(out, state, memory)


def _serve(out: TextIO, state: _State, memory: int | None) -> None:
    from kdbench.engine.activity import Activity, map_memory
    from kdbench.engine.allocator import keep_freed_memory

    keep_freed_memory()
    from kdbench.engine.events import JobEnded, Warned
    from kdbench.engine.job import Job
    from kdbench.engine.presence import present
    from kdbench.engine.quiet import ignore_notes_to_developers
    from kdbench.engine.resources import Resources, open_resources
    from kdbench.engine.worker import work
    from kdbench.errors import KdbenchError, StoreError
    from kdbench.plugins.carry import unpack

    ignore_notes_to_developers()
    opened: tuple[str, Resources] | None = None
    activity = Activity(map_memory(memory))

    def send(message: Event | JobEnded) -> None:
        if state.stopping.is_set():
            raise KeyboardInterrupt  # the one that _read raises may be lost, in a finaliser for example
        out.write(message.model_dump_json() + "\n")
        out.flush()

    state.ready.set()
    while (line := state.jobs.get()) is not None:
        state.busy.set()
        try:
            job = Job.model_validate_json(line)
            with present(job.runs):
                key = job.model_dump_json(include={"dataset", "data_root", "data_file", "runs", "plugins", "objects"})
                if opened is None or opened[0] != key:
                    objects = unpack(job.objects)  # standard input is the parent's
                    opened = key, open_resources(job, lambda message: send(Warned(message=message)), objects)
                work(job, send, opened[1], activity)
        except Exception as error:
            known = next((k.__name__ for k in (StoreError, KdbenchError) if isinstance(error, k)), type(error).__name__)
            send(JobEnded(error=known, message=str(error), traceback=traceback.format_exc()))
        else:
            send(JobEnded())
        state.busy.clear()


def _read(state: _State) -> None:
    """Pass on jobs; after the last, interrupt the main thread, then end the process."""
    # A separate file object: sys.stdin stays locked during a read, and Python crashes if it exits meanwhile.
    with open(0, "rb", closefd=False) as stdin:
        for line in stdin:
            state.jobs.put(line.decode())
    state.stopping.set()
    if not state.ready.is_set():
        os._exit(0)
    state.jobs.put(None)
    if state.busy.is_set():
        _thread.interrupt_main()
    time.sleep(GRACE)
    os._exit(1)


def _take_stdout() -> TextIO:
    """Reserve standard output for events; anything printed goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out
