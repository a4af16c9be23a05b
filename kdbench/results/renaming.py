"""Renaming of version 1 trials, whose ids depended on a label."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kdbench.results.files import flush, remove, replace_folder, sha256, temporary
from kdbench.results.migrations import VERSIONS, Renamed, renamed_trials, upgrade, version_of


def find_renamed(root: Path) -> dict[str, str]:
    """Map old ids to present ones, from a folder's plans and records of version 1."""
    trials: dict[str, Any] = {}
    for path in (*root.glob("suites/*.json"), *root.glob("trials/*/record.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):  # reported when the file is needed
            data = json.loads(path.read_bytes())
            if version_of("record", data) == 1:
                trials.update(data["trials"] if "trials" in data else {path.parent.name: data["trial"]})
    return renamed_trials(trials)


def rename_trials(root: Path, renamed: Renamed) -> None:
    """Give the records and checkpoints of renamed trials their present names.

    The caller must hold the folder's lock.

    Raises:
        OSError: the folder cannot be written; nothing is lost.
    """
    for old, new in renamed.items():
        folder, target = root / "trials" / old, root / "trials" / new
        if folder.is_dir():
            try:
                if not target.exists():
                    copy_record(folder, target, renamed)
            except ValueError:  # damaged: reported when it is read
                continue
            remove(folder)
        path = root / "checkpoints" / f"{old}.safetensors"
        if path.exists():
            with suppress(SafetensorError, ValueError, KeyError):  # a damaged checkpoint is of no use
                _rewrite_checkpoint(path, path.with_name(f"{new}.safetensors"), renamed)
            remove(path)


def copy_record(folder: Path, target: Path, renamed: Renamed) -> None:
    """Copy a trial's folder, whole or not at all.

    A renamed trial, or a student of one, is brought up to date.
    """
    unfinished = temporary(target)
    try:
        remove(unfinished)
        shutil.copytree(folder, unfinished)
        if renamed:
            _rewrite_record(unfinished, renamed)
        replace_folder(unfinished, target)
    except BaseException:
        with suppress(OSError):
            remove(unfinished)
        raise


def _rewrite_record(folder: Path, renamed: Renamed) -> None:
    path = folder / "record.json"
    data = json.loads(path.read_bytes())
    if version_of("record", data) > 1:
        return
    data = upgrade("record", data, path, renamed)
    (folder / "trial.json").write_bytes(_json({"version": VERSIONS["trial"], **data["trial"]}))
    data["files"] = {**data["files"], "trial.json": sha256(folder / "trial.json")}
    path.write_bytes(_json(data))
    for written in (path, folder / "trial.json"):
        flush(written)


def _rewrite_checkpoint(path: Path, target: Path, renamed: Renamed) -> None:
    with safe_open(path, framework="pt") as file:
        meta = upgrade("checkpoint", json.loads((file.metadata() or {})["kdbench"]), path, renamed)
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator there)
    unfinished = temporary(target)
    save_file(tensors, unfinished, metadata={"kdbench": json.dumps(meta)})
    unfinished.replace(target)


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()
