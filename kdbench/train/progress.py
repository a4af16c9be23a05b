"""What a run tells whoever watches; the default watcher keeps silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.results.record import Record


class Progress:
    """Receives what happens, in order. The command line's displays are subclasses."""

    def suite_started(self, plan: Plan, done: Sequence[str], work: float) -> None:
        """A run begins: ``done`` trials are finished already; ``work`` lies ahead, in a unit of the caller's."""

    def preparing(self, what: str) -> None:
        """Something other than training goes on, such as reading data or profiling."""

    def cohort_started(self, number: int, total: int, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Cohort ``number`` (from 1) of ``total`` begins."""

    def batch(self, epoch: int, samples: int, members: int, work: float) -> None:
        """A batch of ``samples`` was trained by ``members`` members, which was so much work."""

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """A member finished an epoch."""

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """A trial ended and its record is stored; it may have failed."""

    def skipped(self, work: float) -> None:
        """So much work will not be done after all (a member failed, or went on from a checkpoint)."""

    def note(self, message: str) -> None:
        """Something worth knowing that is no error."""

    def warn(self, message: str) -> None:
        """Something that the user should look at."""

    def suite_finished(self) -> None:
        """The run ended, in whatever way."""
