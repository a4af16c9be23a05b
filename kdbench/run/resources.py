"""What a job needs opened: plugins, data, the runs folder; and the file that lets several workers share decoded data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kdbench.data.load import load_data
from kdbench.data.types import Split, TaskData
from kdbench.errors import DataError
from kdbench.plugins.manager import Registry, load_registry
from kdbench.results.files import told
from kdbench.results.store import Store
from kdbench.run.job import Job

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Resources:
    """What jobs of one run have in common.

    Args:
        registry: all plugins.
        data: the data, loaded.
        store: where records go.
    """

    registry: Registry
    data: TaskData
    store: Store


def open_resources(job: Job, warn: Callable[[str], None] = lambda message: None) -> Resources:
    """Open what a job names.

    Args:
        job: the job.
        warn: told, in a sentence, of what is not well in the runs folder.

    Raises:
        KdbenchError: a plugin or the data cannot be read, or the data are not those that the job is about.
    """
    registry = load_registry(job.plugins)
    saved = job.data_file
    data = load_saved(saved) if saved is not None else load_data(job.dataset, job.data_root, registry.datasets)
    for trial in job.members:
        if trial.data.fingerprint != data.fingerprint:
            raise DataError(
                f"the data {data.name} in {job.data_root} are not those that the run was planned with:"
                f" their fingerprint is {data.fingerprint} here and {trial.data.fingerprint} there"
            )
    return Resources(registry, data, Store(job.runs, warn=warn))


def save_data(data: TaskData, path: Path) -> None:
    """Write decoded data so that :func:`load_saved` can map them into the memory of several processes.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    tensors: dict[str, Tensor] = {"mean": data.mean, "std": data.std}
    for name in SPLITS:
        split: Split = getattr(data, name)
        tensors.update({f"{name}.inputs": split.inputs.contiguous(), f"{name}.targets": split.targets.contiguous()})
    metadata = {"name": data.name, "class_names": json.dumps(data.class_names), "fingerprint": data.fingerprint}
    with told(path.parent):
        try:
            save_file(tensors, path, metadata)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from error


def load_saved(path: Path) -> TaskData:
    """Data as :func:`save_data` wrote them, mapped into memory rather than read.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            splits = {s: Split(file.get_tensor(f"{s}.inputs"), file.get_tensor(f"{s}.targets")) for s in SPLITS}
            return TaskData(
                name=metadata["name"],
                **splits,
                class_names=tuple(json.loads(metadata["class_names"])),
                fingerprint=metadata["fingerprint"],
                mean=file.get_tensor("mean"),
                std=file.get_tensor("std"),
            )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"the decoded data in {path} cannot be read: {error}") from error
