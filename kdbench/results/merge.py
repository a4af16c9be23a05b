"""Merge the records of several runs folders into one, overwriting nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kdbench.errors import StoreError
from kdbench.results.files import disk_errors, temporary
from kdbench.results.migrations import upgrade
from kdbench.results.plans import joined, row_of
from kdbench.results.record import Record
from kdbench.results.renaming import copy_record
from kdbench.results.store import Store

OUTCOME = ("predictions.npz", "student.safetensors")
"""Files that are identical if a trial had the same outcome."""


@dataclass
class Merged:
    """The outcome of a merge.

    Args:
        copied: number of records that were copied.
        known: number of records that were already there.
        suites: names of the suites that the folder now holds.
        conflicts: a sentence for each record, profile or suite that differs from the one already there,
            which is kept.
    """

    copied: int = 0
    known: int = 0
    suites: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def merge_stores(sources: Sequence[Store], into: Store) -> Merged:
    """Copy the contents of other runs folders into one.

    Records with their companions, profiles, latencies and plans are copied. A record conflicts with one of
    the same trial that has different weights or predictions (times always differ); a finished record replaces
    a failed one. The trials, rows and cohorts of plans of the same suite are joined; rows conflict if the
    same pair, method, grid point and seed mean a different trial (with a different number of epochs, for
    example).

    Raises:
        StoreError: a folder is not a runs folder, or cannot be read or written.
    """
    for source in sources:
        if not (source.root / "trials").is_dir():
            raise StoreError(f"{source.root} is not a runs folder: it holds no trials")
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
        with disk_errors(into.root):
            copy_record(source.folder(trial), into.root / "trials" / trial, source.renamed)
        merged.copied += 1
        return
    differs = [name for name in OUTCOME if known.files.get(name) != record.files.get(name)]
    if record.status == "failed" or not differs:
        merged.known += 1
    else:
        merged.conflicts.append(
            f"trial {trial} ({record.trial.method} on {record.trial.model.model}, seed {record.trial.seed}): {', '.join(differs)} "
            f"of {source.root} differ from what {into.root} holds, which is kept"
        )


def _take_files(source: Store, into: Store, merged: Merged) -> None:
    """Copy profiles and latencies, whose file names identify their content."""
    for part in ("profiles", "latency"):
        for path in sorted((source.root / part).glob("*.json")):
            target = into.root / part / path.name
            with disk_errors(into.root):
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    unfinished = temporary(target)
                    shutil.copyfile(path, unfinished)
                    os.replace(unfinished, target)
                elif part == "profiles" and _architecture(target) != _architecture(path):
                    merged.conflicts.append(
                        f"profile {path.stem} of {source.root} differs from what {into.root} holds, which is kept"
                    )


def _architecture(path: Path) -> dict[str, object]:
    """Return a profile without the values that depend on how it was measured."""
    known = upgrade("profile", json.loads(path.read_bytes()), path)
    return {k: v for k, v in known.items() if not k.startswith("activation")}


def _join_plans(source: Store, into: Store, suite: str, merged: Merged) -> None:
    new, known = source.plan(suite), into.plan(suite)
    if new is None or known is None:
        if new is not None:
            into.save_plan(new)
        return
    meant = {row_of(known, e): e.trial for e in known.entries}
    differ = [e for e in new.entries if meant.get(row_of(new, e), e.trial) != e.trial]
    if differ:
        labels = ", ".join(dict.fromkeys(e.label for e in differ))
        merged.conflicts.append(
            f"suite {suite} of {source.root} means other trials than that of {into.root} (recipe, parameters, teachers or method) by "
            f"{labels}; its rows stay out of the report"
        )
        new = new.model_copy(update={"entries": tuple(e for e in new.entries if e not in differ)})
    into.save_plan(joined(known, new))
