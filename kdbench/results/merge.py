"""Merge the records of several runs folders into one, overwriting nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from kdbench.errors import StoreError, flat
from kdbench.paths import real_path
from kdbench.results.files import disk_errors, write_whole
from kdbench.results.plans import joined, row_of
from kdbench.results.reading import JSON_LIMIT, Unreadable, read_bytes
from kdbench.results.record import Companion, Profile, Record
from kdbench.results.renaming import copy_record
from kdbench.results.store import Store

OUTCOME: tuple[Companion, ...] = ("predictions.npz", "student.safetensors")
"""The files that are identical whenever a trial had the same outcome."""


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
            if real_path(source.root) == real_path(into.root):
                continue
            for trial, record in source.records().items():
                _take(source, into, trial, record, merged)
            _take_measurements(source, into, merged)
            for suite in source.plans():
                _join_plans(source, into, suite, merged)
    merged.suites = into.plans()
    return merged


def _take(source: Store, into: Store, trial: str, record: Record, merged: Merged) -> None:
    known = into.record(trial)
    if known is None or (known.status == "failed" and record.status == "finished"):
        with disk_errors(into.root):
            try:
                copy_record(source.root, source.folder(trial).name, into.root / "trials" / trial, source.renamed)
            except (Unreadable, FileNotFoundError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                source.warn(f"the record of trial {trial} in {source.root} is damaged (it {why}) and left out")
            else:
                merged.copied += 1
        return
    differs = [name for name in OUTCOME if known.files.get(name) != record.files.get(name)]
    if record.status == "failed" or not differs:
        merged.known += 1
    else:
        merged.conflicts.append(
            f"trial {trial} ({flat(record.trial.method)} on {flat(record.trial.model.model)}, seed {record.trial.seed}): "
            f"{', '.join(differs)} of {source.root} differ from what {into.root} holds, which stays"
        )


def _take_measurements(source: Store, into: Store, merged: Merged) -> None:
    """Copy the profiles and latencies that are whole, and not there yet."""
    for name in source.ids_in("profiles"):
        profile, known = source.profile(name), into.profile(name)
        if profile is not None and known is None:
            _copy(source, into, "profiles", f"{name}.json")
        elif profile is not None and known is not None and _architecture(known) != _architecture(profile):
            merged.conflicts.append(f"profile {name} of {source.root} differs from what {into.root} holds, which stays")
    for report in source.latencies():
        if into.latency(report.id) is None:
            _copy(source, into, "latency", f"{report.id}.json")
            _copy(source, into, "latency", source.latency_data_path(report.id).name)


def _copy(source: Store, into: Store, part: str, name: str) -> None:
    """Copy a file as it is, unless there is something of its name."""
    with disk_errors(into.root):
        try:
            content = read_bytes(source.root, part, name, limit=JSON_LIMIT)
        except FileNotFoundError:
            return
        except Unreadable as error:
            source.warn(f"{part}/{name} in {source.root} {error}, and is left out")
            return
        if not os.path.lexists(into.root / part / name):
            write_whole(into.root / part / name, content)


def _architecture(profile: Profile) -> dict[str, object]:
    """A profile without what depends on how it was measured."""
    return {k: v for k, v in profile.model_dump().items() if not k.startswith("activation")}


def _join_plans(source: Store, into: Store, suite: str, merged: Merged) -> None:
    new = source.plan(suite)
    if new is None:
        return
    if damage := into.damage_to_plan(suite):  # perhaps it is another suite's: it is not for us to replace it
        merged.conflicts.append(
            f"suites/{suite}.json in {into.root} {damage}; it stays, and the rows of {source.root} stay out of the report"
        )
        return
    known = into.plan(suite)
    if known is None:
        into.save_plan(new)
        return
    meant = {row_of(known, e): e.trial for e in known.entries}
    differ = [e for e in new.entries if meant.get(row_of(new, e), e.trial) != e.trial]
    if differ:
        labels = ", ".join(dict.fromkeys(flat(e.label) for e in differ))
        merged.conflicts.append(
            f"suite {suite} of {source.root} means other trials than that of {into.root} (recipe, parameters, teachers or method) by "
            f"{labels}; its rows stay out of the report"
        )
        apart = set(map(id, differ))
        new = new.model_copy(update={"entries": tuple(e for e in new.entries if id(e) not in apart)})
    into.save_plan(joined(known, new))
