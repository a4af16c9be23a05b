"""The runs folder: whole records or none.

Layout: ``trials/<id>/`` (trial.json, record.json, history.csv, predictions.npz, student.safetensors), ``checkpoints/<id>.safetensors``,
``profiles/<id>.json``, ``suites/<name>.json`` and ``set-aside/`` for what was found damaged. Everything is written under a
temporary name and renamed.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import psutil
import torch
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from kdbench.errors import StoreError
from kdbench.results.record import Profile, Record
from kdbench.suite.trial import Plan

M = TypeVar("M", bound=BaseModel)
PARTS = ("trials", "checkpoints", "profiles", "suites")


class Store:
    """Records, checkpoints, profiles and plans in one folder.

    Args:
        root: the folder; nothing is read or written before it is needed.
        warn: told, in a sentence, of what was found damaged and set aside.
    """

    def __init__(self, root: Path, warn: Callable[[str], None] = lambda message: None) -> None:
        self.root = root
        self._warn = warn
        self._checked: dict[str, tuple[int, Record]] = {}

    def open(self) -> None:
        """Create the folders, see that they can be written, and clear away what dead processes left half-written.

        Raises:
            StoreError: the folder cannot be created or written, or the disk is full.
        """
        with self._told():
            for part in PARTS:
                (self.root / part).mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe.tmp-{os.getpid()}"
            probe.write_bytes(b"\0" * 4096)
            probe.unlink()
            for left in itertools.chain(*(self.root.glob(f"{p}/*.tmp-*") for p in PARTS), self.root.glob(".probe.tmp-*")):
                if not psutil.pid_exists(_owner(left)) or _owner(left) == os.getpid():
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from running suites in this folder.

        Raises:
            StoreError: one does so already.
        """
        path = self.root / ".lock"
        lock = FileLock(path)
        with self._told():
            try:
                lock.acquire(timeout=0)
            except Timeout:
                holder = path.with_name(".lock-holder")
                who = f" (process {holder.read_text()})" if holder.exists() else ""
                raise StoreError(
                    f"another kdbench run works in {self.root}{who}; wait for it, or give --runs another folder"
                ) from None
            path.with_name(".lock-holder").write_text(str(os.getpid()))
        try:
            yield
        finally:
            path.with_name(".lock-holder").unlink(missing_ok=True)
            lock.release()

    def record(self, trial_id: str) -> Record | None:
        """The record of a trial, or ``None``; a damaged one is set aside, which ``warn`` is told."""
        folder = self._folder(trial_id)
        path = folder / "record.json"
        if not folder.is_dir():
            return None
        try:
            stamp = path.stat().st_mtime_ns
            if trial_id in self._checked and self._checked[trial_id][0] == stamp:
                return self._checked[trial_id][1]
            record = Record.model_validate_json(path.read_bytes())
            if record.trial.id != trial_id:
                raise ValueError("it describes another trial")
            for name, expected in record.files.items():
                if _sha256(folder / name) != expected:
                    raise ValueError(f"{name} is not what it was when it was written")
        except (OSError, ValueError) as error:  # pydantic's errors are ValueErrors
            reason = "record.json is not valid" if isinstance(error, ValidationError) else str(error)
            self._set_aside(folder, f"record of trial {trial_id}", reason)
            return None
        self._checked[trial_id] = (stamp, record)
        return record

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
            predictions: arrays of the test set.
            student: the deployed network's state.

        Returns:
            The record as it was stored.

        Raises:
            StoreError: the disk is full or the folder cannot be written.
        """
        target = self._folder(record.trial.id)
        folder = target.with_name(f"{target.name}.tmp-{os.getpid()}")
        with self._told():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _write(folder / "trial.json", record.trial.model_dump_json(indent=2).encode())
            if history:
                pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
            if predictions is not None:
                np.savez_compressed(folder / "predictions.npz", allow_pickle=False, **predictions)
            if student is not None:
                own = {k: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for k, v in student.items()}
                save_file(own, folder / "student.safetensors")
            files = {p.name: _sha256(p) for p in sorted(folder.iterdir())}
            record = record.model_copy(update={"files": files})
            _write(folder / "record.json", record.model_dump_json(indent=2).encode())
            for path in folder.iterdir():
                _flush(path)
            if target.exists():
                old = target.with_name(f"{target.name}.old.tmp-{os.getpid()}")
                os.replace(target, old)
                os.replace(folder, target)
                shutil.rmtree(old)
            else:
                os.replace(folder, target)
        self._checked.pop(record.trial.id, None)
        return record

    def discard(self, trial_id: str) -> None:
        """Forget a trial's record and checkpoint."""
        with self._told():
            folder = self._folder(trial_id)
            if folder.exists():
                gone = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
                os.replace(folder, gone)
                shutil.rmtree(gone)
            self.checkpoint_path(trial_id).unlink(missing_ok=True)
        self._checked.pop(trial_id, None)

    def history(self, trial_id: str) -> pd.DataFrame:
        """A row an epoch; empty for a trial that was not trained."""
        path = self._folder(trial_id) / "history.csv"
        # The default parser of floats is off by a last bit now and then.
        return pd.read_csv(path, float_precision="round_trip") if path.exists() else pd.DataFrame()

    def predictions(self, trial_id: str) -> dict[str, np.ndarray]:
        """Arrays of the test set: ``logits`` (float32, N×C) and ``targets`` (int64, N)."""
        try:
            with np.load(self._folder(trial_id) / "predictions.npz", allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise StoreError(f"predictions of trial {trial_id} in {self.root} cannot be read: {error}") from error

    def student(self, trial_id: str) -> dict[str, Tensor]:
        """State of the deployed network."""
        try:
            return load_file(self._folder(trial_id) / "student.safetensors")
        except Exception as error:
            raise StoreError(f"weights of trial {trial_id} in {self.root} cannot be read: {error}") from error

    def checkpoint_path(self, trial_id: str) -> Path:
        """Where the trainer keeps a trial's checkpoint."""
        return self.root / "checkpoints" / f"{trial_id}.safetensors"

    def save_profile(self, profile: Profile) -> None:
        """Write a profile."""
        self._save_json(self.root / "profiles" / f"{profile.id}.json", profile)

    def profile(self, profile_id: str) -> Profile | None:
        """A profile, or ``None``; a damaged one is set aside."""
        return self._load_json(self.root / "profiles" / f"{profile_id}.json", Profile, f"profile {profile_id}")

    def save_plan(self, plan: Plan) -> None:
        """Write a suite's plan."""
        self._save_json(self.root / "suites" / f"{plan.suite}.json", plan)

    def plan(self, suite: str) -> Plan | None:
        """The plan of a suite as it was last run, or ``None``."""
        return self._load_json(self.root / "suites" / f"{suite}.json", Plan, f"plan of suite {suite}")

    def plans(self) -> list[str]:
        """Names of the suites that were run here."""
        return sorted(p.stem for p in (self.root / "suites").glob("*.json"))

    def _folder(self, trial_id: str) -> Path:
        return self.root / "trials" / trial_id

    def _save_json(self, path: Path, value: BaseModel) -> None:
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
            _write(temporary, value.model_dump_json(indent=2).encode())
            os.replace(temporary, path)

    def _load_json(self, path: Path, kind: type[M], what: str) -> M | None:
        if not path.exists():
            return None
        try:
            return kind.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            self._set_aside(path, what, "it is not valid")
            return None

    def _set_aside(self, path: Path, what: str, reason: str) -> None:
        folder = self.root / "set-aside"
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            free = next(n for n in itertools.count(1) if not (folder / f"{path.name}-{n}").exists())
            os.replace(path, folder / f"{path.name}-{free}")
        self._warn(f"{what} is damaged ({reason}); set aside as {folder / f'{path.name}-{free}'}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StoreError(
                    f"no space left on the disk of {self.root}; free some and run the same command again: nothing finished is lost"
                ) from error
            raise StoreError(f"the runs folder {self.root} cannot be written: {error.strerror or error}") from error


def _owner(path: Path) -> int:
    number = path.name.rpartition(".tmp-")[2]
    return int(number) if number.isdigit() else -1


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
