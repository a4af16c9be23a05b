"""Parts that records of finished and failed trials share, and records of failures."""

from __future__ import annotations

from typing import Any

import torch

from kdbench.data.types import TaskData
from kdbench.engine import environment
from kdbench.engine.job import Job
from kdbench.engine.resources import Resources
from kdbench.method.guard import LONGEST_SENTENCE, PluginFailed, name_of, text_of, trace_of
from kdbench.plan.trial import Trial
from kdbench.results.record import Failure, Provenance, Record
from kdbench.tasks.describe import describe_inputs
from kdbench.tasks.task import InputSpec
from kdbench.version import __version__


def failure_of(error: Exception, epoch: int = -1) -> Failure:
    """An error of a member as it stands in a record; texts are of bounded length."""
    kind = error.kind if isinstance(error, PluginFailed) else name_of(error)
    return Failure(kind=kind, message=text_of(error, LONGEST_SENTENCE) or kind, traceback=trace_of(error), epoch=epoch)


def save_failure(job: Job, resources: Resources, trial: Trial, failure: Failure) -> Record:
    """Store the record of a trial that failed; its checkpoint is kept.

    Raises:
        StoreError: the runs folder cannot be written.
    """
    record = Record(
        trial=trial,
        status="failed",
        failure=failure,
        data=data_facts(resources.data),
        provenance=provenance(job, resources, trial),
    )
    return resources.store.save(record)


def provenance(job: Job, resources: Resources, trial: Trial) -> Provenance:
    """Describe the provenance of a trial that ends now."""
    return Provenance(
        suite=job.suite,
        command=job.command,
        kdbench=__version__,
        commit=environment.commit(),
        method_digest=resources.registry.methods[trial.method].source_digest(),
        libraries=environment.libraries(),
        machine=environment.machine(),
        device=environment.device_name(torch.device(job.device)),
        threads=torch.get_num_threads(),
        started=job.started,
        finished=environment.now(),
    )


def input_facts(resources: Resources, trial: Trial, spec: InputSpec) -> dict[str, Any]:
    """Return what a trial's network takes, and how files become that."""
    task, data = resources.task, resources.data
    described = describe_inputs(task, spec, trial.preprocessing, data.statistics, data.class_names, data.preparation)
    return {"inputs": spec, "preprocessing": described}


def data_facts(data: TaskData) -> dict[str, Any]:
    """Return name, fingerprint, classes, statistics and sizes of the data."""
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "classes": list(data.class_names),
        "statistics": {name: values.tolist() for name, values in data.statistics.items()},
        "train": len(data.train),
        "validation": len(data.validation),
        "test": len(data.test),
    }
