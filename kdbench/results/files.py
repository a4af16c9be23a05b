"""Atomic writing of files and folders, and disk errors explained in one sentence."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from kdbench.errors import StoreError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""


@contextmanager
def disk_errors(root: Path, doing: str = "written") -> Iterator[None]:
    """Turn disk errors into a :class:`StoreError` of one sentence.

    Args:
        root: the runs folder, which the sentence names.
        doing: what cannot be done with the folder: ``written`` or ``read``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StoreError(
                f"no space left on the disk of {root}; free some and run the same command again: nothing finished is lost"
            ) from error
        what = f"{error.filename}: " if error.filename and Path(str(error.filename)) != root else ""
        raise StoreError(f"the runs folder {root} cannot be {doing}: {what}{error.strerror or error}") from error


def temporary(path: Path) -> Path:
    """Return the temporary name under which a file or folder is first written."""
    return path.with_name(f"{path.name}.tmp-{os.getpid()}")


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file atomically, so that it is never incomplete.

    Args:
        path: the file.
        content: what it holds.
        durable: whether it is to outlive a loss of power, too, and not only this process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = temporary(path)
    try:
        unfinished.unlink(missing_ok=True)  # whatever has this name, a link perhaps, is not ours to write to
        unfinished.write_bytes(content)
        if path.exists():
            shutil.copymode(path, unfinished)
        if durable:
            flush(unfinished)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    if durable:
        flush(path.parent)


def replace_folder(new: Path, target: Path) -> None:
    """Replace a folder by another; the old one need not exist.

    If the process is killed halfway, :func:`tidy` restores the old folder.
    """
    if not target.exists():
        os.replace(new, target)
    else:
        old = target.with_name(f"{target.name}.old.tmp-{os.getpid()}")
        remove(old)
        os.replace(target, old)
        try:
            os.replace(new, target)
        except BaseException:
            os.replace(old, target)
            raise
        remove(old)
    flush(target.parent)


def tidy(folder: Path, *, own: bool = True) -> None:
    """Remove temporary files and folders left behind by dead processes.

    A folder that was moved aside but not replaced is restored.

    Args:
        folder: the folder to tidy.
        own: whether temporary files with this process's id may be removed too. True if this process is not
            writing there now: then they come from a dead process that had the same id.
    """
    for left in sorted(folder.glob("*.tmp-*")):
        name, _, owner = left.name.rpartition(".tmp-")
        if owner.isdigit() and not (own and int(owner) == os.getpid()) and psutil.pid_exists(int(owner)):
            continue
        target = left.with_name(name.removesuffix(".old"))
        if name.endswith(".old") and not target.exists():
            os.replace(left, target)
        else:
            remove(left)


def tidy_safetensors(folder: Path) -> None:
    """Remove the temporary files of safetensors whose process was killed.

    Nobody may be writing there.
    This version of kdbench has them in folders that :func:`tidy` knows.
    """
    for left in folder.glob(".tmp??????"):
        remove(left)


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot flush folders
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # the file system does not support it
            raise
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
