"""From records to one table: a row for each entry of a suite's plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from kdbench.analysis.evidence import Evidence
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.plan.trial import Entry, Plan, Trial
from kdbench.results.record import Costs, LatencyReport, Profile, Record
from kdbench.results.store import Store

EVERY_SPLIT = ("accuracy", "loss")
"""Metrics of every split, whose columns are called after their split; plugins' metrics are of the test split alone."""
ACCURACIES = ("train_accuracy", "validation_accuracy", "test_accuracy")
PROFILE = ("parameters", "macs", "size_mb")
COSTS = tuple(name for name in Costs.model_fields if name != "peak_memory_scope")
SCORES = ("nll", "ece", "top5", "macro_precision", "macro_recall", "macro_f1", "agreement", "kl")
"""Scores that are made from the kept predictions."""
NOTHING = float("nan")


@dataclass(frozen=True, eq=False)
class SuiteFrame:
    """All that a report is made from; never changed, so that what is made of it need be made once only.

    Args:
        plan: the suite's plan.
        rows: a row an entry: pair, label, method, family, role, seed, trial, teachers, point (the grid point as JSON, "" without a
            grid), fingerprint (of the data), status (finished, failed, missing), error, ``ACCURACIES``, ``PROFILE``, uncounted
            (operators that the MACs leave out), ``COSTS``, teacher_accuracy (mean test accuracy of its teachers), and whatever
            other metrics the records hold. What is not known is NaN.
        records: by trial id.
        profiles: by profile id.
        evidence: predictions, curves and scores.
        latencies: measurements of the profiles' latencies, the oldest first.
    """

    plan: Plan
    rows: pd.DataFrame
    records: Mapping[str, Record]
    profiles: Mapping[str, Profile]
    evidence: Evidence = field(default_factory=Evidence)
    latencies: tuple[LatencyReport, ...] = ()


def suite_frame(store: Store, suite: str) -> SuiteFrame:
    """Gather the records of a suite that was run.

    Raises:
        KdbenchError: no suite of that name was run in the store.
    """
    plan = store.plan(suite)
    if plan is None:
        known = store.plans()
        hint = did_you_mean(suite, known) or (f"; known are {', '.join(known)}" if known else "")
        raise KdbenchError(f'no suite "{suite}" was run in {store.root}{hint}')
    records = store.records(plan.trials)
    profiles = {r.profile: p for r in records.values() if r.profile and (p := store.profile(r.profile)) is not None}
    return frame_of(plan, records, profiles)


def frame_of(
    plan: Plan,
    records: Mapping[str, Record],
    profiles: Mapping[str, Profile],
    evidence: Evidence | None = None,
    latencies: tuple[LatencyReport, ...] = (),
) -> SuiteFrame:
    """The frame of a plan and of what was stored of its trials."""
    evidence = evidence or Evidence()
    rows = pd.DataFrame(
        [
            {**_row(entry, plan.trials[entry.trial], records, profiles), **evidence.scores.get(entry.trial, {})}
            for entry in plan.entries
        ]
    )
    return SuiteFrame(plan, rows, records, profiles, evidence, latencies)


def grid_points(frame: SuiteFrame) -> pd.DataFrame:
    """A row for each grid point of each student: pair, fingerprint, label, point, means over seeds, and whether it was chosen.

    The choice of a grid falls on the point that finished with the most seeds (one that diverges now and then is no better
    for the rest); among these, on the best mean validation accuracy; among these, on the first. The test set has no say.
    """
    students = frame.rows[frame.rows["role"] == "student"]
    found: list[dict[str, Any]] = []
    for (pair, fingerprint, label), group in students.groupby(["pair", "fingerprint", "label"], sort=False):
        points = [
            {
                "pair": pair,
                "fingerprint": fingerprint,
                "label": label,
                "point": point,
                "seeds": len(part),
                "finished": int((part["status"] == "finished").sum()),
                "validation_accuracy": part["validation_accuracy"].mean(),
                "test_accuracy": part["test_accuracy"].mean(),
            }
            for point, part in group.groupby("point", sort=False)
        ]
        best = max(points, key=_merit)
        found += [{**point, "chosen": point is best} for point in points]
    return pd.DataFrame(found)


def grid_choice(frame: SuiteFrame) -> pd.DataFrame:
    """The rows without those of grid points that were not chosen, and without the assistants and generations made for them."""
    points = grid_points(frame)
    if points.empty:
        return frame.rows
    chosen = set(zip(*(points[points["chosen"]][name] for name in ("pair", "fingerprint", "label", "point")), strict=True))
    rows, role = frame.rows, frame.rows["role"]
    keys = zip(rows["pair"], rows["fingerprint"], rows["label"], rows["point"], strict=True)
    students = (role == "student") & pd.Series([key in chosen for key in keys], index=rows.index)
    behind = {
        key: _ancestors(frame.plan, part["trial"])
        for key, part in rows[students].groupby(["pair", "fingerprint", "point"], sort=False)
    }
    places = zip(rows["pair"], rows["fingerprint"], rows["point"], strict=True)
    needed = [trial in behind.get(place, ()) for place, trial in zip(places, rows["trial"], strict=True)]
    helpers = role.isin(["assistant", "generation"]) & pd.Series(needed, index=rows.index)
    return rows[students | (role == "teacher") | helpers]


def _merit(point: Mapping[str, Any]) -> tuple[int, float]:
    accuracy = point["validation_accuracy"]
    # Sums in another order differ in the last bits: equals are to be equal.
    return point["finished"], -1.0 if pd.isna(accuracy) else round(accuracy, 12)


def _ancestors(plan: Plan, trials: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(trials)
    while waiting:
        new = set(plan.trials[waiting.pop()].teachers) - found
        found |= new
        waiting += new
    return found


def _row(entry: Entry, trial: Trial, records: Mapping[str, Record], profiles: Mapping[str, Profile]) -> dict[str, Any]:
    record = records.get(entry.trial)
    row: dict[str, Any] = {
        **entry.model_dump(include={"pair", "label", "method", "family", "role", "seed", "trial", "teachers"}),
        "point": json.dumps(entry.grid_point, sort_keys=True) if entry.grid_point else "",
        "fingerprint": trial.data.fingerprint if record is None else record.data.get("fingerprint", trial.data.fingerprint),
        "status": "missing" if record is None else record.status,
        "error": "",
        **dict.fromkeys(ACCURACIES, NOTHING),
        "teacher_accuracy": _teacher_accuracy(entry, records),
        **dict.fromkeys(PROFILE, NOTHING),
        "uncounted": "",
        **dict.fromkeys(COSTS, NOTHING),
    }
    if record is None:
        return row
    if record.status == "failed":
        row["error"] = f"{record.failure.kind}: {record.failure.message}" if record.failure else "failed"
        return row
    row.update(record.costs.model_dump(include=set(COSTS)))
    profile = profiles.get(record.profile)
    if profile is not None:
        row.update(profile.model_dump(include=set(PROFILE)))
        row["uncounted"] = ", ".join(f"{name} ×{calls}" for name, calls in sorted(profile.uncounted.items()))
    for split, metrics in record.metrics.items():
        for short, value in metrics.items():
            name = f"{split}_{short}" if short in EVERY_SPLIT or split != "test" else short
            # A plugin's metric may be called anything, "status" too.
            row[f"metric_{name}" if (name in row and name not in ACCURACIES) or name in SCORES else name] = value
    return row


def _teacher_accuracy(entry: Entry, records: Mapping[str, Record]) -> float:
    known = [records[t].metrics.get("test", {}).get("accuracy", NOTHING) for t in entry.teachers if t in records]
    return sum(known) / len(known) if known and len(known) == len(entry.teachers) else NOTHING
