"""Records, plans and profiles made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdbench.analysis.frame import SuiteFrame, frame_of
from kdbench.plan.trial import DataKey, Entry, Plan, Role, Trial
from kdbench.results.record import Costs, Failure, Profile, Provenance, Record
from kdbench.seeding import digest
from kdbench.suite.schema import DatasetSpec, ModelSpec, Recipe

FINGERPRINT = "0123456789abcdef"


def trial(
    method: str = "supervised", seed: int = 0, *, model: str = "tiny_cnn", fingerprint: str = FINGERPRINT, **changes: Any
) -> Trial:
    """A trial."""
    data = DataKey(spec=DatasetSpec(name="digits"), fingerprint=fingerprint)
    return Trial(data=data, model=ModelSpec(model=model), method=method, recipe=Recipe(epochs=2), seed=seed, **changes)


def provenance(**changes: Any) -> Provenance:
    """Where a number comes from."""
    known: dict[str, Any] = {
        "suite": "made",
        "command": "kdbench run made.yaml",
        "kdbench": "0.1.0",
        "commit": "abcdef123456",
        "method_digest": "d" * 16,
        "libraries": {"python": "3.11.7", "torch": "2.4.0"},
        "machine": {"processor": "Some CPU", "cores": "2", "memory_gb": "16", "system": "Linux 6"},
        "device": "cpu",
        "threads": 2,
        "started": "2026-01-01T10:00:00+00:00",
        "finished": "2026-01-01T11:00:00+00:00",
    }
    return Provenance(**{**known, **changes})


def record(of: Trial, test: float | None = 0.9, validation: float | None = None, *, error: str = "", **changes: Any) -> Record:
    """A record with this test accuracy, or a failed one."""
    metrics = {"train": {"accuracy": 1.0}}
    if test is not None:
        metrics["test"] = {"accuracy": test}
        metrics["validation"] = {"accuracy": test if validation is None else validation}
    known: dict[str, Any] = {
        "trial": of,
        "status": "failed" if error else "finished",
        "failure": Failure(kind="NonFiniteLoss", message=error) if error else None,
        "metrics": {} if error else metrics,
        "profile": "" if error else profile_id(of.model.model),
        "costs": Costs() if error else Costs(train_seconds=10.0, wall_seconds=15.5, method_parameters=7),
        "data": {"name": "digits", "fingerprint": of.data.fingerprint, "train": 800, "validation": 100, "test": 1000},
        "provenance": provenance(),
    }
    return Record(**{**known, **changes})


def profile_id(model: str) -> str:
    """The id of a model's profile."""
    return digest(model)


def profile(model: str = "tiny_cnn", parameters: int = 106_826, **changes: Any) -> Profile:
    """What a network costs."""
    known: dict[str, Any] = {
        "id": profile_id(model),
        "model": model,
        "inputs": [1, 8, 8],
        "num_classes": 10,
        "parameters": parameters,
        "trainable_parameters": parameters,
        "buffers": 10,
        "macs": 40 * parameters,
        "size_mb": parameters * 4e-6,
    }
    return Profile(**{**known, **changes})


def entry(of: Trial, label: str, *, role: Role = "student", pair: str = "pair", **changes: Any) -> Entry:
    """A row of the report."""
    known: dict[str, Any] = {
        "pair": pair,
        "label": label,
        "method": of.method,
        "family": "baseline" if of.method == "supervised" else "logit",
        "role": role,
        "seed": of.seed,
        "trial": of.id,
        "teachers": of.teachers,
    }
    return Entry(**{**known, **changes})


def plan(*entries: tuple[Trial, Entry], suite: str = "made", **changes: Any) -> Plan:
    """A plan of these rows."""
    return Plan(suite=suite, trials={t.id: t for t, _ in entries}, entries=tuple(e for _, e in entries), cohorts=(), **changes)


Row = tuple[Trial, Entry, Record | None]


def row(label: str, test: float | None = 0.9, seed: int = 0, *, taught_by: Sequence[Trial] = (), **changes: Any) -> Row:
    """A trial, why it is there, and its record; a ``test`` of ``None`` means that it was not run.

    Args:
        label: of the row; the method too, unless ``method`` is given.
        test: test accuracy.
        seed: the seed.
        taught_by: its teachers.
        changes: of the trial (method, model, fingerprint, params), the entry (role, pair, grid_point, family) and the record (all others).
    """
    entry_changes = {k: changes.pop(k) for k in ("role", "pair", "grid_point", "family") if k in changes}
    trial_changes = {k: changes.pop(k) for k in ("model", "fingerprint", "params") if k in changes}
    method = changes.pop("method", label)
    params = {**trial_changes.pop("params", {}), **entry_changes.get("grid_point", {})}
    one = trial(method, seed, teachers=tuple(t.id for t in taught_by), params=params, **trial_changes)
    known = None if test is None and "error" not in changes else record(one, test, **changes)
    return one, entry(one, label, **entry_changes), known


def frame(*rows: Row, profiles: Sequence[Profile] = (), **changes: Any) -> SuiteFrame:
    """The frame of these rows."""
    records = {t.id: r for t, _, r in rows if r is not None}
    return frame_of(plan(*((t, e) for t, e, _ in rows), **changes), records, {p.id: p for p in profiles})
