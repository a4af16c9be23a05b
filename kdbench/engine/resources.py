"""Resources of a job: plugins, data, runs folder, and a file of shared data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kdbench.data.inputs import Inputs, tensors
from kdbench.data.types import Split, TaskData
from kdbench.engine.job import Job
from kdbench.errors import DataError, PluginError
from kdbench.plugins.manager import Registry, load_registry
from kdbench.results.files import disk_errors
from kdbench.results.store import Store
from kdbench.tasks.load import load_data
from kdbench.tasks.task import Task
from kdbench.train.networks import task_of

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Resources:
    """Resources that the jobs of one run share.

    Args:
        registry: all plugins.
        task: the task.
        data: the loaded data.
        store: the store of the records.
        objects: plugins that are objects; an executor has to send them to workers in other processes.
    """

    registry: Registry
    task: Task
    data: TaskData
    store: Store
    objects: tuple[Any, ...] = ()


def open_resources(
    job: Job, warn: Callable[[str], None] = lambda message: None, objects: Sequence[Any] | None = None
) -> Resources:
    """Open the resources that a job names.

    Args:
        job: the job.
        warn: receives warnings about the runs folder, one sentence each.
        objects: the plugins that ``job.objects`` contains, since this function unpickles nothing.

    Raises:
        KdbenchError: a plugin or the data cannot be read, or the data have changed since planning.
    """
    if job.objects and objects is None:
        raise PluginError("the job carries pickled plugins, which only a worker that kdbench started itself may open")
    registry = load_registry(job.plugins, objects=objects or ())
    task, saved = task_of(job.members[0], registry), job.data_file
    data = load_saved(saved) if saved is not None else load_data(job.dataset, job.data_root, registry.datasets, task)
    for trial in job.members:
        if trial.data.fingerprint != data.fingerprint:
            raise DataError(
                f"the data {data.name} in {job.data_root} are not those that the run was planned with:"
                f" their fingerprint is {data.fingerprint} here and {trial.data.fingerprint} there"
            )
    return Resources(registry, task, data, Store(job.runs, warn=warn), tuple(objects or ()))


def save_data(data: TaskData, path: Path) -> None:
    """Write decoded data, for :func:`load_saved` to map into several processes.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    arrays: dict[str, Tensor] = {f"statistics.{name}": values for name, values in data.statistics.items()}
    for name in SPLITS:
        split: Split = getattr(data, name)
        arrays |= {f"{name}.inputs.{key}": t.contiguous() for key, t in tensors(split.inputs).items()}
        arrays[f"{name}.targets"] = split.targets.contiguous()
    metadata = {"name": data.name, "class_names": json.dumps(data.class_names), "fingerprint": data.fingerprint}
    with disk_errors(path.parent):
        try:
            save_file(arrays, path, metadata)
        except SafetensorError as error:
            raise OSError(f"{path}: {error}") from error


def load_saved(path: Path) -> TaskData:
    """Map data that :func:`save_data` wrote into memory, without reading them.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator there)
            splits = {s: Split(_inputs(_part(arrays, f"{s}.inputs.")), arrays[f"{s}.targets"]) for s in SPLITS}
            return TaskData(
                name=metadata["name"],
                **splits,
                class_names=tuple(json.loads(metadata["class_names"])),
                fingerprint=metadata["fingerprint"],
                statistics=_part(arrays, "statistics."),
            )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"the decoded data in {path} cannot be read: {error}") from error


def _part(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _inputs(named: dict[str, Tensor]) -> Inputs:
    """Return inputs; a single tensor has the empty name."""
    return named[""] if list(named) == [""] else named
