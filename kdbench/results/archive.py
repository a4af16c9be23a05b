"""The compact copy of a suite's records in a report folder.

Any machine can render the report again from it. ``<report>/records/`` holds ``plan.json``,
``records.json``, ``profiles.json``, ``latencies.json``, ``scores.json``, ``history.csv`` (a row for each
epoch of each trial) and ``predictions.npz`` (classes, confidences and targets), but neither weights nor paths
of the machine.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from kdbench.errors import KdbenchError
from kdbench.plan.trial import Plan, Trial
from kdbench.results.evidence import Evidence
from kdbench.results.files import write_whole
from kdbench.results.migrations import RENAMED_COLUMNS, Kind, Renamed, renamed_trials, upgrade
from kdbench.results.record import LatencyReport, Profile, Record

FOLDER = "records"
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
    """

    plan: Plan
    records: Mapping[str, Record]
    profiles: Mapping[str, Profile]
    evidence: Evidence
    latencies: tuple[LatencyReport, ...]


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
    for name, content in files.items():
        write_whole(folder / name, content)
    return [folder / name for name in files]


def load_archive(report: Path) -> Archive:
    """Read the copy under ``report``.

    Raises:
        KdbenchError: the copy is missing, incomplete, damaged, or was written by a newer version of kdbench.
    """
    folder = report / FOLDER
    try:
        written = json.loads((folder / "plan.json").read_bytes())
        plan = Plan.model_validate(upgrade("plan", written, folder / "plan.json"))
        renamed = renamed_trials(written["trials"])
        records = _read_records(folder / "records.json", renamed)
        profiles = {p.id: p for p in _read_all("profile", Profile, folder / "profiles.json")}
        latencies = _read_all("latency", LatencyReport, folder / "latencies.json")
        own = {trial: records[trial] for trial in plan.trials if trial in records}
        return Archive(plan, own, profiles, _read_evidence(folder, renamed), latencies)
    except OSError as error:
        name = Path(str(error.filename)).name
        raise KdbenchError(f"the records of the report {report} cannot be read: {name}: {error.strerror or error}") from error
    except (
        ValidationError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = str(error).partition("\n")[0]
        raise KdbenchError(
            f"the records of the report {report} are damaged ({reason}); make the report again from its runs"
        ) from error


def _read_records(path: Path, renamed: Renamed) -> dict[str, Record]:
    found = json.loads(path.read_bytes()).items()
    return {renamed.get(i, i): Record.model_validate(upgrade("record", r, path, renamed)) for i, r in found}


def _read_all(kind: Kind, model: type[M], path: Path) -> tuple[M, ...]:
    return tuple(model.model_validate(upgrade(kind, data, path)) for data in json.loads(path.read_bytes()))


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
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _histories(evidence: Evidence) -> bytes:
    tables = [table.assign(trial=trial) for trial, table in sorted(evidence.histories.items()) if len(table)]
    if not tables:
        return b"trial\n"
    both = pd.concat(tables, ignore_index=True)
    return both[["trial", *(c for c in both.columns if c != "trial")]].to_csv(index=False, lineterminator="\n").encode()


def _predictions(evidence: Evidence) -> bytes:
    arrays = {f"targets/{key}": value for key, value in sorted(evidence.targets.items())}
    for trial in sorted(evidence.classes):
        arrays[f"classes/{trial}"] = evidence.classes[trial]
        arrays[f"confidences/{trial}"] = evidence.confidences[trial]
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def _read_evidence(folder: Path, renamed: Renamed) -> Evidence:
    with np.load(folder / "predictions.npz", allow_pickle=False) as arrays:
        parts: dict[str, dict[str, np.ndarray]] = {"targets": {}, "classes": {}, "confidences": {}}
        for name in arrays.files:
            part, _, key = name.partition("/")
            parts[part][renamed.get(key, key)] = arrays[name]
    table = pd.read_csv(folder / "history.csv", engine="python", dtype={"trial": str})  # it reads every float exactly
    table = table.rename(columns=RENAMED_COLUMNS)
    histories = {
        renamed.get(str(trial), str(trial)): part.drop(columns="trial").dropna(axis="columns", how="all").reset_index(drop=True)
        for trial, part in table.groupby("trial", sort=False)
    }
    scores = {renamed.get(i, i): s for i, s in json.loads((folder / "scores.json").read_bytes()).items()}
    return Evidence(parts["targets"], parts["classes"], parts["confidences"], histories, scores)
