"""Preparation: checks everything about a suite before anything trains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdbench.data.types import TaskData
from kdbench.engine.executors import cores
from kdbench.engine.progress import Progress
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.measure.cost import profile
from kdbench.models.factory import model_names
from kdbench.plan.planner import make_plan
from kdbench.plan.trial import Plan, Trial
from kdbench.plugins.manager import Registry, load_registry
from kdbench.results.record import Profile
from kdbench.results.store import Store
from kdbench.suite.load import LoadedSuite
from kdbench.suite.resolve import plugin_files, resolve
from kdbench.tasks.interface import Interface
from kdbench.tasks.load import load_data
from kdbench.tasks.task import Task
from kdbench.train.networks import changes_student, initial_student, interface_of, profile_id
from kdbench.train.optim import check_recipe


@dataclass(frozen=True)
class Prepared:
    """A suite that was checked and can be run; nothing has been trained.

    Args:
        loaded: the suite, with the locations of its parts in its file.
        registry: all plugins.
        task: the task.
        data: the loaded data.
        data_root: the data root.
        plan: the plan.
        profiles: cost of every network that the plan trains, by id, except those that a method changes; empty
            without ``measure.cost``.
        plugins: plugin files, the suite's and others.
        objects: plugins that are objects.
    """

    loaded: LoadedSuite
    registry: Registry
    task: Task
    data: TaskData
    data_root: Path
    plan: Plan
    profiles: Mapping[str, Profile]
    plugins: tuple[Path, ...] = ()
    objects: tuple[Any, ...] = ()

    def interface_of(self, trial: Trial) -> Interface:
        """Return the interface of a trial's network."""
        return interface_of(trial, self.data, self.registry)

    def profile_of(self, trial: Trial) -> Profile | None:
        """Return the cost of a trial's network, if it is known before training."""
        return self.profiles.get(profile_id(trial, self.interface_of(trial), self.registry))


def suitable_jobs(prepared: Prepared, store: Store, device: torch.device) -> int:
    """Choose how many jobs run at the same time on this machine."""
    plan = prepared.plan
    level: dict[str, int] = {}  # of unfinished trials: those of one level can train at the same time
    for i, trial in plan.trials.items():  # teachers come first
        record = store.record(i)
        if record is None or record.status != "finished":
            level[i] = 1 + max((level[t] for t in trial.teachers if t in level), default=-1)
    width = max(Counter(level.values()).values(), default=1)
    gpus = 0 if device.type != "cuda" else 1 if device.index is not None else torch.cuda.device_count()
    return cores.suitable_jobs(width, gpus)


def prepare(
    loaded: LoadedSuite,
    data_root: Path,
    *,
    plugins: tuple[Path, ...] = (),
    objects: tuple[Any, ...] = (),
    cohorts: bool = True,
    progress: Progress | None = None,
) -> Prepared:
    """Check everything about a suite that can be checked without training.

    Args:
        loaded: the suite.
        data_root: folder that data are in, or are downloaded to.
        plugins: plugin files in addition to those that the suite names.
        objects: plugins that are objects: classes, model factories, objects with hooks.
        cohorts: whether trials train together.
        progress: the display.

    Raises:
        KdbenchError: anything is wrong with the suite, a plugin, or the data.
    """
    progress = progress or Progress()
    files, locations = plugin_files(loaded)
    registry = load_registry([*files, *plugins], locations, objects)
    registry.check()
    loaded = resolve(loaded, registry, lambda: model_names(registry.models))
    progress.preparing(f"reading {loaded.suite.dataset.label or loaded.suite.dataset.name}")
    task = registry.tasks[loaded.suite.task]()
    data = load_data(loaded.suite.dataset, data_root, registry.datasets, task)
    plan = make_plan(loaded.suite, registry, data.fingerprint, cohorts=cohorts, folder=loaded.folder)
    for recipe in {t.recipe.model_dump_json(): t.recipe for t in plan.trials.values()}.values():
        check_recipe(recipe)
    profiles = {}
    if loaded.suite.measure.cost:
        progress.preparing("counting parameters and MACs")
        profiles = _profiles(loaded, plan, data, registry)
    return Prepared(loaded, registry, task, data, data_root, plan, profiles, (*files, *plugins), objects)


def choose_device(name: str) -> torch.device:
    """Return the device of a given name; ``auto`` is CUDA if it is available.

    Raises:
        KdbenchError: this machine does not have the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except Exception as error:
        known = ["auto", "cpu", "cuda"]
        hint = did_you_mean(name, known) or "; use auto, cpu or cuda"
        raise KdbenchError(f'device "{name}" is not there on this machine{hint}') from error
    return device


def _profiles(loaded: LoadedSuite, plan: Plan, data: TaskData, registry: Registry) -> dict[str, Profile]:
    found: dict[str, Profile] = {}
    for trial in plan.trials.values():
        interface = interface_of(trial, data, registry)
        key = profile_id(trial, interface, registry)
        if key not in found and not changes_student(registry.methods[trial.method]):
            network = initial_student(trial, interface, registry)
            found[key] = profile(
                network,
                name=trial.model.model,
                interface=interface,
                id=key,
                batch_size=loaded.suite.measure.batch_size,
            )
    return found
