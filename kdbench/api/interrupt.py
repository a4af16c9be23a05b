"""Handling of Ctrl-C that never loses it.

Python raises ``KeyboardInterrupt`` wherever it happens to be. Raised in a finalizer, or in a library's
import that swallows every exception, it is lost. So the signal is stored, and the displays check for it
at every batch.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_wanted = 0
"""Number of the received signal; 0 if none was received."""


def install() -> None:
    """Install handlers for SIGINT and SIGTERM."""
    global _wanted  # noqa: PLW0603
    _wanted = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


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
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _wanted = 0


def check() -> None:
    """Raise ``KeyboardInterrupt`` if the user has asked to stop."""
    if _wanted:
        raise KeyboardInterrupt


def status() -> int:
    """Return the exit status by shell convention: 143 after SIGTERM, else 130."""
    return 128 + (_wanted or signal.SIGINT)


def _note(signum: int, frame: FrameType | None) -> NoReturn:
    global _wanted  # noqa: PLW0603
    _wanted = signum
    raise KeyboardInterrupt
