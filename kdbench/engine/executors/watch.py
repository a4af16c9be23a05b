"""Notices workers that do not advance, and trials that train for too long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kdbench.engine.activity import Moment

SILENCE = 180.0
"""Seconds without progress after which the user is told; doubled each time."""


@dataclass(frozen=True)
class Overdue:
    """A worker is to be ended.

    Args:
        trial: number of the trial that took too long; ``None`` if it was work that trials share.
        why: what took too long, as the end of a sentence.
    """

    trial: int | None
    why: str


class Watch:
    """Watches one worker.

    The caller must not count time in which the worker, or this process, was stopped.

    Args:
        limit: minutes that a trial may train; ``None`` for any.
    """

    def __init__(self, limit: float | None = None) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._busy = False
        self._labels: Sequence[str] = ()
        self._note: Callable[[str], None] = lambda message: None
        self._spent: dict[int, float] = {}
        self._steps = -1
        self._silent = 0.0
        self._next_note = SILENCE
        self._overdue: Overdue | None = None

    def begin(self, labels: Sequence[str], note: Callable[[str], None]) -> None:
        """Watch a job.

        Args:
            labels: names of its trials.
            note: receives a sentence when the worker has been silent for long.
        """
        with self._lock:
            self._busy, self._labels, self._note = True, labels, note
            self._spent.clear()
            self._steps, self._silent, self._next_note, self._overdue = -1, 0.0, SILENCE, None

    def end(self) -> Overdue | None:
        """The job, or the worker, has ended; returns the verdict if there was one."""
        with self._lock:
            self._busy = False
            return self._overdue

    def silent(self, moment: Moment) -> bool:
        """Whether the worker has not advanced since the last tick."""
        return self._busy and moment.steps == self._steps

    def tick(self, moment: Moment, seconds: float) -> bool:
        """Count seconds; returns whether the worker is to be ended."""
        with self._lock:
            if not self._busy or self._overdue is not None:
                return False
            if moment.steps != self._steps:
                self._steps, self._silent, self._next_note = moment.steps, 0.0, SILENCE
            self._silent += seconds
            if moment.trial is not None:
                self._spent[moment.trial] = self._spent.get(moment.trial, 0.0) + seconds
            if self._limit is not None and moment.begun:
                self._overdue = self._judge(moment, 60 * self._limit)
            elif self._silent >= self._next_note:
                self._next_note = 2 * self._silent
                self._note(
                    f"a worker process has not advanced for {self._silent / 60:.0f} minutes: it is in {self._place(moment)}"
                )
            return self._overdue is not None

    def _judge(self, moment: Moment, limit: float) -> Overdue | None:
        who = 0 if moment.trial is None and len(self._labels) == 1 else moment.trial
        spent = max(self._silent, self._spent.get(who, 0.0)) if who is not None else self._silent
        why = f"took longer than {self._limit:g} minutes (limits.trial_minutes), in epoch {moment.epoch + 1}"
        return Overdue(who, why) if spent > limit else None

    def _place(self, moment: Moment) -> str:
        if not moment.begun:
            return "imports, or in reading the data"
        if moment.trial is None and len(self._labels) > 1:
            return f"work that {len(self._labels)} trials share"
        return f"{self._labels[moment.trial or 0]}, epoch {moment.epoch + 1}"
