"""Finds the trial that kills workers.

A worker may be killed by anybody, and a cohort may only be too large for the memory; so nobody fails for a
neighbour. Trials go on from their last epoch in another worker. When two workers died without an epoch
finished in between, the trial whose code the last one died in is trained by itself, and the others without
it. Only a trial that was alone when workers died has failed: after two deaths in the same epoch, or after
one if its code was to blame for those before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

LIVES = 2
"""Workers that trials may lose in one epoch.

Then they are separated, and a trial that is alone has failed.
"""
STARTS = 5
"""Workers that they may lose before training begins, perhaps for another reason."""


@dataclass(frozen=True)
class Part:
    """Trials of a job that are trained together.

    Args:
        trials: their ids.
        deaths: workers lost since the last finished epoch.
        starts: workers lost before training began.
        blamed: whose code the last of them died in, if that is known.
    """

    trials: tuple[str, ...]
    deaths: int = 0
    starts: int = 0
    blamed: str | None = None


class Isolation:
    """The parts of a job that are still to be trained.

    Args:
        trials: the job's trials.
        suspects: those of them that killed workers in an earlier run: each is trained by itself, after the
            others.
    """

    def __init__(self, trials: Sequence[str], suspects: Sequence[str] = ()) -> None:
        self._parts = [
            Part(tuple(t for t in trials if t not in suspects)),
            *(Part((s,), LIVES - 1, blamed=s) for s in suspects),
        ]
        self._ended: set[str] = set()
        self.failed: dict[str, tuple[str, str]] = {}
        """Trial → kind of its failure, and why."""

    def part(self) -> tuple[str, ...]:
        """The trials to be trained now; none when all have ended."""
        while self._parts:
            left = tuple(t for t in self._parts[0].trials if t not in self._ended)
            if left:
                self._parts[0] = replace(self._parts[0], trials=left)
                return left
            self._parts.pop(0)
        return ()

    def progress(self) -> None:
        """An epoch was finished: what killed workers before lies behind."""
        self._parts[0] = replace(self._parts[0], deaths=0, starts=0, blamed=None)

    def ended(self, trial: str) -> None:
        """A trial has a record."""
        self._ended.add(trial)

    def over(self) -> None:
        """The part has been trained."""
        self._ended.update(self._parts[0].trials)

    def overdue(self, trial: str | None, why: str) -> str:
        """Note that a worker was killed because its work took too long.

        Args:
            trial: the trial that took too long; ``None`` if it was work that trials share.
            why: what took too long, as the end of a sentence.

        Returns:
            The consequence, as a clause.
        """
        left = self.part()
        if trial is None and len(left) > 1:
            self._separate(None, 0)
            return "its trials are separated, to find the one that holds it up"
        self._fail(trial or left[0], "TimeLimit", f"it {why}")
        return "the trial has failed"

    def died(self, how: str, blamed: str | None, begun: bool) -> str:
        """A worker died.

        Args:
            how: what it died of, as the end of a sentence.
            blamed: the trial whose code it was in, if that is known.
            begun: whether training had begun.

        Returns:
            What is done about it, as the end of a sentence.
        """
        part = self._parts[0]
        if not begun:
            part = self._parts[0] = replace(part, starts=part.starts + 1)
            if part.starts < STARTS:
                return "its trials go on in another from their last epoch"
            for trial in self.part():
                self._fail(trial, "WorkerDied", f"its worker process {how}, {STARTS} times before training began")
            return f"{STARTS} times before training began: its trials have failed"
        again = part.blamed == blamed
        part = self._parts[0] = replace(part, deaths=part.deaths + 1, blamed=blamed)
        left = self.part()
        if part.deaths < LIVES or not left:
            return "its trials go on in another from their last epoch"
        if len(left) > 1:
            self._separate(blamed if blamed in left else None, LIVES - 1 if again else 0)
            return "twice in the same epoch: its trials are separated, to find the one that ends it"
        hint = " (on Linux, signal 9 may mean that memory ran out)" if "signal 9" in how else ""
        self._fail(
            left[0], "WorkerDied", f"its worker process {how}, twice in the same epoch, while it was trained alone{hint}"
        )
        return "twice in the same epoch: the trial has failed"

    def _fail(self, trial: str, kind: str, why: str) -> None:
        self.failed[trial] = kind, why
        self._ended.add(trial)

    def _separate(self, blamed: str | None, deaths: int) -> None:
        """Separate the blamed trial, after the others; without one, halve the part."""
        trials = self.part()
        if blamed is not None:
            others = tuple(t for t in trials if t != blamed)
            self._parts[:1] = [Part(others), Part((blamed,), deaths, blamed=blamed)]
        else:
            middle = len(trials) // 2
            self._parts[:1] = [Part(trials[:middle]), Part(trials[middle:])]
