"""Records of trials that have finished or failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kdbench.data.types import TaskData
from kdbench.engine import environment
from kdbench.engine.assembly import Evaluated, extra_metrics, split_scores
from kdbench.engine.job import Job
from kdbench.engine.resources import Resources
from kdbench.engine.timings import Timings
from kdbench.errors import MethodError
from kdbench.method.guard import LONGEST_SENTENCE, Guard, PluginFailed, name_of, text_of, trace_of
from kdbench.plan.trial import Trial
from kdbench.results.record import Failure, Provenance, Record, SplitName
from kdbench.tasks.stream import unit_targets
from kdbench.train.member import Member
from kdbench.train.networks import interface_of, profile_id
from kdbench.train.state import check_state
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


def save_finished(
    job: Job,
    resources: Resources,
    member: Member,
    evaluated: Evaluated,
    timings: Timings,
    samples_per_epoch: int,
    guard: Guard,
) -> Record:
    """Store the record of a member that has completed all its epochs.

    Args:
        job: the job.
        resources: the job's resources.
        member: the member.
        evaluated: what it deploys, evaluated on every split.
        timings: what it took.
        samples_per_epoch: training samples.
        guard: calls plugins; a metric that fails costs a warning.

    Raises:
        MethodError: what it deploys gives logits, or has weights, that are not finite.
        StoreError: the runs folder cannot be written.
    """
    trial, logits, label = member.trial, evaluated.logits, member.labels[0]
    if not all(bool(torch.isfinite(values).all()) for values in logits.values()):
        raise MethodError(f"the network that {label} deploys gives logits that are not finite")
    check_state(evaluated.network, f"the network that {label} deploys")
    interface = interface_of(trial, resources.data, resources.registry)
    record = Record(
        trial=trial,
        status="finished",
        metrics=_metrics(resources, member, logits, guard),
        profile=profile_id(trial, interface, resources.registry),
        costs=timings.costs(member, samples_per_epoch),
        data={**data_facts(resources.data), "inputs": interface.spec},
        provenance=provenance(job, resources, trial),
    )
    targets = unit_targets(resources.data.test)
    return resources.store.save(
        record,
        history=member.history,
        predictions=resources.task.predictions(logits["test"].clone(), targets.clone()),
        student=evaluated.network.state_dict(),
        source=None if member.method.is_installed() else member.method.source(),
    )


def _metrics(
    resources: Resources, member: Member, logits: Mapping[SplitName, Tensor], guard: Guard
) -> dict[SplitName, dict[str, float]]:
    """Return the metrics of every split; for training, the last epoch's means."""
    last = member.history[-1] if member.history else {}
    trained = {name: last[f"train_{name}"] for name in resources.task.metrics if f"train_{name}" in last}
    metrics = {"train": trained, **split_scores(resources, logits, guard)}
    own = metrics["test"]

    def failed(name: str, error: Exception) -> None:
        guard.warn(f'metric "{name}" failed on trial {member.trial.id}: {text_of(error)}')

    for name, value in extra_metrics(resources, logits["test"], failed, guard).items():
        own[name if name not in own else f"metric_{name}"] = value
    return metrics


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
