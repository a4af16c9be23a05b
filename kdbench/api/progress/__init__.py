"""What a run looks like while it goes on: in a notebook, in a terminal, in a log, or not at all."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kdbench.api import interrupt
from kdbench.engine.progress import Progress


class Silent(Progress):
    """Says nothing; a run can be stopped all the same."""

    def tick(self) -> None:
        """Raise ``KeyboardInterrupt`` if the user asked to stop and Python lost it."""
        interrupt.check()

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Stop where the user has asked to."""
        interrupt.check()


def make_display() -> Progress:
    """The display that suits where this process runs: on standard error, or in the cell of a notebook."""
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
    """The display that an argument ``progress`` asks for: the usual one, none, or one of the caller's own."""
    if isinstance(progress, Progress):
        return progress
    return make_display() if progress else Silent()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
