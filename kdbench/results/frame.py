"""From records to one table: a row for each entry of a suite's plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kdbench.errors import KdbenchError, did_you_mean
from kdbench.results.record import Profile, Record
from kdbench.results.store import Store
from kdbench.suite.trial import Entry, Plan


@dataclass(frozen=True)
class SuiteFrame:
    """All that a report is made from.

    Args:
        plan: the suite's plan.
        rows: a row an entry: pair, label, method, family, role, seed, point (the grid point as JSON, "" without a grid),
            trial, teachers, status (finished, failed, missing), error, metrics, costs, parameters, macs, size_mb, fingerprint.
        records: by trial id.
        profiles: by profile id.
    """

    plan: Plan
    rows: pd.DataFrame
    records: Mapping[str, Record]
    profiles: Mapping[str, Profile]


def suite_frame(store: Store, suite: str) -> SuiteFrame:
    """Gather the records of a suite that was run.

    Raises:
        KdbenchError: no suite of that name was run in the store.
    """
    plan = store.plan(suite)
    if plan is None:
        known = store.plans()
        raise KdbenchError(f'no suite "{suite}" was run in {store.root}{did_you_mean(suite, known)}')
    records = store.records(plan.trials)
    profiles = {r.profile: p for r in records.values() if r.profile and (p := store.profile(r.profile)) is not None}
    rows = pd.DataFrame([_row(entry, records.get(entry.trial), profiles) for entry in plan.entries])
    return SuiteFrame(plan, rows, records, profiles)


def grid_choice(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep, of each grid, the point with the best mean validation accuracy over seeds (the first of equals).

    The test set has no say. Rows without a grid are kept; where nothing was validated (no validation split, or nothing
    finished), the first point is kept.

    Args:
        rows: students' rows.
    """
    kept = []
    for _, group in rows.groupby(["pair", "label"], sort=False):
        points = list(dict.fromkeys(group["point"]))
        chosen = points[0]
        if len(points) > 1 and group["validation_accuracy"].notna().any():
            means = group.groupby("point", sort=False)["validation_accuracy"].mean()
            chosen = str(means.reindex(points).idxmax())
        kept.append(group[group["point"] == chosen])
    return pd.concat(kept) if kept else rows


def _row(entry: Entry, record: Record | None, profiles: Mapping[str, Profile]) -> dict[str, Any]:
    point = json.dumps(entry.grid_point, sort_keys=True) if entry.grid_point else ""
    row: dict[str, Any] = {
        **entry.model_dump(include={"pair", "label", "method", "family", "role", "seed", "trial", "teachers"}),
        "point": point,
        "status": "missing" if record is None else record.status,
        "error": "",
        "validation_accuracy": float("nan"),
        "test_accuracy": float("nan"),
    }
    if record is None:
        return row
    row["fingerprint"] = record.data.get("fingerprint", "")
    if record.failure is not None:
        row["error"] = f"{record.failure.kind}: {record.failure.message}"
        return row
    row.update(record.metrics)
    row.update({k: v for k, v in record.costs.model_dump().items() if k != "peak_memory_scope"})
    profile = profiles.get(record.profile)
    if profile is not None:
        row.update(profile.model_dump(include={"parameters", "macs", "size_mb"}))
    return row
