"""From records to one table: a row for each entry of a suite's plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from kdbench.analysis import audit
from kdbench.analysis.task import metric_column, metric_columns, teacher_column, units
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.plan.trial import Entry, Plan, TaskInfo, Trial
from kdbench.results.archive import Archive
from kdbench.results.evidence import SCORES, Evidence
from kdbench.results.record import Costs, LatencyReport, Profile, Record
from kdbench.results.store import Store

PROFILE = ("parameters", "macs", "size_mb")
THROUGHPUT = "samples_per_second"
"""A cost whose column is named after the task's unit."""
NOTHING = float("nan")


@dataclass(frozen=True, eq=False)
class SuiteFrame:
    """The records of a suite as a table, and the records themselves.

    Args:
        plan: the suite's plan.
        rows: a row for each entry: pair, label, method, family, role, seed, trial, teachers, point (the
            grid point as JSON, "" without a grid), fingerprint (of the data), status (finished,
            failed, missing, damaged), error, the task's metrics (``test_accuracy``), that of its teachers
            (``teacher_accuracy``, the mean over teachers on the test set), ``PROFILE``, uncounted
            (operators that the MACs leave out), costs, and all other metrics in the records. Unknown
            values are NaN.
        records: records by trial id.
        profiles: profiles by profile id.
        evidence: predictions, curves and scores.
        latencies: measurements of the profiles' latencies, oldest first.
        damaged: trials whose records are left out → why.
    """

    plan: Plan
    rows: pd.DataFrame
    records: Mapping[str, Record]
    profiles: Mapping[str, Profile]
    evidence: Evidence = field(default_factory=Evidence)
    latencies: tuple[LatencyReport, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def task(self) -> TaskInfo:
        """The task that the suite's networks learn."""
        return self.plan.task

    @cached_property
    def networks(self) -> frozenset[str]:
        """Ids of the profiles of the suite's networks, measured or not."""
        return frozenset(r.profile for r in self.records.values() if r.profile)

    @property
    def archive(self) -> Archive:
        """The contents of a report folder's copy of the records."""
        return Archive(self.plan, self.records, self.profiles, self.evidence, self.latencies)


def suite_frame(store: Store, suite: str) -> SuiteFrame:
    """Gather the records of a suite that was run.

    Raises:
        KdbenchError: no suite of that name was run in the store.
    """
    plan = store.plan(suite)
    if plan is None:
        known = store.plans()
        hint = did_you_mean(suite, known) or (f"; known are {', '.join(known)}" if known else "")
        if suite in known:
            raise KdbenchError(f'nothing can be shown of suite "{suite}" in {store.root}: its plan is damaged')
        raise KdbenchError(f'no suite "{suite}" was run in {store.root}{hint}')
    records = store.records(plan.trials)
    needed = dict.fromkeys(r.profile for r in records.values() if r.profile)
    profiles = {i: p for i in needed if (p := store.profile(i)) is not None}
    damaged = {i: why for i, why in store.damaged.items() if i in plan.trials and i not in records}
    return frame_of(plan, records, profiles, damaged=damaged)


def frame_of(
    plan: Plan,
    records: Mapping[str, Record],
    profiles: Mapping[str, Profile],
    evidence: Evidence | None = None,
    latencies: tuple[LatencyReport, ...] = (),
    damaged: Mapping[str, str] | None = None,
) -> SuiteFrame:
    """Return the frame of a plan and the stored results of its trials.

    Records of damaged trials are left out, and so is the evidence behind them.
    """
    evidence, damaged = evidence or Evidence(), damaged or {}
    if damaged:
        records = {i: r for i, r in records.items() if i not in damaged}
        evidence = evidence.without(damaged)
    rows = pd.DataFrame(
        [{**_row(entry, plan, records, profiles, damaged), **evidence.scores.get(entry.trial, {})} for entry in plan.entries]
    )
    return SuiteFrame(plan, rows, records, profiles, evidence, latencies, damaged)


def frame_of_archive(archive: Archive, warn: Callable[[str], None] = lambda message: None) -> SuiteFrame:
    """Return the frame of a report folder's records.

    Args:
        archive: what the folder holds.
        warn: is told of records that do not agree with their predictions; they are left out.
    """
    damaged = audit.of_archive(archive.plan, archive.records, archive.evidence)
    for trial, why in damaged.items():
        warn(f"the record of trial {trial} is left out: {why}")
    return frame_of(archive.plan, archive.records, archive.profiles, archive.evidence, archive.latencies, damaged)


def cost_columns(task: TaskInfo) -> dict[str, str]:
    """Return the cost of a record that each column holds."""
    names = [name for name in Costs.model_fields if name != "peak_memory_scope"]
    return {f"{units(task)}_per_second" if name == THROUGHPUT else name: name for name in names}


def _row(
    entry: Entry,
    plan: Plan,
    records: Mapping[str, Record],
    profiles: Mapping[str, Profile],
    damaged: Mapping[str, str],
) -> dict[str, Any]:
    record, task, trial = records.get(entry.trial), plan.task, plan.trials[entry.trial]
    row: dict[str, Any] = {
        **entry.model_dump(include={"pair", "label", "method", "family", "role", "seed", "trial", "teachers"}),
        "point": json.dumps(entry.grid_point, sort_keys=True) if entry.grid_point else "",
        "fingerprint": _fingerprint(trial, record),
        "status": "missing" if record is None else record.status,
        "error": "",
        **dict.fromkeys(metric_columns(task), NOTHING),
        teacher_column(task): _of_teachers(entry, task, records),
        **dict.fromkeys(PROFILE, NOTHING),
        "uncounted": "",
        **dict.fromkeys(cost_columns(task), NOTHING),
    }
    if entry.trial in damaged:
        row |= {"status": "damaged", "error": f"left out: {damaged[entry.trial]}"}
    if record is None:
        return row
    if record.status == "failed":
        row["error"] = f"{record.failure.kind}: {record.failure.message}" if record.failure else "failed"
        return row
    row.update({column: getattr(record.costs, name) for column, name in cost_columns(task).items()})
    profile = profiles.get(record.profile)
    if profile is not None:
        row.update(profile.model_dump(include=set(PROFILE)))
        row["uncounted"] = ", ".join(f"{name} ×{calls}" for name, calls in sorted(profile.uncounted.items()))
    own = set(metric_columns(task))
    for name, value in _metrics(record, task):
        # A plugin's metric may have any name, even "status".
        row[f"metric_{name}" if (name in row and name not in own) or name in SCORES else name] = value
    return row


def _metrics(record: Record, task: TaskInfo) -> Iterator[tuple[str, float]]:
    """Yield the columns and values of a record's metrics.

    Only the task's own metrics and the loss have ``test_`` before their names on the test set.
    """
    own = (*task.metrics, "loss")
    for split, metrics in record.metrics.items():
        for name, value in metrics.items():
            yield (f"{split}_{name}" if name in own or split != "test" else name), value


def _of_teachers(entry: Entry, task: TaskInfo, records: Mapping[str, Record]) -> float:
    """Return the teachers' mean primary metric on the test set; NaN if one is unknown."""
    column = metric_column(task)
    known = [dict(_metrics(records[t], task)).get(column, NOTHING) for t in entry.teachers if t in records]
    return sum(known) / len(known) if known and len(known) == len(entry.teachers) else NOTHING


def _fingerprint(trial: Trial, record: Record | None) -> Any:
    own = trial.data.fingerprint
    return own if record is None else record.data.get("fingerprint", own)
