"""Everything that the execution of a cohort needs to know about the run that it is part of."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

import kdbench
from kdbench.data.types import TaskData
from kdbench.plan.trial import Plan, Trial
from kdbench.plugins.manager import Registry
from kdbench.results.record import Failure, Provenance, Record
from kdbench.results.store import Store
from kdbench.run import provenance
from kdbench.train.progress import Progress


@dataclass(frozen=True)
class Session:
    """One run of a suite.

    Args:
        plan: what is to be done.
        data: the data, loaded.
        store: where records go.
        registry: all plugins.
        device: where networks train.
        progress: who watches.
        work: trial → work a training sample, as :mod:`kdbench.run.estimate` has it.
        command: the command line, for provenance.
        started: when the run began, ISO 8601.
    """

    plan: Plan
    data: TaskData
    store: Store
    registry: Registry
    device: torch.device
    progress: Progress
    work: Mapping[str, float]
    command: str
    started: str

    def is_finished(self, trial_id: str) -> bool:
        """Whether a whole record says so."""
        record = self.store.record(trial_id)
        return record is not None and record.status == "finished"

    def provenance(self, trial: Trial) -> Provenance:
        """Where the numbers of a trial that ends now come from."""
        return Provenance(
            suite=self.plan.suite,
            command=self.command,
            kdbench=kdbench.__version__,
            commit=provenance.commit(),
            method_digest=self.registry.methods[trial.method].source_digest(),
            libraries=provenance.libraries(),
            machine=provenance.machine(),
            device=provenance.device_name(self.device),
            threads=torch.get_num_threads(),
            started=self.started,
            finished=provenance.now(),
        )

    def data_facts(self) -> dict[str, Any]:
        """Name, fingerprint, classes and sizes of the data."""
        data = self.data
        return {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "classes": list(data.class_names),
            "statistics": {name: values.tolist() for name, values in data.statistics.items()},
            "train": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
        }

    def fail(self, trial: Trial, error: Exception | str, epoch: int = -1) -> Record:
        """Record that a trial ended early, and tell everyone. A text as ``error`` means that its teacher failed."""
        if isinstance(error, str):
            failure = Failure(kind="TeacherFailed", message=error, epoch=epoch)
        else:
            text = "".join(traceback.format_exception(error))
            message = str(error).partition("\n")[0] or type(error).__name__
            failure = Failure(kind=type(error).__name__, message=message, traceback=text, epoch=epoch)
        record = Record(
            trial=trial, status="failed", failure=failure, data=self.data_facts(), provenance=self.provenance(trial)
        )
        record = self.store.save(record)
        self.announce(trial, record)
        return record

    def announce(self, trial: Trial, record: Record) -> None:
        """Tell the display and the plugins that a record is stored."""
        self.progress.trial_finished(trial, record)
        self.event("kdbench_trial_finished", trial=trial, record=record)

    def event(self, hook: str, **arguments: Any) -> None:
        """Call an event; a plugin that fails in it is named, and costs nothing else."""
        self.registry.notify(hook, self.progress.warn, **arguments)
