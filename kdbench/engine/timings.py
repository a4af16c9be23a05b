"""Time and memory of a trial's training so far, over all its sessions."""

from __future__ import annotations

from dataclasses import dataclass

from kdbench.results.record import Costs
from kdbench.train.events import EpochSeconds
from kdbench.train.member import Member


@dataclass
class Timings:
    """Time and memory of one member; stored with its checkpoint.

    Args:
        train: seconds of its own steps.
        shared: seconds of the batch stream and the teachers, counted in full.
        shared_share: its share of those seconds.
        evaluate: seconds of evaluation.
        peak_memory_mb: peak memory, in MB (10^6 bytes).
        cohort_members: number of members of the cohort in the last epoch.
        sessions: number of times that the trial was started or resumed.
    """

    train: float = 0.0
    shared: float = 0.0
    shared_share: float = 0.0
    evaluate: float = 0.0
    peak_memory_mb: float = 0.0
    cohort_members: int = 1
    sessions: int = 1

    def add_epoch(self, seconds: EpochSeconds, trial: str, members: int) -> float:
        """Add an epoch's training; return its seconds."""
        share = seconds.shared / members
        self.train += seconds.own[trial]
        self.shared += seconds.shared
        self.shared_share += share
        self.peak_memory_mb = max(self.peak_memory_mb, seconds.peak_memory_mb[trial])
        self.cohort_members = members
        return seconds.own[trial] + share

    def costs(self, member: Member, samples_per_epoch: int) -> Costs:
        """Convert to the form in the record of a member that has finished."""
        trained = self.train + self.shared_share
        samples = member.trial.recipe.epochs * samples_per_epoch
        return Costs(
            train_seconds=self.train,
            shared_seconds=self.shared,
            evaluate_seconds=self.evaluate,
            wall_seconds=trained + self.evaluate,
            samples_per_second=samples / trained if trained else 0.0,
            cohort_members=self.cohort_members,
            peak_memory_mb=self.peak_memory_mb,
            peak_memory_scope="device" if member.device.type == "cuda" else "process",
            method_parameters=member.method_parameters,
            sessions=self.sessions,
        )
