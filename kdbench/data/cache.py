"""Decoded data sets on disk, so that images are decompressed once.

Data sets whose files hold pixels as they are (digits, MNIST, CIFAR) need none of this.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kdbench.data.content import fingerprint
from kdbench.data.files import reason, writable
from kdbench.data.types import RawData, Split
from kdbench.paths import user_folder
from kdbench.seeding import digest

STALE = 86_400.0
"""Seconds after which an unfinished file is that of a process that was killed."""
FOLDER = ".kdbench-cache"
VERSION = 1
"""Version of the files' names; increasing it makes every cache build anew."""
DECODING = "2"
"""Version of the decoding, which files say.

An older file is used if it holds what would be decoded now.
"""

log = logging.getLogger(__name__)


def cached(
    root: Path,
    name: str,
    options: Mapping[str, Any],
    sources: Sequence[Path],
    build: Callable[[], RawData],
    renew: Callable[[RawData], RawData | None] = lambda old: None,
) -> RawData:
    """Return what ``build`` returns, from the cache if it is there.

    A damaged cache is rebuilt, and one that cannot be written is not used; both are logged.

    Args:
        root: the data root.
        name: name of the data set.
        options: everything that decides how the files are decoded, as JSON.
        sources: the files that are read, identified by name, size and modification time.
        build: reads and decodes the files.
        renew: receives what an older version decoded, and returns it with what that version did not know
            (notes), or ``None`` if the files are decoded differently now.
    """
    folder = cache_folder(root)
    if folder is None:
        log.warning("the decoded data are not cached: neither the data root nor a home can be written; set KDBENCH_CACHE")
        return build()
    path = folder / f"{name}-{digest([VERSION, name, options, [_state(s, root) for s in sources]])}.safetensors"
    data, decoding = _read(path)
    if data is not None and decoding != DECODING:
        data = renew(data)
        if data is not None:
            _write(path, data)
    if data is None:
        data = build()
        _write(path, data)
    return data


def cache_folder(root: Path) -> Path | None:
    """Choose the folder of the cache.

    It is ``KDBENCH_CACHE`` if set, else a folder in the data root, else (if that is not writable) one in the
    user's cache; ``None`` if the user has no home either.
    """
    if given := os.environ.get("KDBENCH_CACHE"):
        return Path(os.path.expanduser(given))  # which raises nothing without a home
    if writable(root):
        return root / FOLDER
    return user_folder("XDG_CACHE_HOME", "~/.cache")


def _state(source: Path, root: Path) -> tuple[str, int, int]:
    found = source.stat()
    name = source.relative_to(root) if source.is_relative_to(root) else source.resolve()
    return name.as_posix(), found.st_size, found.st_mtime_ns


def _read(path: Path) -> tuple[RawData | None, str]:
    """Read a cache and its version; ``None`` if it is not there or damaged."""
    if not path.exists():
        return None, ""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            present = {key.partition(".")[0] for key in file.keys()}  # noqa: SIM118 (no iterator there)
            train, test, validation = (
                Split(file.get_tensor(f"{s}.inputs").clone(), file.get_tensor(f"{s}.targets").clone())
                if s in present or s != "validation"
                else None
                for s in ("train", "test", "validation")
            )
        assert train is not None
        assert test is not None
        notes, preparation = (json.loads(metadata.get(key, "null")) for key in ("notes", "preparation"))
        names = tuple(json.loads(metadata["class_names"]))
        data = RawData(train, test, names, validation, tuple(notes or ()), dict(preparation or {}))
        if _digest(data) == metadata["digest"]:
            return data, metadata.get("decoding", "")
        log.warning("the cache %s is damaged and will be rebuilt", path)
    except Exception as error:  # whoever gave the data may have given the cache
        log.warning("the cache %s cannot be read and will be rebuilt: %s", path, reason(error))
    return None, ""


def _write(path: Path, data: RawData) -> None:
    tensors = {
        f"{name}.{part}": getattr(split, part).contiguous()
        for name, split in data.splits().items()
        for part in ("inputs", "targets")
    }
    metadata = {
        "class_names": json.dumps(data.class_names),
        "digest": _digest(data),
        "decoding": DECODING,
        "notes": json.dumps(data.notes),
        "preparation": json.dumps(dict(data.preparation)),
    }
    folder = path.with_suffix(f".{uuid.uuid4().hex}.part")  # of its own: safetensors has temporary files
    try:
        folder.mkdir(parents=True)
        _remove_stale(path.parent)
        save_file(tensors, folder / path.name, metadata)
        os.replace(folder / path.name, path)
    except (SafetensorError, OSError) as error:
        log.warning("the decoded data cannot be cached in %s: %s", path.parent, reason(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(folder: Path) -> None:
    """Remove the unfinished files of processes that were killed."""
    for left in (*folder.glob("*.part"), *folder.glob(".tmp??????")):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _digest(data: RawData) -> str:
    return fingerprint(data.splits(), data.class_names)
