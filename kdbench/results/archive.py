"""The compact copy of a suite's records in a report folder.

Any machine can render the report again from it. ``<report>/records/``: ``plan.json``,
``records.json``, ``profiles.json``, ``latencies.json``, ``scores.json``, ``history.csv`` (a row an
epoch of a trial), ``predictions.npz`` (classes and confidences, and the targets) and
``digests.json`` of the others. No weights, no paths of the machine.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel
from pydantic_core import to_json

from kdbench.errors import KdbenchError, flat
from kdbench.plan.trial import Plan, Trial
from kdbench.results.arrays import check_history, read_arrays, read_table
from kdbench.results.evidence import SCORES, Evidence
from kdbench.results.files import write_whole
from kdbench.results.migrations import RENAMED_COLUMNS, Kind, Renamed, checked_version, renamed_trials, upgrade
from kdbench.results.plan_check import plan_of
from kdbench.results.reading import ARCHIVE_LIMIT, PLAN_LIMIT, Unreadable, parse_json, read_bytes, validated
from kdbench.results.record import LatencyReport, Profile, Record
from kdbench.results.seal import file_digest

FOLDER = "records"
DIGESTS = "digests.json"
"""Digests of the other files; reports of older versions have none."""
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Archive:
    """The plan and results of a suite that a report folder keeps.

    Args:
        plan: the suite's plan.
        records: by trial id, in the plan's order.
        profiles: by profile id.
        evidence: predictions, curves and scores.
        latencies: measurements of the profiles' latencies, the oldest first.
        sealed: whether the files carry digests, as those of older versions do not.
    """

    plan: Plan
    records: Mapping[str, Record]
    profiles: Mapping[str, Profile]
    evidence: Evidence
    latencies: tuple[LatencyReport, ...]
    sealed: bool = True


def is_archive(path: Path) -> bool:
    """Whether a folder is a report with a copy of its records."""
    return (path / FOLDER / "plan.json").is_file()


def save_archive(archive: Archive, report: Path) -> list[Path]:
    """Write the copy under ``report``; the same archive always gives the same bytes.

    Returns:
        The files that were written.
    """
    folder = report / FOLDER
    evidence = archive.evidence
    files = {
        "plan.json": _dump(_portable_plan(archive.plan)),
        "records.json": _json({i: _portable(r).model_dump(mode="json") for i, r in sorted(archive.records.items())}),
        "profiles.json": _dump_all(p for _, p in sorted(archive.profiles.items())),
        "latencies.json": _dump_all(archive.latencies),
        "scores.json": _json({trial: dict(scores) for trial, scores in sorted(evidence.scores.items())}),
        "history.csv": _histories(evidence),
        "predictions.npz": _predictions(evidence),
    }
    files[DIGESTS] = _json({"version": 1, "files": {name: file_digest(content) for name, content in files.items()}})
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in files]


def load_archive(report: Path) -> Archive:
    """Read the copy under ``report``.

    Raises:
        KdbenchError: the copy is missing, incomplete, damaged, or was written by a newer version of kdbench.
    """
    try:
        read = _Files(report)
        written, path = parse_json(read("plan.json", check=False)), report / FOLDER / "plan.json"
        version = checked_version("plan", written, path)  # newer ones may keep digests in another way
        read("plan.json")
        plan = plan_of(upgrade("plan", written, path))
        renamed = renamed_trials(written["trials"]) if version == 1 else {}
        records = _read_records(read, plan, renamed)
        profiles = {p.id: p for p in _read_all("profile", Profile, read)}
        latencies = _read_all("latency", LatencyReport, read)
        evidence = _read_evidence(read, plan, records, renamed)
        return Archive(plan, records, profiles, evidence, latencies, read.digests is not None)
    except OSError as error:
        name = Path(str(error.filename)).name
        raise KdbenchError(f"the records of the report {report} cannot be read: {name}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError, OverflowError) as error:
        reason = flat(str(error), 300) or type(error).__name__
        raise KdbenchError(
            f"the records of the report {report} are damaged ({reason}); make the report again from its runs"
        ) from error


class _Files:
    """Reads the files of the copy, and holds them to their digests, if it has any."""

    def __init__(self, report: Path) -> None:
        self.report = report
        self.digests: dict[str, str] | None = None
        with suppress(FileNotFoundError):
            self.digests = parse_json(self(DIGESTS, check=False))["files"]
            if not isinstance(self.digests, dict):
                raise Unreadable(f"{DIGESTS} is not valid")

    def __call__(self, name: str, *, check: bool = True) -> bytes:
        try:
            content = read_bytes(self.report, FOLDER, name, limit=PLAN_LIMIT if name == "plan.json" else ARCHIVE_LIMIT)
        except Unreadable as error:
            raise Unreadable(f"{name} {error}") from None
        if check and self.digests is not None and self.digests.get(name) != file_digest(content):
            raise Unreadable(f"{name} is not what it was when it was written")
        return content


def _read_records(read: _Files, plan: Plan, renamed: Renamed) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for old, content in parse_json(read("records.json")).items():
        record = validated(Record, upgrade("record", content, "records.json", renamed))
        if record.trial.id != renamed.get(old, old):
            raise Unreadable("records.json holds a record of another trial than it says")
        if record.data.get("fingerprint", record.trial.data.fingerprint) != record.trial.data.fingerprint:
            raise Unreadable("records.json holds a record of other data than its trial")
        found[record.trial.id] = record
    return {trial: found[trial] for trial in plan.trials if trial in found}


def _read_all(kind: Kind, model: type[M], read: _Files) -> tuple[M, ...]:
    name = {"profile": "profiles.json", "latency": "latencies.json"}[kind]
    return tuple(validated(model, upgrade(kind, data, name)) for data in parse_json(read(name)))


def _portable(record: Record) -> Record:
    """Remove paths: those in a traceback, and the folder of a weights file."""
    failure = record.failure and record.failure.model_copy(update={"traceback": ""})
    return record.model_copy(update={"failure": failure, "trial": _portable_trial(record.trial)})


def _portable_trial(trial: Trial) -> Trial:
    if trial.weights_digest is None:
        return trial
    name = Path(trial.model.weights).name
    return trial.model_copy(update={"model": trial.model.model_copy(update={"weights": name})})


def _portable_plan(plan: Plan) -> Plan:
    return plan.model_copy(update={"trials": {i: _portable_trial(t) for i, t in plan.trials.items()}})


def _dump(value: BaseModel) -> bytes:
    return _json(value.model_dump(mode="json"))


def _dump_all(values: Iterable[BaseModel]) -> bytes:
    return _json([v.model_dump(mode="json") for v in values])


def _json(value: Any) -> bytes:
    return to_json(value, indent=1, inf_nan_mode="constants") + b"\n"  # json's own encoder is slow where it indents


def _histories(evidence: Evidence) -> bytes:
    tables = {trial: table for trial, table in sorted(evidence.histories.items()) if len(table)}
    if not tables:
        return b"trial\n"
    both = pd.concat(tables, names=["trial", None]).reset_index(level="trial")
    return both.to_csv(index=False, lineterminator="\n").encode()


def _predictions(evidence: Evidence) -> bytes:
    arrays = {f"targets/{key}": value for key, value in sorted(evidence.targets.items())}
    for trial in sorted(evidence.classes):
        arrays[f"classes/{trial}"] = evidence.classes[trial]
        arrays[f"confidences/{trial}"] = evidence.confidences[trial]
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def _read_evidence(read: _Files, plan: Plan, records: Mapping[str, Record], renamed: Renamed) -> Evidence:
    parts: dict[str, dict[str, np.ndarray]] = {"targets": {}, "classes": {}, "confidences": {}}
    for name, array in _named("predictions.npz", read_arrays, read).items():
        part, _, key = name.partition("/")
        parts[part][renamed.get(key, key)] = array
    table = _named("history.csv", lambda content: read_table(content, "trial"), read).rename(columns=RENAMED_COLUMNS)
    histories = {
        renamed.get(str(trial), str(trial)): part.drop(columns="trial").dropna(axis="columns", how="all").reset_index(drop=True)
        for trial, part in table.groupby("trial", sort=False)
    }
    scores = {renamed.get(i, i): _checked_scores(s) for i, s in parse_json(read("scores.json")).items()}
    evidence = Evidence(parts["targets"], parts["classes"], parts["confidences"], histories, scores)
    for history in histories.values():
        check_history(history)
    for trial in {*evidence.classes, *evidence.confidences}:
        _check_predictions(evidence, trial, records)
    return evidence


def _named(name: str, parse: Callable[[bytes], T], read: _Files) -> T:
    content = read(name)
    try:
        return parse(content)
    except Unreadable as error:
        raise Unreadable(f"{name} {error}") from None


def _checked_scores(scores: Any) -> dict[str, float]:
    if not all(name in SCORES and type(value) in (int, float) for name, value in scores.items()):
        raise Unreadable("scores.json holds something else than scores")
    return {name: float(value) for name, value in scores.items()}


def _check_predictions(evidence: Evidence, trial: str, records: Mapping[str, Record]) -> None:
    record = records.get(trial)
    classes, confidences = evidence.classes[trial], evidence.confidences[trial]
    targets = classes[:0] if record is None else evidence.targets[record.trial.data.fingerprint]
    same = classes.shape == confidences.shape and (record is None or classes.shape == targets.shape)
    if not same or classes.ndim != 1 or {classes.dtype.kind, targets.dtype.kind} - set("iu") or confidences.dtype != np.uint8:
        raise Unreadable(f"predictions.npz holds something else than predictions of trial {trial}")
    known = (len(record.data.get("classes", ())) if record is not None else 0) or np.inf
    both = [int(bound) for a in (classes, targets) if len(a) for bound in (a.min(), a.max())]
    if record is not None and both and not 0 <= min(both) <= max(both) < known:
        raise Unreadable(f"predictions.npz holds classes of trial {trial} that its data do not have")
