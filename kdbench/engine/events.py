"""Events that a worker reports while it works.

They are plain data, converted to and from JSON, because a worker may run anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from kdbench.results.record import Record
from kdbench.suite.schema import Frozen


class _Event(Frozen):
    model_config = ConfigDict(ser_json_inf_nan="constants")  # a loss may be NaN


class TrialStarted(_Event):
    """A trial began, or resumed after an interruption.

    Args:
        trial: its id.
        epoch: number of epochs that it has completed.
    """

    kind: Literal["trial_started"] = "trial_started"
    trial: str
    epoch: int


class BatchTrained(_Event):
    """A batch was trained.

    Args:
        trials: ids of the trials that were trained on it.
        epoch: number of the epoch, from 0.
        samples: samples of the batch.
    """

    kind: Literal["batch_trained"] = "batch_trained"
    trials: tuple[str, ...]
    epoch: int
    samples: int


class EpochFinished(_Event):
    """An epoch of a trial was trained, evaluated and checkpointed.

    Args:
        trial: its id.
        epoch: number of epochs that it has completed.
        metrics: the epoch's row of the history.
    """

    kind: Literal["epoch_finished"] = "epoch_finished"
    trial: str
    epoch: int
    metrics: dict[str, float]


class TrialEnded(_Event):
    """A trial finished or failed, and its record is stored.

    Args:
        record: the record.
    """

    kind: Literal["trial_ended"] = "trial_ended"
    record: Record


class Warned(_Event):
    """Something that the user should look at.

    Args:
        message: a sentence.
    """

    kind: Literal["warned"] = "warned"
    message: str


class WorkerLost(_Event):
    """A worker process died during a job.

    Another process continues the job, or it is given up.

    Args:
        message: a sentence.
    """

    kind: Literal["worker_lost"] = "worker_lost"
    message: str


class JobEnded(_Event):
    """A job ended; the last message of a worker to its executor about that job.

    Args:
        error: class of the exception that ended the job; ``None`` if there was none.
        message: text of the exception.
        traceback: traceback of the exception.
    """

    kind: Literal["job_ended"] = "job_ended"
    error: str | None = None
    message: str = ""
    traceback: str = ""


Event = Annotated[TrialStarted | BatchTrained | EpochFinished | TrialEnded | Warned | WorkerLost, Field(discriminator="kind")]
Report = Callable[[Event], None]
"""Receives a worker's events, in order, in any thread of the main process."""
