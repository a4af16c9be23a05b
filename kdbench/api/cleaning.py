"""What kdbench leaves on disk besides results, and how to free it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import psutil

from kdbench.data.cache import FOLDER, STALE, cache_folder
from kdbench.paths import user_folder
from kdbench.results.files import remove, tidy
from kdbench.results.store import Store

Kind = Literal["cache", "temporary", "quarantine"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MARK = ".tmp-"
"""Stands before the id of the process that writes a temporary file."""
PREFIX = "kdbench-"
"""Start of the names of folders in the system's temporary folder."""


@dataclass(frozen=True)
class Leftover:
    """Files of one kind in one folder.

    Args:
        kind: ``cache`` (decoded images, which the next run would decode again), ``temporary`` (left by
            processes that were killed), or ``quarantine`` (damaged or replaced records).
        folder: the folder.
        paths: the files and folders in it.
        size: their size in bytes.
    """

    kind: Kind
    folder: Path
    paths: tuple[Path, ...]
    size: int


def leftovers(runs: Path, data_root: Path) -> list[Leftover]:
    """Find what can be freed without losing a result.

    Args:
        runs: a runs folder; it need not exist.
        data_root: the data root.
    """
    found: list[tuple[Kind, Path, Iterable[Path]]] = []
    for folder in _cache_folders(data_root):
        found.append(("cache", folder, folder.glob("*.safetensors")))
        found.append(("temporary", folder, (p for p in folder.glob("*.part") if _is_old(p))))
    found += [("temporary", folder, paths) for folder, paths in _unfinished(runs)]
    found.append(
        ("temporary", Path(tempfile.gettempdir()), _left_by_the_dead(Path(tempfile.gettempdir()), f"{PREFIX}*{MARK}*"))
    )
    if not (runs / "quarantine").is_symlink():
        found.append(("quarantine", runs / "quarantine", (runs / "quarantine").glob("*")))
    listed = ((kind, folder, tuple(sorted(paths))) for kind, folder, paths in found)
    return [Leftover(kind, folder, paths, sum(map(_size, paths))) for kind, folder, paths in listed if paths]


def free(given: Iterable[Leftover], runs: Path) -> None:
    """Remove leftovers, while no run works in the runs folder.

    Raises:
        KdbenchError: a run works there, or the runs folder cannot be written.
    """
    wanted = list(given)
    if any(left.folder.is_relative_to(runs) for left in wanted):
        with Store(runs).lock():
            _free(wanted)
    else:
        _free(wanted)


def free_temporary() -> None:
    """Remove what killed commands of this user left in the system's temporary folder."""
    for path in _left_by_the_dead(Path(tempfile.gettempdir()), f"{PREFIX}*{MARK}*"):
        with suppress(OSError):
            remove(path)


def _free(given: Iterable[Leftover]) -> None:
    for left in given:
        if left.kind == "temporary" and any(".old" in path.name for path in left.paths):
            tidy(left.folder, own=False)  # which restores what was about to be replaced
            continue
        for path in left.paths:
            with suppress(FileNotFoundError):
                remove(path)


def _cache_folders(data_root: Path) -> list[Path]:
    """Return the folders that may hold decoded data."""
    used, own = cache_folder(data_root), user_folder("XDG_CACHE_HOME", "~/.cache")
    folders = dict.fromkeys(f for f in (used, data_root / FOLDER, own) if f is not None)
    return [f for f in folders if f.is_dir() and not f.is_symlink()]


def _unfinished(runs: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the folders of a runs folder that hold files of dead processes."""
    for name, _, _ in os.walk(runs):  # which does not follow links
        if MARK not in name and (paths := list(_left_by_the_dead(Path(name), f"*{MARK}*"))):
            yield Path(name), paths


def _left_by_the_dead(folder: Path, pattern: str) -> Iterator[Path]:
    for path in folder.glob(pattern):
        owner = path.name.rpartition(MARK)[2]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            yield path


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > STALE
    except OSError:
        return False


def _size(path: Path) -> int:
    """Return the size of a file, or of all files in a folder, in bytes."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
