"""Records of several runs folders in one, nothing overwritten."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kdbench.errors import StoreError
from kdbench.plan.trial import Entry, Plan
from kdbench.results.files import remove, replace_folder, temporary, told
from kdbench.results.record import Record
from kdbench.results.store import Store

OUTCOME = ("predictions.npz", "student.safetensors")
"""The files that are the same whenever a trial came to the same end."""


@dataclass
class Merged:
    """What a merge came to.

    Args:
        copied: records that were taken over.
        known: records that were there already, the same.
        suites: names of the suites that the folder holds now.
        conflicts: a sentence for each record or profile that differs from the one that was there, which stays.
    """

    copied: int = 0
    known: int = 0
    suites: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def merge_stores(sources: Sequence[Store], into: Store) -> Merged:
    """Take over what other runs folders hold: records with their companions, profiles, latencies and plans.

    A record conflicts with one of the same trial that has other weights or predictions (times always differ); a finished record
    takes the place of a failed one. Plans of one suite are joined: their trials, rows and cohorts; rows conflict where the same pair,
    method, grid point and seed mean another trial (other epochs, for example).

    Raises:
        StoreError: a folder is no runs folder, or cannot be read or written.
    """
    for source in sources:
        if not (source.root / "trials").is_dir():
            raise StoreError(f"{source.root} is no runs folder: it holds no trials")
    merged = Merged()
    into.open()
    with into.lock():
        for source in sources:
            if source.root.resolve() == into.root.resolve():
                continue
            for trial, record in source.records().items():
                _take(source, into, trial, record, merged)
            _take_files(source, into, merged)
            for suite in source.plans():
                _join_plans(source, into, suite, merged)
    merged.suites = into.plans()
    return merged


def _take(source: Store, into: Store, trial: str, record: Record, merged: Merged) -> None:
    known = into.record(trial)
    if known is None or (known.status == "failed" and record.status == "finished"):
        with told(into.root):
            _copy_folder(source.root / "trials" / trial, into.root / "trials" / trial)
        merged.copied += 1
        return
    differs = [name for name in OUTCOME if known.files.get(name) != record.files.get(name)]
    if record.status == "failed" or not differs:
        merged.known += 1
    else:
        merged.conflicts.append(
            f"trial {trial} ({record.trial.method} on {record.trial.model.model}, seed {record.trial.seed}): {', '.join(differs)} "
            f"of {source.root} differ from what {into.root} holds, which stays"
        )


def _take_files(source: Store, into: Store, merged: Merged) -> None:
    """Profiles and latencies: files named after what they hold."""
    for part in ("profiles", "latency"):
        for path in sorted((source.root / part).glob("*.json")):
            target = into.root / part / path.name
            with told(into.root):
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    unfinished = temporary(target)
                    shutil.copyfile(path, unfinished)
                    os.replace(unfinished, target)
                elif part == "profiles" and _architecture(target) != _architecture(path):
                    merged.conflicts.append(
                        f"profile {path.stem} of {source.root} differs from what {into.root} holds, which stays"
                    )


def _architecture(path: Path) -> dict[str, object]:
    """A profile less what depends on how it was measured."""
    known = json.loads(path.read_bytes())
    return {k: v for k, v in known.items() if not k.startswith("activation")}


def _copy_folder(folder: Path, target: Path) -> None:
    unfinished = temporary(target)
    try:
        shutil.copytree(folder, unfinished)
        replace_folder(unfinished, target)
    except BaseException:
        with suppress(OSError):
            remove(unfinished)
        raise


def _join_plans(source: Store, into: Store, suite: str, merged: Merged) -> None:
    new, known = source.plan(suite), into.plan(suite)
    if new is None or known is None:
        if new is not None:
            into.save_plan(new)
        return
    meant = {_place(known, e): e.trial for e in known.entries}
    differ = [e for e in new.entries if meant.get(_place(new, e), e.trial) != e.trial]
    if differ:
        labels = ", ".join(dict.fromkeys(e.label for e in differ))
        merged.conflicts.append(
            f"suite {suite} of {source.root} means other trials than that of {into.root} (recipe, parameters, teachers or method) by "
            f"{labels}; its rows stay out of the report"
        )
        new = new.model_copy(update={"entries": tuple(e for e in new.entries if e not in differ)})
    into.save_plan(_joined(known, new))


def _place(plan: Plan, entry: Entry) -> tuple[str, ...]:
    """What makes a row of the report: pair, role, label, grid point, seed and data."""
    point = json.dumps(entry.grid_point, sort_keys=True)
    return entry.pair, entry.role, entry.label, point, str(entry.seed), plan.trials[entry.trial].data.fingerprint


def _joined(first: Plan, second: Plan) -> Plan:
    trials = {**first.trials, **{i: t for i, t in second.trials.items() if i not in first.trials}}
    entries = {e.model_dump_json(): e for e in (*first.entries, *second.entries)}
    cohorts = {c.trials: c for c in (*first.cohorts, *second.cohorts)}
    return first.model_copy(update={"trials": trials, "entries": tuple(entries.values()), "cohorts": tuple(cohorts.values())})
