"""Plain lines on standard error, for logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kdbench.api import interrupt
from kdbench.api.progress.meter import Meter
from kdbench.api.progress.words import Words, counted
from kdbench.engine.progress import Progress
from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Record

MOST_MEMBERS = 8
"""Most members named on a line; of more, only the lowest and highest are shown."""


@dataclass
class _Running:
    """A cohort in training: the start of its line, and results of the current epoch."""

    name: str
    epochs: int
    epoch: int = 0
    members: list[tuple[float | None, str]] = field(default_factory=list)


class PlainDisplay(Progress):
    """One line for each epoch of a cohort."""

    def __init__(self) -> None:
        self._words = Words()
        self._meter = Meter()
        self._running: dict[str, _Running] = {}  # by trial

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """Print the number of trials."""
        self._words = Words(plan)
        self._meter.start(work)
        self._say(f"suite {plan.suite}: {len(plan.trials)} trials in {len(plan.cohorts)} cohorts, {len(done)} finished before")

    def afterwards(self, seconds: float) -> None:
        """Count what follows training as time left."""
        self._meter.after = seconds

    def preparing(self, what: str) -> None:
        """Print what is being prepared."""
        self._say(what)

    def cohort_started(self, name: str, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Print which members start training."""
        networks = self._words.networks(cohort.trials)
        self._running.update(dict.fromkeys(cohort.trials, _Running(" ".join(filter(None, (name, networks))), epochs)))
        self._say(f"{name}: {' '.join(filter(None, (counted(labels), networks)))}; {epochs} epochs")

    def tick(self) -> None:
        """Raise ``KeyboardInterrupt`` if the user asked to stop and Python lost it."""
        interrupt.check()

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Count a batch, and print the results of the previous epoch."""
        interrupt.check()
        self._flush(*trials)
        self._meter.batch(samples * len(trials), work)

    def skipped(self, work: float) -> None:
        """Take skipped work off the total."""
        self._meter.total -= work

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Collect a member's results, for one line per epoch."""
        running = self._running.setdefault(trial.id, _Running("", 0))
        if running.epoch != epoch:
            self._flush(trial.id)
            running.epoch = epoch
        running.members.append((self._words.selection(metrics), self._words.name(trial)))

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """Print a line if the trial failed."""
        if record.failure is not None:
            self._flush(trial.id)
            self._say(f"FAILED {self._words.full_name(trial)}: {record.failure.kind}: {record.failure.message}")

    def cohort_finished(self, cohort: Cohort) -> None:
        """Print the results of the last epoch."""
        self._flush(*cohort.trials)

    def note(self, message: str) -> None:
        """Print."""
        self._say(message)

    def warn(self, message: str) -> None:
        """Print."""
        self._say(f"warning: {message}")

    def suite_finished(self) -> None:
        """Print results that have not been printed yet."""
        self._flush(*self._running)

    def _flush(self, *trials: str) -> None:
        words = self._words
        for trial in trials:
            running = self._running.get(trial)
            if running is None or not running.members:
                continue
            members, running.members = running.members, []
            self._say(
                f"{running.name} epoch {running.epoch}/{running.epochs}  {self._meter.rate:,.0f} {words.units}/s"
                f"  {self._meter.left()} left  {words.metric}: {self._members(members)}"
            )

    def _members(self, members: Sequence[tuple[float | None, str]]) -> str:
        number = self._words.number
        if len(members) <= MOST_MEMBERS:
            return ", ".join(f"{name} {number(value)}" for value, name in members)
        known = sorted((value, name) for value, name in members if value is not None)
        if not known:
            return f"{len(members)} members"
        (low, first), (high, last) = known[0], known[-1]
        return f"{len(members)} members, from {number(low)} ({first}) to {number(high)} ({last})"

    @staticmethod
    def _say(message: str) -> None:
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}", file=sys.stderr, flush=True)  # noqa: T201 (a log is what this display is)
