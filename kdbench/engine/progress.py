"""What a run reports while it goes on; by default nobody listens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Record


class Progress:
    """Receives the events of a run, in order, in the main thread.

    The command line's displays are subclasses.
    """

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """A run begins.

        ``done`` trials are finished already; ``work`` remains, in a unit of the caller's.
        """

    def preparing(self, what: str) -> None:
        """Something other than training goes on, such as reading data or profiling."""

    def cohort_started(self, name: str, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """A cohort begins, or a part of one; others may be training beside it.

        Args:
            name: what to call it: ``"cohort 2/9"``.
            cohort: its trials.
            labels: names of those that are to be trained.
            epochs: how many.
        """

    def tick(self) -> None:
        """Jobs are running; called about twice a second, even when no worker reports anything."""

    def batch(self, trials: Sequence[str], epoch: int, samples: int, work: float) -> None:
        """Trials of one cohort were trained on a batch of ``samples``, costing ``work``."""

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """A trial finished an epoch."""

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """A trial ended and its record is stored; it may have failed."""

    def cohort_finished(self, cohort: Cohort) -> None:
        """All trials of a cohort (or of the part of it that was started) ended."""

    def skipped(self, work: float) -> None:
        """Work is not needed after all, because a trial failed or resumes.

        Negative work is done again.
        """

    def note(self, message: str) -> None:
        """Something worth knowing that is not an error."""

    def warn(self, message: str) -> None:
        """Something that the user should look at."""

    def suite_finished(self) -> None:
        """The run ended, in whatever way; may be called twice."""
