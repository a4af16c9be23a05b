"""The files beside a record.

They are the trial, history, predictions, weights, and the source of a method that is not in a package.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from kdbench.errors import StoreError
from kdbench.plan.trial import Trial
from kdbench.results.migrations import RENAMED_COLUMNS, VERSIONS


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
        own = {k: v.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for k, v in student.items()}
        (folder / "student.safetensors").write_bytes(safetensors_bytes(own))
    if source is not None:
        (folder / "method.py").write_bytes(source.encode())


def read_history(folder: Path) -> pd.DataFrame:
    """Return one row per epoch; empty for a trial that was not trained.

    Raises:
        StoreError: it cannot be read.
    """
    path = folder / "history.csv"
    try:
        # The Python engine reads every float exactly; the default engine of older releases is sometimes off
        # by the last bit.
        return pd.read_csv(path, engine="python").rename(columns=RENAMED_COLUMNS) if path.exists() else pd.DataFrame()
    except (OSError, ValueError) as error:  # pandas' errors are ValueErrors
        raise StoreError(f"the history of trial {folder.name} in {folder.parents[1]} cannot be read: {error}") from error


def read_predictions(folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the test set.

    Raises:
        StoreError: they cannot be read.
    """
    try:
        with np.load(folder / "predictions.npz", allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(f"the predictions of trial {folder.name} in {folder.parents[1]} cannot be read: {error}") from error


def read_student(folder: Path) -> dict[str, Tensor]:
    """Return the state of the deployed network, contiguous, on the CPU.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        return load_file(folder / "student.safetensors")
    except (OSError, SafetensorError) as error:
        raise StoreError(f"the weights of trial {folder.name} in {folder.parents[1]} cannot be read: {error}") from error
