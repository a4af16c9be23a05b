"""Checkpoint files: tensors and plain data, with a digest of both.

A damaged file is never continued.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from kdbench.results.files import remove, temporary
from kdbench.results.migrations import NOTHING_RENAMED, VERSIONS, NewerFormat, Renamed, upgrade, version_of

if TYPE_CHECKING:
    from torch import Tensor

DATA, DIGEST = "kdbench", "kdbench-digest"
"""Keys of the file's metadata.

Later versions must keep both, and how the digest is computed: see :func:`read_checkpoint`.
"""


class CheckpointUnreadable(Exception):
    """A checkpoint that training cannot continue from."""


def write_checkpoint(path: Path, data: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint whole or not at all.

    Args:
        path: the file.
        data: plain data, in the present version.
        tensors: contiguous, on the CPU, none of them sharing memory.

    Raises:
        OSError: the disk is full or the folder cannot be written.
        SafetensorError: likewise.
    """
    from safetensors.torch import save_file

    text = json.dumps({**data, "digested": True})
    folder = temporary(path)  # of its own: safetensors has temporary files, and a killed process leaves them behind
    try:
        remove(folder)
        folder.mkdir(parents=True)
        unfinished = folder / path.name
        save_file(dict(tensors), unfinished, metadata={DATA: text, DIGEST: _digest(text, tensors)})
        if path.is_dir() and not path.is_symlink():
            remove(path)
        os.replace(unfinished, path)
    finally:
        with suppress(OSError):
            remove(folder)


def read_checkpoint(path: Path, renamed: Renamed = NOTHING_RENAMED) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a checkpoint.

    Args:
        path: the file.
        renamed: see :func:`kdbench.results.migrations.renamed_trials`.

    Returns:
        Its plain data in the present version, and its tensors.

    Raises:
        NewerFormat: a newer version of kdbench wrote it, and it is whole.
        CheckpointUnreadable: it is damaged, in whatever way.
    """
    try:
        if not path.is_file():
            raise ValueError("it is not a file")
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator there)
        text = metadata[DATA]
        data = json.loads(text)
        # Versions that kept no digest said nothing about one.
        if (DIGEST in metadata or data.get("digested")) and metadata[DIGEST] != _digest(text, tensors):
            raise ValueError("it is not what it was when it was written")
        return upgrade("checkpoint", data, path, renamed), tensors
    except NewerFormat:
        if DIGEST in metadata:
            raise
        raise CheckpointUnreadable("its version is unknown") from None
    except Exception as error:
        raise CheckpointUnreadable(f"{type(error).__name__}: {error}") from error


def refuse_newer_checkpoint(path: Path) -> None:
    """Raise :class:`NewerFormat` if a newer version wrote a checkpoint.

    A damaged one is ignored.
    """
    with suppress(CheckpointUnreadable):
        if not path.is_file():
            return
        try:
            with safe_open(path, framework="pt") as file:
                found = version_of("checkpoint", json.loads((file.metadata() or {})[DATA]))
        except Exception as error:
            raise CheckpointUnreadable from error
        if found > VERSIONS["checkpoint"]:
            read_checkpoint(path)


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of plain data and of the tensors' names, types, shapes and bytes."""
    import torch

    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
