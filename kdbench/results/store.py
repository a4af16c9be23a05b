"""The runs folder, in which every record is complete or absent.

Layout: ``trials/<id>/`` (record.json and its companions), ``checkpoints/<id>.safetensors``,
``profiles/<id>.json``, ``latency/<id>.json`` (and ``<id>.pytest-benchmark.json``), ``suites/<name>.json`` and
``quarantine/`` for damaged files. Everything is written under a temporary name and renamed. Files of older
versions are migrated as they are read; files that a newer version wrote are never changed, and needing one is
an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from torch import Tensor

from kdbench.errors import StoreError
from kdbench.plan.trial import Plan
from kdbench.results.companions import read_history, read_predictions, read_student, write_companions
from kdbench.results.files import disk_errors, flush, remove, replace_folder, sha256, temporary, tidy, write_whole
from kdbench.results.json_files import JsonFiles
from kdbench.results.migrations import NewerFormat
from kdbench.results.plans import with_earlier_rows
from kdbench.results.record import LatencyReport, Profile, Record
from kdbench.results.renaming import rename_trials

PARTS = ("trials", "checkpoints", "profiles", "latency", "suites")


class DamagedRecord(Exception):
    """A stored record differs from what was written."""


class Store(JsonFiles):
    """Records, checkpoints, profiles and plans in one folder.

    Args:
        root: the folder; nothing is read or written until it is needed.
        warn: called with a sentence about each damaged file or folder that is quarantined.
    """

    def __init__(self, root: Path, warn: Callable[[str], None] = lambda message: None) -> None:
        super().__init__(root, warn)
        self._checked: dict[str, tuple[int, Record]] = {}

    def open(self) -> None:
        """Create the folders, check that they are writable, and tidy them.

        Temporary files that dead processes left behind are removed.

        Raises:
            StoreError: the folder cannot be created or written, or the disk is full.
        """
        with disk_errors(self.root):
            for part in PARTS:
                (self.root / part).mkdir(parents=True, exist_ok=True)
            probe = self.root / ".probe"
            write_whole(probe, b"\0" * 4096)
            probe.unlink(missing_ok=True)
            # Not while another process works here: it may be on another machine, whose process ids mean
            # nothing here.
            with suppress(Timeout, NotImplementedError), FileLock(self.root / ".lock", timeout=0):
                for folder in (self.root, *(self.root / part for part in PARTS)):
                    tidy(folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder against other runs; a killed process holds no lock.

        Raises:
            StoreError: another run holds the lock, or the folder cannot be written.
        """
        lock = FileLock(self.root / ".lock")
        holder = self.root / ".lock-holder"
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise StoreError(
                    f"another kdbench run works in {self.root}{_process(holder)}; wait for it, or give --runs another folder"
                ) from None
            except NotImplementedError:
                self.warn(
                    f"the file system of {self.root} does not support locks: make sure that only one kdbench run works there"
                )
            holder.write_text(str(os.getpid()))
        try:
            yield
        finally:
            with suppress(OSError):
                holder.unlink(missing_ok=True)
            lock.release()

    def bring_up_to_date(self, ids: Iterable[str]) -> None:
        """Give version 1 trials their present ids; the caller must hold the lock.

        Args:
            ids: the trials of the run.

        Raises:
            NewerFormat: a newer version of kdbench wrote a record or a checkpoint of one of them.
        """
        with disk_errors(self.root):
            rename_trials(self.root, self.renamed)
            self.__dict__.pop("renamed", None)
            for trial_id in ids:
                self.refuse_newer("record", self.folder(trial_id) / "record.json")
                self.refuse_newer("checkpoint", self.checkpoint_path(trial_id))

    def record(self, trial_id: str) -> Record | None:
        """Return a trial's record, or ``None``; a damaged one is quarantined.

        Raises:
            NewerFormat: a newer version of kdbench wrote it.
            StoreError: it exists but cannot be read (in that case it is not quarantined).
        """
        folder = self.folder(trial_id)
        with disk_errors(self.root, "read"):
            try:
                return self._whole_record(trial_id)
            except DamagedRecord:
                pass
            try:
                return self._whole_record(trial_id)  # a run may have replaced it while it was being read
            except DamagedRecord as error:
                self.quarantine(folder, f"the record of trial {trial_id}", str(error))
                return None

    def records(self, ids: Iterable[str] | None = None) -> dict[str, Record]:
        """Return records by trial id: all, or those of ``ids`` that exist."""
        if ids is None:
            folder = self.root / "trials"
            names = [p.name for p in folder.iterdir() if ".tmp-" not in p.name] if folder.is_dir() else []
            ids = sorted({self.renamed.get(name, name) for name in names})
        return {i: r for i in ids if (r := self.record(i)) is not None}

    def save(
        self,
        record: Record,
        *,
        history: Sequence[Mapping[str, float]] = (),
        predictions: Mapping[str, np.ndarray] | None = None,
        student: Mapping[str, Tensor] | None = None,
        source: str | None = None,
    ) -> Record:
        """Write a record with its companions, replacing an older one of the same trial.

        Args:
            record: the record; ``files`` is filled in here.
            history: one row per epoch.
            predictions: arrays of numbers for the test set.
            student: the deployed network's state, in any memory layout, shared tensors included.
            source: source code of a method that is not installed as a package, kept as ``method.py``.

        Returns:
            The record as it was stored.

        Raises:
            StoreError: the disk is full or the folder cannot be written; the older record, if any, is kept.
        """
        target = self.root / "trials" / record.trial.id
        folder = temporary(target)
        with disk_errors(self.root):
            try:
                remove(folder)
                folder.mkdir(parents=True)
                write_companions(folder, record.trial, history=history, predictions=predictions, student=student, source=source)
                record = record.model_copy(update={"files": {p.name: sha256(p) for p in sorted(folder.iterdir())}})
                (folder / "record.json").write_bytes(record.model_dump_json(indent=2).encode())
                for path in (*folder.iterdir(), folder):
                    flush(path)
                replace_folder(folder, target)
            except BaseException:
                with suppress(OSError):  # on a full disk, every byte counts
                    remove(folder)
                raise
        self._checked.pop(record.trial.id, None)
        return record

    def discard(self, trial_id: str) -> None:
        """Delete a trial's record and checkpoint."""
        folder = self.folder(trial_id)
        with disk_errors(self.root):
            if folder.exists():
                gone = temporary(folder)
                remove(gone)
                os.replace(folder, gone)
                remove(gone)
            self.checkpoint_path(trial_id).unlink(missing_ok=True)
        self._checked.pop(trial_id, None)

    def history(self, trial_id: str) -> pd.DataFrame:
        """Return one row per epoch; empty for a trial that was not trained."""
        return read_history(self.folder(trial_id))

    def predictions(self, trial_id: str) -> dict[str, np.ndarray]:
        """Return ``logits`` (float32, N×C) and ``targets`` (int64, N) of the test set."""
        return read_predictions(self.folder(trial_id))

    def student(self, trial_id: str) -> dict[str, Tensor]:
        """Return the state of the deployed network, contiguous, on the CPU."""
        return read_student(self.folder(trial_id))

    def checkpoint_path(self, trial_id: str) -> Path:
        """Return the path of a trial's checkpoint."""
        return self.root / "checkpoints" / f"{trial_id}.safetensors"

    def save_profile(self, profile: Profile) -> None:
        """Write a profile."""
        self.save_json(self.root / "profiles" / f"{profile.id}.json", "profile", profile)

    def profile(self, profile_id: str) -> Profile | None:
        """Return a profile, or ``None``; a damaged one is quarantined."""
        path = self.root / "profiles" / f"{profile_id}.json"
        return self.load_json(path, "profile", Profile, f"the profile {profile_id}")

    def save_latency(self, report: LatencyReport) -> None:
        """Write a latency report; its raw data go to :meth:`latency_data_path`."""
        self.save_json(self.root / "latency" / f"{report.id}.json", "latency", report)

    def latency(self, report_id: str) -> LatencyReport | None:
        """Return a latency report, or ``None``; a damaged one is quarantined."""
        path = self.root / "latency" / f"{report_id}.json"
        return self.load_json(path, "latency", LatencyReport, f"the latency report {report_id}")

    def latencies(self) -> list[LatencyReport]:
        """Return all latency reports, the oldest first.

        Those that a newer version of kdbench wrote are left out, with a warning.
        """
        found = []
        for name in sorted(p.stem for p in (self.root / "latency").glob("*.json") if "." not in p.stem):
            try:
                report = self.latency(name)
            except NewerFormat as error:  # perhaps of another suite's networks
                self.warn(str(error))
            else:
                found += [] if report is None else [report]
        return sorted(found, key=lambda r: r.started)

    def latency_data_path(self, report_id: str) -> Path:
        """Return the path of a latency report's raw data.

        The file has pytest-benchmark's format, so ``pytest-benchmark compare`` can read it.
        """
        return self.root / "latency" / f"{report_id}.pytest-benchmark.json"

    def save_plan(self, plan: Plan, keep: Collection[str] | None = None) -> int:
        """Write a suite's plan: the rows that its report shows.

        Args:
            plan: the plan.
            keep: names of the method entries in the suite's file, to keep the rows of earlier runs that
                belong beside those of ``plan`` (see :func:`kdbench.results.plans.with_earlier_rows`). By
                default no earlier rows are kept.

        Returns:
            Number of rows that were kept.

        Raises:
            StoreError: the suite's name is not a valid file name, or the folder cannot be written.
            NewerFormat: a newer version of kdbench wrote the existing plan.
        """
        if Path(plan.suite).name != plan.suite:
            raise StoreError(f'a suite cannot be called "{plan.suite}": its plan and its report are stored under that name')
        stored = None if keep is None else self.plan(plan.suite)
        shown = plan
        if keep is not None and stored is not None:
            shown = with_earlier_rows(plan, stored, keep, lambda trial: self.record(trial) is not None)
        self.save_json(self.root / "suites" / f"{plan.suite}.json", "plan", shown)
        return len(shown.entries) - len(plan.entries)

    def plan(self, suite: str) -> Plan | None:
        """Return the rows that a suite's report shows, with their trials, or ``None``."""
        return self.load_json(self.root / "suites" / f"{suite}.json", "plan", Plan, f"the plan of suite {suite}")

    def plans(self) -> list[str]:
        """Return the names of the suites that were run here."""
        return sorted(p.stem for p in (self.root / "suites").glob("*.json"))

    def folder(self, trial_id: str) -> Path:
        """Return the folder of a trial's record, which need not exist.

        It is the folder with the trial's version 1 id if that has not been renamed yet.
        """
        folder = self.root / "trials" / trial_id
        if folder.is_dir():
            return folder
        old = next((old for old, new in self.renamed.items() if new == trial_id), trial_id)
        return folder.with_name(old)

    def _whole_record(self, trial_id: str) -> Record | None:
        folder = self.folder(trial_id)
        if not folder.is_dir():
            return None
        try:
            stamp = (folder / "record.json").stat().st_mtime_ns
            known = self._checked.get(trial_id)
            if known is not None and known[0] == stamp:
                return known[1]
            record = Record.model_validate(self.read_json("record", folder / "record.json"))
            changed = [name for name, expected in record.files.items() if sha256(folder / name) != expected]
        except ValueError as error:  # of json, of a migration, of pydantic
            raise DamagedRecord("record.json is not valid") from error
        except (FileNotFoundError, IsADirectoryError) as error:
            raise DamagedRecord(f"{Path(str(error.filename)).name} is missing") from error
        if record.trial.id != trial_id and record.trial.id != self.renamed.get(trial_id):
            raise DamagedRecord("it describes another trial")
        if changed:
            raise DamagedRecord(f"{changed[0]} is not what it was when it was written")
        self._checked[trial_id] = (stamp, record)
        return record


def _process(holder: Path) -> str:
    try:
        return f" (process {holder.read_text()})"
    except OSError:
        return ""
