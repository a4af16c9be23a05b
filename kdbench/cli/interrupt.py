"""Handling of Ctrl-C that never loses it.

Python raises ``KeyboardInterrupt`` wherever it happens to be; in a finalizer, or in a library's import that
swallows every exception, it is lost. So the signal is stored, and the displays check for it at every batch.
"""

from __future__ import annotations

import signal
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
