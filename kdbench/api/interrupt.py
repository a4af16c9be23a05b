"""Signals that ask a command to stop: none is lost, and none ends in a traceback.

Python raises ``KeyboardInterrupt`` wherever it happens to be. In a finalizer it is lost; in the middle of
an import it may be swallowed, or turned into another error. So the number of the signal is stored, the
displays check for it at every batch, and an interrupt that comes at a bad moment is raised again a little
later. This module imports nothing that takes time: the command line takes over the signals before it
imports anything else.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

AGAIN = 0.1
"""Seconds until an interrupt that came at a bad moment is raised again."""
LONGEST_IMPORT = 5.0
"""Seconds after which an import is interrupted all the same.

It may be that of a plugin that never ends.
"""

_wanted = 0
"""Number of the first signal that was received; 0 if none was."""
_since = 0.0
"""When it was received, in seconds of the monotonic clock."""
_orderly = False
"""Whether there is something to clean up."""


class Stopped(Exception):
    """A command was stopped by a signal; the message says how to go on."""


def install() -> None:
    """Take over SIGINT and SIGTERM, for the whole process."""
    global _wanted  # noqa: PLW0603
    _wanted = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)
    sys.unraisablehook = _unraisable


def ignore() -> None:
    """Ignore further signals: all is done, and the process is about to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def orderly() -> Iterator[None]:
    """Mark a block that has something to clean up.

    No signal ends the process at once in it, not even during an import.
    """
    global _orderly  # noqa: PLW0603
    before, _orderly = _orderly, True
    try:
        yield
    finally:
        _orderly = before


@contextmanager
def remembered() -> Iterator[None]:
    """Remember SIGINT while a block runs.

    This applies only in the main thread, and only where Python's default handler is installed; a
    program's own handler is left in place.
    """
    global _wanted  # noqa: PLW0603
    usual = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not usual:
        yield
        return
    _wanted = 0
    signal.signal(signal.SIGINT, _note)
    try:
        with orderly():
            yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _wanted = 0


def check() -> None:
    """Raise ``KeyboardInterrupt`` if the user has asked to stop."""
    if _wanted:
        raise KeyboardInterrupt


def wanted() -> bool:
    """Whether the user has asked to stop."""
    return bool(_wanted)


def status() -> int:
    """Return the exit status: 143 after SIGTERM, otherwise 130, as in shells."""
    return 128 + (_wanted or signal.SIGINT)


def _note(signum: int, frame: FrameType | None) -> None:
    global _wanted, _since
    if not _wanted:
        _wanted, _since = signum, time.monotonic()
    if _importing(frame):
        if not _orderly:
            with suppress(OSError):
                os.write(2, b"stopped\n")
            os._exit(status())
        if time.monotonic() - _since < LONGEST_IMPORT:
            _later()
            return
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _later() -> None:
    timer = threading.Timer(AGAIN, _thread.interrupt_main)
    timer.daemon = True
    timer.start()


def _unraisable(unraisable: Any) -> None:
    """Raise an interrupt again that came in a finalizer; show anything else."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt) and _wanted:
        _later()
    else:
        sys.__unraisablehook__(unraisable)
