"""Progress displays of a run: for notebooks, terminals and logs, or silent."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kdbench.api import interrupt
from kdbench.engine.progress import Progress


class Silent(Progress):
    """No display; the run can still be interrupted."""

    def tick(self) -> None:
        """Raise ``KeyboardInterrupt`` if the user asked to stop and Python lost it."""
        interrupt.check()

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Raise ``KeyboardInterrupt`` if the user asked to stop."""
        interrupt.check()


class Warnings(Progress):
    """Collects notes and warnings."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def note(self, message: str) -> None:
        """Collect a note."""
        self.messages.append(message)

    def warn(self, message: str) -> None:
        """Collect a warning."""
        self.messages.append(f"warning: {message}")


def make_display() -> Progress:
    """Create the display that suits this process.

    It writes to a notebook's cell, or to standard error: live in a terminal, as plain lines elsewhere.
    """
    if in_notebook():
        from kdbench.api.progress.notebook import NotebookDisplay

        return NotebookDisplay()
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        from kdbench.api.progress.live import LiveDisplay

        return LiveDisplay(console)
    from kdbench.api.progress.plain import PlainDisplay

    return PlainDisplay()


def display_for(progress: bool | Progress) -> Progress:
    """Return the display that an argument ``progress`` asks for.

    Args:
        progress: ``True`` for the default display, ``False`` for none, or a display of the caller's own.
    """
    if isinstance(progress, Progress):
        return progress
    return make_display() if progress else Silent()


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
