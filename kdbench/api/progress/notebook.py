"""A display in the output of a notebook's cell, updated in place.

It needs IPython, but no widgets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from kdbench.api import interrupt
from kdbench.api.progress.meter import Meter, duration
from kdbench.api.progress.rows import Rows
from kdbench.api.progress.words import Words
from kdbench.engine.progress import Progress
from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Record

PAUSE = 0.5
"""Least time between updates during training, seconds: each sends a message."""
MOST_LINES = 12
"""Most lines about finished trials; warnings and failures all stay."""


class NotebookDisplay(Progress):
    """A bar for the suite, the members in training, and lines about ended trials."""

    def __init__(self) -> None:
        self._words = Words()
        self._rows = Rows(self._words)
        self._meter = Meter()
        self._title = ""
        self._status = ""
        self._trials = 0
        self._ended = 0
        self._lines: list[tuple[bool, str]] = []  # whether it must stay, and the line
        self._running = False
        self._handle: Any = None
        self._shown = 0.0

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """Show the number of trials."""
        self._words = Words(plan)
        self._rows = Rows(self._words)
        self._meter.start(work)
        self._title = f"suite {plan.suite}: {len(plan.trials)} trials, {len(done)} finished before"
        self._trials, self._ended, self._running, self._status = len(plan.trials), len(done), work > 0, ""
        self._show()

    def afterwards(self, seconds: float) -> None:
        """Count what follows training as time left."""
        self._meter.after = seconds

    def preparing(self, what: str) -> None:
        """Show what is being prepared."""
        self._status = what
        self._show()

    def cohort_started(self, name: str, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Show the cohort's members."""
        self._rows.open(cohort, labels)
        self._status = f"{name}, {epochs} epochs"
        self._show()

    def tick(self) -> None:
        """Raise ``KeyboardInterrupt`` if the user asked to stop and Python lost it."""
        interrupt.check()

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Count a batch, and update the display now and then."""
        interrupt.check()
        self._meter.batch(samples * len(trials), work)
        if time.monotonic() - self._shown > PAUSE:
            self._show()

    def skipped(self, work: float) -> None:
        """Take skipped work off the total."""
        self._meter.total -= work

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Update a member's row."""
        self._rows.update(trial, epoch, metrics)

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """Add a line about the trial."""
        self._ended += 1
        self._add(self._words.ended(trial, record), stays=record.failure is not None)

    def cohort_finished(self, cohort: Cohort) -> None:
        """Remove the cohort's members."""
        self._rows.close(cohort)
        self._show()

    def note(self, message: str) -> None:
        """Add a message."""
        self._add(message, stays=True)

    def warn(self, message: str) -> None:
        """Add a warning."""
        self._add(f"warning: {message}", stays=True)

    def suite_finished(self) -> None:
        """Leave the title, the time, and the lines that must stay."""
        if self._running:
            self._title += f"; {duration(self._meter.seconds)}"
        self._running, self._status = False, ""
        self._lines = [line for line in self._lines if line[0]]
        self._show()

    def html(self) -> str:
        """Return the display as HTML, with every name escaped."""
        parts = [f"<div><b>{escape(self._title)}</b></div>" if self._title else ""]
        if self._running:
            rate = f"{self._meter.rate:,.0f} {self._words.units}/s · {self._meter.left()} left"
            bar = f'<progress value="{self._ended}" max="{self._trials}" style="width:16em"></progress>'
            parts.append(f"<div>{bar} {self._ended}/{self._trials} trials · {escape(rate)}</div>")
        if self._status:
            parts.append(f'<div style="opacity:.7">{escape(self._status)}</div>')
        if rows := self._rows.shown():
            heads = "".join(_cell("th", text, first=not i) for i, text in enumerate(self._rows.headings()))
            body = "".join(f"<tr>{''.join(_cell('td', c, first=not i) for i, c in enumerate(row))}</tr>" for row in rows)
            parts.append(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")
        parts += [f"<div>{escape(line)}</div>" for line in self._latest()]
        return "".join(parts)

    def text(self) -> str:
        """Return the display as text, for front ends without HTML."""
        state = [self._title, f"{self._ended}/{self._trials} trials" if self._running else "", self._status]
        rows = ["  ".join(row) for row in self._rows.shown()]
        return "\n".join([*(s for s in state if s), *rows, *self._latest()])

    def _latest(self) -> list[str]:
        spare = max(sum(not stays for stays, _ in self._lines) - MOST_LINES, 0)
        found = []
        for stays, line in self._lines:
            if not stays and spare:
                spare -= 1
            else:
                found.append(line)
        return found

    def _add(self, line: str, *, stays: bool) -> None:
        self._lines.append((stays, line))
        self._show()

    def _show(self) -> None:
        from IPython import display

        self._shown = time.monotonic()
        content = {"text/html": self.html(), "text/plain": self.text()}
        if self._handle is None:
            self._handle = display.DisplayHandle()
            self._handle.display(content, raw=True)
        else:
            self._handle.update(content, raw=True)


def _cell(tag: str, text: str, *, first: bool) -> str:
    return f'<{tag} style="text-align:{"left" if first else "right"}">{escape(text)}</{tag}>'
