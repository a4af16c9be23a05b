"""The runs folder: whole records or none.

Layout: ``trials/<id>/`` (trial.json, record.json, history.csv, predictions.npz, student.safetensors), ``checkpoints/<id>.safetensors``,
``profiles/<id>.json``, ``latency/<id>.json`` (and ``<id>.pytest-benchmark.json``), ``suites/<name>.json`` and ``set-aside/`` for
what was found damaged. Everything is written under a temporary name and renamed.
"""

from __future__ import annotations

import itertools
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from kdbench.errors import StoreError
from kdbench.plan.trial import Plan
from kdbench.results.files import flush, remove, replace_folder, sha256, temporary, tidy, told, write_whole
from kdbench.results.record import LatencyReport, Profile, Record

M = TypeVar("M", bound=BaseModel)
PARTS = ("trials", "checkpoints", "profiles", "latency", "suites")


class Damaged(Exception):
    """What is stored is not what was written."""


class Store:
    """Records, checkpoints, profiles and plans in one folder.

    Args:
        root: the folder; nothing is read or written before it is needed.
        warn: told, in a sentence, of what was found damaged and set aside.
    """

    def __init__(self, root: Path, warn: Callable[[str], None] = lambda message: None) -> None:
        self.root = root
        self.warn = warn
        self._checked: dict[str, tuple[int, Record]] = {}

    def open(self) -> None:
        """Create the folders, see that they can be written, and clear away what dead processes left half-written.

        Raises:
            StoreError: the folder cannot be created or written, or the disk is full.
        """
        with told(self.root):
            for part in PARTS:
                (self.root / part).mkdir(parents=True, exist_ok=True)
            probe = self.root / ".probe"
            write_whole(probe, b"\0" * 4096)
            probe.unlink(missing_ok=True)
            # Not while another process works here: it may be on another machine, where process numbers mean nothing.
            with suppress(Timeout, NotImplementedError), FileLock(self.root / ".lock", timeout=0):
                for folder in (self.root, *(self.root / part for part in PARTS)):
                    tidy(folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from running suites in this folder. A killed process holds no lock.

        Raises:
            StoreError: one does so already.
        """
        lock = FileLock(self.root / ".lock")
        holder = self.root / ".lock-holder"
        with told(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise StoreError(
                    f"another kdbench run works in {self.root}{_process(holder)}; wait for it, or give --runs another folder"
                ) from None
            except NotImplementedError:
                self.warn(f"the file system of {self.root} knows no locks: see to it that only one kdbench run works there")
            holder.write_text(str(os.getpid()))
        try:
            yield
        finally:
            with suppress(OSError):
                holder.unlink(missing_ok=True)
            lock.release()

    def record(self, trial_id: str) -> Record | None:
        """The record of a trial, or ``None``; a damaged one is set aside, which ``warn`` is told.

        Raises:
            StoreError: it is there but may not be read (it is not set aside then).
        """
        folder = self._folder(trial_id)
        with told(self.root, "read"):
            try:
                return self._whole_record(trial_id)
            except Damaged:
                pass
            try:
                return self._whole_record(trial_id)  # a run may have replaced it while it was being read
            except Damaged as error:
                self._set_aside(folder, f"the record of trial {trial_id}", str(error))
                return None

    def records(self, ids: Iterable[str] | None = None) -> dict[str, Record]:
        """Records by trial id: of all trials, or of those named that have one."""
        if ids is None:
            folder = self.root / "trials"
            ids = sorted(p.name for p in folder.iterdir() if ".tmp-" not in p.name) if folder.is_dir() else []
        return {i: r for i in ids if (r := self.record(i)) is not None}

    def save(
        self,
        record: Record,
        *,
        history: Sequence[Mapping[str, float]] = (),
        predictions: Mapping[str, np.ndarray] | None = None,
        student: Mapping[str, Tensor] | None = None,
    ) -> Record:
        """Write a record with its companions, in place of an older one of the same trial.

        Args:
            record: the record; ``files`` is filled in here.
            history: a row an epoch.
            predictions: arrays of the test set, of numbers only.
            student: the deployed network's state, in any memory layout, shared tensors included.

        Returns:
            The record as it was stored.

        Raises:
            StoreError: the disk is full or the folder cannot be written; an older record is kept.
        """
        target = self._folder(record.trial.id)
        folder = temporary(target)
        with told(self.root):
            try:
                remove(folder)
                folder.mkdir(parents=True)
                _write_companions(folder, record, history, predictions, student)
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
        """Forget a trial's record and checkpoint."""
        folder = self._folder(trial_id)
        with told(self.root):
            if folder.exists():
                gone = temporary(folder)
                remove(gone)
                os.replace(folder, gone)
                remove(gone)
            self.checkpoint_path(trial_id).unlink(missing_ok=True)
        self._checked.pop(trial_id, None)

    def history(self, trial_id: str) -> pd.DataFrame:
        """A row an epoch; empty for a trial that was not trained."""
        path = self._folder(trial_id) / "history.csv"
        try:
            # The python engine reads every float exactly; the default of older releases is off by a last bit now and then.
            return pd.read_csv(path, engine="python") if path.exists() else pd.DataFrame()
        except (OSError, ValueError) as error:  # pandas' errors are ValueErrors
            raise StoreError(f"the history of trial {trial_id} in {self.root} cannot be read: {error}") from error

    def predictions(self, trial_id: str) -> dict[str, np.ndarray]:
        """Arrays of the test set: ``logits`` (float32, N×C) and ``targets`` (int64, N)."""
        try:
            with np.load(self._folder(trial_id) / "predictions.npz", allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise StoreError(f"the predictions of trial {trial_id} in {self.root} cannot be read: {error}") from error

    def student(self, trial_id: str) -> dict[str, Tensor]:
        """State of the deployed network, contiguous, on the CPU."""
        try:
            return load_file(self._folder(trial_id) / "student.safetensors")
        except (OSError, SafetensorError) as error:
            raise StoreError(f"the weights of trial {trial_id} in {self.root} cannot be read: {error}") from error

    def checkpoint_path(self, trial_id: str) -> Path:
        """Where the trainer keeps a trial's checkpoint."""
        return self.root / "checkpoints" / f"{trial_id}.safetensors"

    def save_profile(self, profile: Profile) -> None:
        """Write a profile."""
        self._save_json(self.root / "profiles" / f"{profile.id}.json", profile)

    def profile(self, profile_id: str) -> Profile | None:
        """A profile, or ``None``; a damaged one is set aside."""
        return self._load_json(self.root / "profiles" / f"{profile_id}.json", Profile, f"the profile {profile_id}")

    def save_latency(self, report: LatencyReport) -> None:
        """Write what latencies were measured; :meth:`latency_data_path` is where its raw data go."""
        self._save_json(self.root / "latency" / f"{report.id}.json", report)

    def latency(self, report_id: str) -> LatencyReport | None:
        """A report of latencies, or ``None``; a damaged one is set aside."""
        return self._load_json(self.root / "latency" / f"{report_id}.json", LatencyReport, f"the latency report {report_id}")

    def latencies(self) -> list[LatencyReport]:
        """All reports of latencies, the oldest first."""
        names = sorted(p.stem for p in (self.root / "latency").glob("*.json") if "." not in p.stem)
        return sorted((r for n in names if (r := self.latency(n)) is not None), key=lambda r: r.started)

    def latency_data_path(self, report_id: str) -> Path:
        """Where the report's raw data are, in pytest-benchmark's format: ``pytest-benchmark compare`` takes the file."""
        return self.root / "latency" / f"{report_id}.pytest-benchmark.json"

    def save_plan(self, plan: Plan) -> None:
        """Write a suite's plan.

        Raises:
            StoreError: the suite's name cannot be a file's, or the folder cannot be written.
        """
        if Path(plan.suite).name != plan.suite:
            raise StoreError(f'a suite cannot be called "{plan.suite}": its records and reports are files of that name')
        self._save_json(self.root / "suites" / f"{plan.suite}.json", plan)

    def plan(self, suite: str) -> Plan | None:
        """The plan of a suite as it was last run, or ``None``."""
        return self._load_json(self.root / "suites" / f"{suite}.json", Plan, f"the plan of suite {suite}")

    def plans(self) -> list[str]:
        """Names of the suites that were run here."""
        return sorted(p.stem for p in (self.root / "suites").glob("*.json"))

    def _folder(self, trial_id: str) -> Path:
        return self.root / "trials" / trial_id

    def _whole_record(self, trial_id: str) -> Record | None:
        folder = self._folder(trial_id)
        if not folder.is_dir():
            return None
        try:
            stamp = (folder / "record.json").stat().st_mtime_ns
            known = self._checked.get(trial_id)
            if known is not None and known[0] == stamp:
                return known[1]
            record = Record.model_validate_json((folder / "record.json").read_bytes())
            changed = [name for name, expected in record.files.items() if sha256(folder / name) != expected]
        except ValidationError as error:
            raise Damaged("record.json is not valid") from error
        except (FileNotFoundError, IsADirectoryError) as error:
            raise Damaged(f"{Path(str(error.filename)).name} is missing") from error
        if record.trial.id != trial_id:
            raise Damaged("it describes another trial")
        if changed:
            raise Damaged(f"{changed[0]} is not what it was when it was written")
        self._checked[trial_id] = (stamp, record)
        return record

    def _save_json(self, path: Path, value: BaseModel) -> None:
        with told(self.root):
            write_whole(path, value.model_dump_json(indent=2).encode())

    def _load_json(self, path: Path, kind: type[M], what: str) -> M | None:
        with told(self.root, "read"):
            if not path.exists():
                return None
            try:
                return kind.model_validate_json(path.read_bytes())
            except ValidationError:
                self._set_aside(path, what, "it is not valid")
                return None

    def _set_aside(self, path: Path, what: str, reason: str) -> None:
        folder = self.root / "set-aside"
        free = next(n for n in itertools.count(1) if not (folder / f"{path.name}-{n}").exists())
        place = folder / f"{path.name}-{free}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
        except OSError as error:  # a report may be made of a folder that is only to be read
            self.warn(f"{what} is damaged ({reason}) and passed over; it cannot be set aside: {error.strerror or error}")
        else:
            self.warn(f"{what} is damaged ({reason}); set aside as {place}")


def _write_companions(
    folder: Path,
    record: Record,
    history: Sequence[Mapping[str, float]],
    predictions: Mapping[str, np.ndarray] | None,
    student: Mapping[str, Tensor] | None,
) -> None:
    (folder / "trial.json").write_bytes(record.trial.model_dump_json(indent=2).encode())
    if history:
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False, lineterminator="\n")
    if predictions is not None:
        if any(array.dtype.hasobject for array in predictions.values()):
            raise TypeError("predictions must be arrays of numbers: objects would have to be pickled")
        np.savez_compressed(folder / "predictions.npz", **predictions)  # type: ignore[arg-type]
    if student is not None:
        own = {k: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for k, v in student.items()}
        (folder / "student.safetensors").write_bytes(safetensors_bytes(own))


def _process(holder: Path) -> str:
    try:
        return f" (process {holder.read_text()})"
    except OSError:
        return ""
