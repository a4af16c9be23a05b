"""Resources of a job: plugins, data, runs folder, and a file of shared data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kdbench.data.content import fingerprint
from kdbench.data.inputs import Inputs, map_inputs, tensors
from kdbench.data.types import Split, TaskData
from kdbench.engine.job import Job
from kdbench.errors import DataError, PluginError
from kdbench.plugins.manager import Registry, load_registry
from kdbench.results.files import disk_errors
from kdbench.results.store import Store
from kdbench.tasks.load import load_data
from kdbench.tasks.task import Task
from kdbench.train.networks import task_of
from kdbench.train.shared import Digests

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
    digests: Digests = field(init=False, repr=False, compare=False)
    """Of the data as they were loaded."""
    targets: Digests = field(init=False, repr=False, compare=False)
    """The same of the targets alone, which are quickly compared."""

    def __post_init__(self) -> None:
        """Take the digests."""
        object.__setattr__(self, "digests", Digests(_named(self.data)))
        object.__setattr__(self, "targets", Digests((f"the {n} labels", getattr(self.data, n).targets) for n in SPLITS))

    def restore_data(self, job: Job) -> None:
        """Read the data again, in place of what a plugin changed.

        Raises:
            DataError: what is read now is not what was read first.
        """
        fresh = _read(job, self.registry, self.task)
        # New tensors in the old places: the plugin may still hold the old ones.
        for name in SPLITS:
            split: Split = getattr(fresh, name)
            object.__setattr__(getattr(self.data, name), "inputs", map_inputs(_own, split.inputs))
            object.__setattr__(getattr(self.data, name), "targets", _own(split.targets))
        object.__setattr__(self.data, "statistics", {name: _own(t) for name, t in fresh.statistics.items()})
        splits = {name: getattr(self.data, name) for name in SPLITS}
        if fingerprint(splits, self.data.class_names) != self.data.fingerprint:
            raise DataError(
                f"a plugin changed the data {self.data.name} in memory, and they cannot be read again as they were; run kdbench again"
            )
        self.__post_init__()


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
    task = task_of(job.members[0], registry)
    data = _read(job, registry, task)
    for trial in job.members:
        if trial.data.fingerprint != data.fingerprint:
            raise DataError(
                f"the data {data.name} in {job.data_root} are not those that the run was planned with:"
                f" their fingerprint is {data.fingerprint} here and {trial.data.fingerprint} there"
            )
    return Resources(registry, task, data, Store(job.runs, warn=warn), tuple(objects or ()))


def _read(job: Job, registry: Registry, task: Task) -> TaskData:
    saved = job.data_file
    return load_saved(saved) if saved is not None else load_data(job.dataset, job.data_root, registry.datasets, task)


def _own(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()


def _named(data: TaskData) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the data, with a name for messages."""
    for name in SPLITS:
        split: Split = getattr(data, name)
        yield from ((f"the {name} data", t) for t in tensors(split.inputs).values())
        yield f"the {name} labels", split.targets
    yield from ((f"the data's {name}", t) for name, t in data.statistics.items())


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
    metadata = {
        "name": data.name,
        "class_names": json.dumps(data.class_names),
        "fingerprint": data.fingerprint,
        "preparation": json.dumps(dict(data.preparation)),
    }
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
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
                train=splits["train"],
                validation=splits["validation"],
                test=splits["test"],
                class_names=tuple(json.loads(metadata["class_names"])),
                fingerprint=metadata["fingerprint"],
                statistics=_part(arrays, "statistics."),
                preparation=json.loads(metadata["preparation"]),
            )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"the decoded data in {path} cannot be read: {error}") from error


def _part(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _inputs(named: dict[str, Tensor]) -> Inputs:
    """Return inputs; a single tensor has the empty name."""
    return named[""] if list(named) == [""] else named
