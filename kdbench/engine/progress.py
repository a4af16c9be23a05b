"""Receiver of a run's progress; by default it ignores everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Record


class Progress:
    """Receives the events of a run, in order, in the main thread.

    The command line's displays are subclasses.
    """

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """Called when a run begins.

        ``done`` lists the trials that are already finished; ``work`` is what remains, in any unit.
        """

    def afterwards(self, seconds: float) -> None:
        """Called with the estimated seconds of what follows training: latency and report.

        It may be called again, when some of that is done.
        """

    def preparing(self, what: str) -> None:
        """Called when something other than training begins, such as reading data."""

    def cohort_started(self, name: str, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Called when a cohort, or a part of one, begins.

        Others may be training at the same time.

        Args:
            name: its name for display, such as ``"cohort 2/9"``.
            cohort: the cohort.
            labels: names of the trials that are to be trained.
            epochs: number of epochs.
        """

    def tick(self) -> None:
        """Called about twice a second while jobs run, even if no worker reports."""

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Called when trials of a cohort were trained on a batch.

        The batch has ``samples`` samples, and cost ``work`` for all these trials together.
        """

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Called when a trial has finished an epoch."""

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """Called when a trial has finished or failed, and its record is stored."""

    def cohort_finished(self, cohort: Cohort) -> None:
        """Called when all trials of a cohort, or of the part that was started, have ended."""

    def skipped(self, work: float) -> None:
        """Called when work is not needed after all, because a trial failed or resumes.

        Negative work is work that must be repeated.
        """

    def note(self, message: str) -> None:
        """Called with something worth knowing that is not a problem."""

    def warn(self, message: str) -> None:
        """Called with something that the user should look at."""

    def suite_finished(self) -> None:
        """Called when the run ends, for any reason; may be called twice."""
