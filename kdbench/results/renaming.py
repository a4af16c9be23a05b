"""Renaming of version 1 trials, whose ids depended on a label."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from kdbench.results.checkpoints import CheckpointUnreadable, read_checkpoint, write_checkpoint
from kdbench.results.files import flush, remove, replace_folder, sha256, temporary
from kdbench.results.migrations import VERSIONS, Renamed, renamed_trials, upgrade, version_of
from kdbench.results.reading import (
    JSON_LIMIT,
    LIMITS,
    PLAN_LIMIT,
    Unreadable,
    is_id,
    is_plain_name,
    names_in,
    open_file,
    parse_json,
    read_bytes,
    refuse_links,
)
from kdbench.results.record import Companion

COMPANIONS = frozenset(get_args(Companion))
PRESENT = re.compile(rb'\s*\{\s*"version": ?[2-9]')
"""How files of later versions begin, which rename nothing."""


def find_renamed(root: Path) -> dict[str, str]:
    """Map old ids to present ones, from a folder's plans and records of version 1."""
    trials: dict[str, Any] = {}
    files: list[tuple[int, tuple[str, ...]]] = []
    with suppress(OSError, Unreadable):
        files += [(PLAN_LIMIT, ("suites", name)) for name in names_in(root, "suites") if name.endswith(".json")]
    with suppress(OSError, Unreadable):
        files += [(JSON_LIMIT, ("trials", name, "record.json")) for name in names_in(root, "trials") if is_id(name)]
    for limit, names in files:
        if not is_plain_name(names[1]):
            continue
        with suppress(OSError, ValueError, KeyError, TypeError):  # whoever needs the file will say what is wrong with it
            with open_file(root, *names, limit=limit) as file:
                if PRESENT.match(file.read(64)):
                    continue
            data = parse_json(read_bytes(root, *names, limit=limit))
            if version_of("record", data) == 1:
                found = data["trials"] if "trials" in data else {names[1]: data["trial"]}
                trials.update({i: t for i, t in found.items() if is_id(i)})
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
                    copy_record(root, old, target, renamed)
            except ValueError:  # damaged: left to whoever reads it
                continue
            remove(folder)
        path = root / "checkpoints" / f"{old}.safetensors"
        if path.exists():
            with suppress(CheckpointUnreadable, Unreadable):  # a damaged checkpoint is of no use
                refuse_links(root, "checkpoints", path.name)
                write_checkpoint(path.with_name(f"{new}.safetensors"), *read_checkpoint(path, renamed))
            remove(path)


def copy_record(root: Path, name: str, target: Path, renamed: Renamed) -> None:
    """Copy a trial's record and the companions that it names, whole or not at all.

    A renamed trial, or a student of one, is brought up to date on the way.

    Args:
        root: a runs folder.
        name: of the trial's folder in it.
        target: the new folder.
        renamed: old → present ids.

    Raises:
        Unreadable: a file is not what the record says.
        OSError: a file cannot be read or written.
    """
    unfinished = temporary(target)
    try:
        remove(unfinished)
        unfinished.mkdir(parents=True)
        content = read_bytes(root, "trials", name, "record.json", limit=JSON_LIMIT)
        (unfinished / "record.json").write_bytes(content)
        files = parse_json(content).get("files", {})
        for companion in files:
            if companion not in COMPANIONS:
                raise Unreadable("names files that are not a record's")
            if _copy(root, ("trials", name, companion), unfinished / companion) != files[companion]:
                raise Unreadable(f"does not fit its {companion}")
        if renamed:
            _rewrite_record(unfinished, renamed)
        for path in (*unfinished.iterdir(), unfinished):
            flush(path)
        replace_folder(unfinished, target)
    except BaseException:
        with suppress(OSError):
            remove(unfinished)
        raise


def _copy(root: Path, names: tuple[str, ...], target: Path) -> str:
    """Copy a file; its SHA-256."""
    found = hashlib.sha256()
    with open_file(root, *names, limit=LIMITS[names[-1]]) as source, target.open("wb") as file:
        while part := source.read(1 << 20):
            found.update(part)
            file.write(part)
    return found.hexdigest()


def _rewrite_record(folder: Path, renamed: Renamed) -> None:
    path = folder / "record.json"
    data = parse_json(path.read_bytes())
    if version_of("record", data) > 1:
        return
    data = upgrade("record", data, path, renamed)
    (folder / "trial.json").write_bytes(_json({"version": VERSIONS["trial"], **data["trial"]}))
    data["files"] = {**data["files"], "trial.json": sha256(folder / "trial.json")}
    path.write_bytes(_json(data))


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()
