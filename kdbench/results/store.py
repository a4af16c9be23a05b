"""The runs folder, in which every record is complete or absent.

Layout: ``trials/<id>/`` (record.json and its companions), ``checkpoints/<id>.safetensors``,
``profiles/<id>.json``, ``latency/<id>.json`` (and ``<id>.pytest-benchmark.json``), ``suites/<name>.json`` and
``quarantine/``. What is damaged is left out, with a warning; only a run, which holds the folder's lock,
moves it to ``quarantine/``. Everything is written under a temporary name and renamed. Files of older versions
are brought up to date as they are read; files that a newer version wrote are left as they are, and needing
one is an error.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kdbench.errors import StoreError, cut
from kdbench.plan.trial import Plan
from kdbench.results.companions import read_history, read_predictions, read_student, write_companions
from kdbench.results.files import disk_errors, flush, remove, replace_folder, sha256, temporary
from kdbench.results.json_files import sealed_json
from kdbench.results.measurements import Measurements
from kdbench.results.plan_check import plan_of
from kdbench.results.plans import with_earlier_rows
from kdbench.results.reading import (
    LIMITS,
    Unreadable,
    is_id,
    is_plain_name,
    open_file,
    refuse_links,
    validated,
)
from kdbench.results.record import Companion, Record
from kdbench.results.renaming import rename_trials
from kdbench.results.sharing import SharedParts

if TYPE_CHECKING:
    from torch import Tensor


class DamagedRecord(Exception):
    """A stored record differs from what was written."""


class Store(Measurements):
    """Records, checkpoints, profiles and plans in one folder.

    Args:
        root: the folder; nothing is read or written until it is needed.
        warn: called with a sentence about each damaged file or folder that is quarantined.
    """

    def __init__(self, root: Path, warn: Callable[[str], None] = lambda message: None) -> None:
        super().__init__(root, warn)
        self.damaged: dict[str, str] = {}
        """Trials whose records were left out → why."""
        self._checked: dict[str, tuple[int, Record]] = {}
        self._parts = SharedParts()

    def checks_anew(self) -> None:
        """Check every record again; who holds the lock checks the weights too."""
        self._checked.clear()

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
                self.refuse_newer("record", "trials", self.folder(trial_id).name, "record.json")
                self.refuse_newer("checkpoint", "checkpoints", self.checkpoint_path(trial_id).name)

    def record(self, trial_id: str) -> Record | None:
        """The record of a trial, or ``None``; a damaged one is left out with a warning.

        Who holds the lock checks the weights too, and quarantines what is damaged; others check weights as
        they load them.

        Raises:
            NewerFormat: a newer version of kdbench wrote it.
            StoreError: it is there but may not be read, and this process holds the lock.
        """
        if not is_id(trial_id):
            return None
        folder, what = self.folder(trial_id), f"the record of trial {trial_id}"
        with disk_errors(self.root, "read"):
            for last in (False, True):  # a run may replace it while it is being read
                try:
                    return self._whole_record(trial_id)
                except PermissionError as error:
                    self.unreadable(what, error, "trials", folder.name)
                    self.damaged[trial_id] = "it may not be read"
                    return None
                except DamagedRecord as error:
                    if last:
                        self.set_apart(what, str(error), "trials", folder.name)
                        self.damaged[trial_id] = str(error)
        return None

    def recorded(self) -> set[str]:
        """Return the ids of the trials that there are records of, damaged ones included."""
        return {self.renamed.get(name, name) for name in self.listed("trials") if is_id(name)}

    def records(self, ids: Iterable[str] | None = None) -> dict[str, Record]:
        """Return records by trial id: all, or those of ``ids`` that exist."""
        ids = sorted(self.recorded()) if ids is None else ids
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
                write_companions(
                    folder, record.trial, record.data, history=history, predictions=predictions, student=student, source=source
                )
                record = record.model_copy(update={"files": {p.name: sha256(p) for p in sorted(folder.iterdir())}})
                (folder / "record.json").write_bytes(sealed_json(record))
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
        """A row an epoch; empty for a trial that was not trained."""
        return read_history(self.root, self.folder(trial_id).name, self._expected(trial_id, "history.csv"))

    def predictions(self, trial_id: str) -> dict[str, np.ndarray]:
        """Arrays of the test set: ``logits`` (float32, N×C) and ``targets`` (int64, N)."""
        return read_predictions(self.root, self.folder(trial_id).name, self._expected(trial_id, "predictions.npz"))

    def student(self, trial_id: str) -> dict[str, Tensor]:
        """State of the deployed network, contiguous, on the CPU."""
        return read_student(self.root, self.folder(trial_id).name, self._expected(trial_id, "student.safetensors"))

    def checkpoint_path(self, trial_id: str) -> Path:
        """Return the path of a trial's checkpoint."""
        return self.root / "checkpoints" / f"{trial_id}.safetensors"

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
        if not is_plain_name(plan.suite):
            raise StoreError(f'a suite cannot be called "{cut(plan.suite)}": its records and reports are files of that name')
        stored = None if keep is None else self.plan(plan.suite)
        shown = plan
        if keep is not None and stored is not None:
            shown = with_earlier_rows(plan, stored, keep, lambda trial: self.record(trial) is not None)
        self.save_json("plan", shown, "suites", f"{plan.suite}.json")
        return len(shown.entries) - len(plan.entries)

    def plan(self, suite: str) -> Plan | None:
        """The rows that a suite's report shows, with their trials, or ``None``."""
        make = partial(_plan_of_suite, suite)
        return self.load_json("plan", make, f"the plan of suite {suite}", "suites", f"{suite}.json")

    def damage_to_plan(self, suite: str) -> str:
        """Why the file of a suite's plan is not its plan; "" if it is, or does not exist."""
        try:
            _plan_of_suite(suite, self.read_json("plan", "suites", f"{suite}.json"))
        except Unreadable as error:
            return str(error)
        except FileNotFoundError:
            pass
        return ""

    def plans(self) -> list[str]:
        """Names of the suites that were run here."""
        names = (n.removesuffix(".json") for n in self.listed("suites") if n.endswith(".json"))
        return [name for name in names if is_plain_name(name)]

    def folder(self, trial_id: str) -> Path:
        """Where a trial's record is, or will be; perhaps under its id of version 1.

        Raises:
            StoreError: what is given is not an id, which could lead anywhere.
        """
        if not is_id(trial_id):
            raise StoreError(f"{cut(ascii(trial_id))} is not a trial's id, which is 16 hexadecimal digits")
        folder = self.root / "trials" / trial_id
        if os.path.lexists(folder):
            return folder
        old = next((old for old, new in self.renamed.items() if new == trial_id), trial_id)
        return folder.with_name(old)

    def _whole_record(self, trial_id: str) -> Record | None:
        name = self.folder(trial_id).name
        if not os.path.lexists(self.root / "trials" / name):
            return None
        try:
            refuse_links(self.root, "trials", name, "record.json")
            stamp = (self.root / "trials" / name / "record.json").lstat().st_mtime_ns
            known = self._checked.get(trial_id)
            if known is not None and known[0] == stamp:
                return known[1]
            record = validated(Record, self.read_json("record", "trials", name, "record.json"))
            self._check(record, trial_id)
            record = self._parts.of(record)
        except Unreadable as error:
            raise DamagedRecord(f"record.json {error}") from error
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DamagedRecord(f"{Path(str(error.filename)).name} is missing") from error
        for companion, expected in record.files.items():
            self._check_companion(name, companion, expected)
        self._checked[trial_id] = (stamp, record)
        return record

    def _check(self, record: Record, trial_id: str) -> None:
        try:
            own = record.trial.id
        except (ValueError, RecursionError):  # a number that JSON does not have, for example
            own = ""
        if own not in (trial_id, self.renamed.get(trial_id)):
            raise DamagedRecord("it describes another trial")
        if record.data.get("fingerprint", record.trial.data.fingerprint) != record.trial.data.fingerprint:
            raise DamagedRecord("it is of other data than its trial")

    def _check_companion(self, trial: str, name: Companion, expected: str) -> None:
        try:
            with open_file(self.root, "trials", trial, name, limit=LIMITS[name]) as file:
                skipped = name == "student.safetensors" and not self.owned
                if not skipped and hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise DamagedRecord(f"{name} is not what it was when it was written")
        except Unreadable as error:
            raise DamagedRecord(f"{name} {error}") from error
        except FileNotFoundError as error:
            raise DamagedRecord(f"{name} is missing") from error

    def _expected(self, trial_id: str, name: Companion) -> str | None:
        record = self.record(trial_id)
        if record is None:
            raise StoreError(f"the {name} of trial {trial_id} in {self.root} cannot be read: there is no whole record")
        return record.files.get(name)


def _plan_of_suite(suite: str, content: dict[str, Any]) -> Plan:
    plan = plan_of(content)
    if plan.suite != suite:
        raise Unreadable(f"is the plan of the suite {plan.suite}")
    return plan
