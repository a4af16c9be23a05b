"""Ctrl-C that is never lost.

Python raises ``KeyboardInterrupt`` wherever it happens to be; in a finaliser, or in a library's import that swallows every exception,
it is lost. So the signal is remembered, and the displays check for it at every batch.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

_wanted = 0
"""Number of the signal that was received; 0 for none."""


def install() -> None:
    """Take over SIGINT and SIGTERM."""
    global _wanted  # noqa: PLW0603
    _wanted = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def check() -> None:
    """Raise ``KeyboardInterrupt`` if the user has asked to stop."""
    if _wanted:
        raise KeyboardInterrupt


def status() -> int:
    """The exit status, by the convention of shells: 143 after SIGTERM, else 130."""
    return 128 + (_wanted or signal.SIGINT)


def _note(signum: int, frame: FrameType | None) -> NoReturn:
    global _wanted  # noqa: PLW0603
    _wanted = signum
    raise KeyboardInterrupt
