"""What happens in the training of a cohort, as its consumer is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdbench.train.member import Member


@dataclass(frozen=True)
class BatchDone:
    """A batch was trained.

    Args:
        epoch: number of the epoch, from 0.
        samples: samples of the batch.
        members: the members that were trained on it.
    """

    epoch: int
    samples: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class EpochSeconds:
    """The training time and memory of an epoch.

    Args:
        shared: seconds of the batch stream and the teachers.
        own: seconds of each member's steps, by trial id.
        peak_memory_mb: each member's peak, by trial id.
    """

    shared: float
    own: Mapping[str, float]
    peak_memory_mb: Mapping[str, float]


@dataclass(frozen=True)
class EpochEnd:
    """Members finished the training part of an epoch.

    The consumer of the event evaluates and stores them.

    Args:
        members: each member, with its means over the epoch.
        seconds: time and memory of the epoch.
    """

    members: tuple[tuple[Member, Mapping[str, float]], ...]
    seconds: EpochSeconds


@dataclass(frozen=True)
class Left:
    """A member failed and left the cohort.

    Args:
        member: the member.
        error: the reason for the failure.
    """

    member: Member
    error: Exception


@dataclass(frozen=True)
class Void:
    """An epoch is void because a plugin changed what its members share.

    The members have left the cohort.

    Args:
        epoch: number of the epoch, from 0.
        members: the members, which must be recreated as they were before the epoch.
    """

    epoch: int
    members: tuple[Member, ...]


Event = BatchDone | EpochEnd | Left | Void
