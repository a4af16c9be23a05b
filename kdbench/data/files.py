"""Finding data files."""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kdbench.errors import DataError, Location, cut, did_you_mean


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


HIDDEN = frozenset(
    {"@eadir", "__macosx", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "desktop.ini"}
)
"""Files and folders that systems leave behind, in lower case.

Names that begin with a dot are hidden, too.
"""


def hidden(name: str) -> bool:
    """Whether a file or folder is one that a system or a tool keeps for itself."""
    return name.startswith(".") or name.lower() in HIDDEN


@dataclass(frozen=True)
class Found:
    """The files in a folder, at any depth, and what was left out.

    Args:
        files: files that were wanted, sorted.
        hidden_files: number of hidden files.
        hidden_folders: hidden folders by name; their content is not counted.
        others: files that were not wanted, by suffix.
        linked: number of linked folders that were followed.
    """

    files: list[Path] = field(default_factory=list)
    hidden_files: int = 0
    hidden_folders: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    linked: int = 0

    def __add__(self, other: Found) -> Found:
        return Found(
            self.files + other.files,
            self.hidden_files + other.hidden_files,
            self.hidden_folders + other.hidden_folders,
            self.others + other.others,
            self.linked + other.linked,
        )

    def notes(self, what: str) -> list[str]:
        """Say what was left out, and which links were followed.

        Args:
            what: what was looked for, in the plural.
        """
        parts = []
        if self.hidden_files:
            parts.append(counted(self.hidden_files, "hidden file"))
        if self.hidden_folders:
            parts.append(f"{counted(self.hidden_folders.total(), 'folder')} ({cut(', '.join(sorted(self.hidden_folders)))})")
        if self.others:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in self.others.most_common(5))
            more = ", …" if len(self.others) > 5 else ""
            parts.append(f"{counted(self.others.total(), 'file')} not taken for {what} ({kinds}{more})")
        notes = [f"left out: {', '.join(parts)}"] if parts else []
        return notes + ([f"{counted(self.linked, 'linked folder')} followed"] if self.linked else [])


def walk(folder: Path, wanted: Callable[[str], bool], most: int | None = None) -> Found:
    """Find files in a folder, at any depth.

    Links are followed; each folder is visited once.

    Args:
        folder: the folder.
        wanted: whether a file of this name is wanted.
        most: largest number of files and folders; any number by default.

    Raises:
        DataError: a folder cannot be read, or there are more files than ``most``.
    """
    files: list[Path] = []
    hidden_files = linked = entries = 0
    hidden_folders, others = Counter[str](), Counter[str]()
    visited: set[tuple[int, int]] = set()
    waiting = deque([folder])
    try:
        while waiting:
            at = waiting.pop()
            state = at.stat()
            if (state.st_dev, state.st_ino) in visited:
                continue
            visited.add((state.st_dev, state.st_ino))
            for entry in sorted(os.scandir(at), key=lambda e: e.name):
                entries += 1
                if most is not None and entries > most:
                    raise DataError(
                        f"holds more than {most:,} files: name a folder that holds the data and little else", Location(folder)
                    )
                if hidden(entry.name):
                    if entry.is_dir():
                        hidden_folders[entry.name] += 1
                    else:
                        hidden_files += 1
                elif entry.is_dir():
                    linked += entry.is_symlink()
                    # Links come last, so that a folder that is also linked to is found under its own name.
                    (waiting.appendleft if entry.is_symlink() else waiting.append)(at / entry.name)
                elif wanted(entry.name) and entry.is_file():
                    files.append(at / entry.name)
                else:
                    others[Path(entry.name).suffix.lower() or "without a suffix"] += 1
    except OSError as error:
        raise DataError(f"cannot be searched ({reason(error)}): mend or remove it", Location(folder)) from error
    return Found(sorted(files), hidden_files, hidden_folders, others, linked)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: ``1 file``, ``1,200 files``."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
