"""The files beside a record.

They are the trial, history, predictions, weights, and the source of a method that is not in a package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from safetensors import SafetensorError

from kdbench.errors import StoreError
from kdbench.plan.trial import Trial
from kdbench.results.arrays import check_history, read_arrays, read_table
from kdbench.results.migrations import RENAMED_COLUMNS, VERSIONS
from kdbench.results.reading import LIMITS, MB, Unreadable, open_file, read_bytes

if TYPE_CHECKING:
    from torch import Tensor

MOST_HEADER = 32 * MB
"""Most bytes of the list of tensors in a file of weights."""


def write_companions(
    folder: Path,
    trial: Trial,
    *,
    history: Sequence[Mapping[str, float]],
    predictions: Mapping[str, np.ndarray] | None,
    student: Mapping[str, Tensor] | None,
    source: str | None,
) -> None:
    """Write a record's companions into an empty folder.

    See :meth:`kdbench.results.store.Store.save`.
    """
    content = {"version": VERSIONS["trial"], **trial.model_dump(mode="json")}
    (folder / "trial.json").write_bytes(json.dumps(content, indent=2).encode())
    if history:
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False, lineterminator="\n")
    if predictions is not None:
        if any(array.dtype.hasobject for array in predictions.values()):
            raise TypeError("predictions must be arrays of numbers: objects would have to be pickled")
        np.savez_compressed(folder / "predictions.npz", **predictions)  # type: ignore[arg-type]
    if student is not None:
        import torch
        from safetensors.torch import save

        own = {k: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for k, v in student.items()}
        (folder / "student.safetensors").write_bytes(save(own))
    if source is not None:
        (folder / "method.py").write_bytes(source.encode())


def read_history(root: Path, trial: str, expected: str | None) -> pd.DataFrame:
    """A row an epoch; empty for a trial that was not trained.

    Args:
        root: the runs folder.
        trial: name of the trial's folder.
        expected: SHA-256 of the file; ``None`` where the record names none.

    Raises:
        StoreError: it cannot be read.
    """
    if expected is None:
        return pd.DataFrame()
    with _explained(root, trial, "history"):
        table = check_history(read_table(_whole(root, trial, "history.csv", expected)))
        return table if RENAMED_COLUMNS.keys().isdisjoint(table.columns) else table.rename(columns=RENAMED_COLUMNS)


def read_predictions(root: Path, trial: str, expected: str | None) -> dict[str, np.ndarray]:
    """Arrays of the test set, which are read-only.

    The arguments are those of :func:`read_history`.

    Raises:
        StoreError: they cannot be read.
    """
    with _explained(root, trial, "predictions"):
        return read_arrays(_whole(root, trial, "predictions.npz", expected))


def read_student(root: Path, trial: str, expected: str | None) -> dict[str, Tensor]:
    """State of the deployed network, contiguous, on the CPU.

    The arguments are those of :func:`read_history`.

    Raises:
        StoreError: it cannot be read.
    """
    from safetensors.torch import load_file

    with _explained(root, trial, "weights"):
        names = ("trials", trial, "student.safetensors")
        with open_file(root, *names, limit=LIMITS[names[-1]]) as file:
            if int.from_bytes(file.read(8), "little") > MOST_HEADER:
                raise Unreadable("has a header that is too large")
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                raise Unreadable("is not what it was when it was written")
        return load_file(root.joinpath(*names))


def _whole(root: Path, trial: str, name: str, expected: str | None) -> bytes:
    content = read_bytes(root, "trials", trial, name, limit=LIMITS[name])
    if hashlib.sha256(content).hexdigest() != expected:
        raise Unreadable("is not what it was when it was written")
    return content


@contextmanager
def _explained(root: Path, trial: str, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, Unreadable, SafetensorError) as error:
        why = f"the file {error}" if isinstance(error, Unreadable) else str(error)
        raise StoreError(f"the {what} of trial {trial} in {root} cannot be read: {why}") from error
