"""Finding data files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kdbench.errors import DataError, cut, did_you_mean


def find(path: Path, root: Path, what: str) -> Path:
    """Find a file or folder in the data root, or else in the current folder.

    Args:
        path: absolute or relative.
        root: the data root.
        what: what it is, for the message.

    Raises:
        DataError: it is in neither.
    """
    path = Path(os.path.expanduser(path))  # which raises nothing for an unknown user
    for candidate in (root / path, path):
        if os.path.exists(candidate):  # which raises nothing where a name is too long
            return candidate
    if path.is_absolute():
        where, folder = "", path.parent
    else:
        where, folder = f" in the data root {root}, nor in the current folder", (root / path).parent
    near = did_you_mean(path.name, (p.name for p in folder.iterdir())) if os.path.isdir(folder) else ""
    raise DataError(
        f"{what} {cut(str(path))} does not exist{where}{near or '; check the path, or name the data root with --data-root'}"
    )


def writable(folder: Path) -> bool:
    """Whether files can be created in a folder, or the folder itself created.

    A folder without any write permission counts as read-only even for the superuser, who could write to it.
    """
    while not folder.exists():
        if folder == folder.parent:
            return False
        folder = folder.parent
    marked = folder.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    return folder.is_dir() and bool(marked) and os.access(folder, os.W_OK | os.X_OK)


def reason(error: BaseException) -> str:
    """Summarize an error on one line: the last line of its text, or its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
