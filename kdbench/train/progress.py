"""What a run tells whoever watches; the default watcher keeps silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdbench.results.record import Record
from kdbench.suite.trial import Cohort, Plan, Trial


class Progress:
    """Receives what happens, in order. The command line's displays are subclasses."""

    def suite_started(self, plan: Plan, done: Sequence[str], samples: int) -> None:
        """A run begins: ``done`` trials are finished already; ``samples`` (training samples × members) lie ahead."""

    def preparing(self, what: str) -> None:
        """Something other than training goes on, such as reading data or profiling."""

    def cohort_started(self, number: int, total: int, cohort: Cohort, labels: Sequence[str], epochs: int) -> None:
        """Cohort ``number`` (from 1) of ``total`` begins."""

    def batch(self, epoch: int, samples: int, members: int) -> None:
        """A batch of ``samples`` was trained by ``members`` members."""

    def epoch_finished(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """A member finished an epoch."""

    def trial_finished(self, trial: Trial, record: Record) -> None:
        """A trial ended and its record is stored; it may have failed."""

    def skipped(self, samples: int) -> None:
        """``samples`` × members will not be trained after all (a member failed)."""

    def note(self, message: str) -> None:
        """Something worth knowing that is no error."""

    def warn(self, message: str) -> None:
        """Something that the user should look at."""

    def suite_finished(self) -> None:
        """The run ended, in whatever way."""
