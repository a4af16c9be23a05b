"""Preparation: checks everything about a suite before anything trains."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdbench.data.types import TaskData
from kdbench.engine.executors import cores
from kdbench.engine.preflight import check_choices, check_classes, check_last_batches, check_logits
from kdbench.engine.progress import Progress
from kdbench.errors import KdbenchError, cut, did_you_mean, located
from kdbench.measure.cost import profile
from kdbench.method import Sampler
from kdbench.method.guard import Guard
from kdbench.models.factory import model_names
from kdbench.models.limits import check_spec
from kdbench.models.pretrained import untrained_part
from kdbench.plan.planner import make_plan
from kdbench.plan.trial import Plan, Trial
from kdbench.plugins.manager import Registry, load_registry
from kdbench.results.record import Profile, Record
from kdbench.results.store import Store
from kdbench.suite.load import LoadedSuite
from kdbench.suite.origins import Origins, written_networks
from kdbench.suite.resolve import plugin_files, resolve
from kdbench.suite.schema import DatasetSpec, Recipe
from kdbench.tasks.interface import Interface
from kdbench.tasks.load import load_data
from kdbench.tasks.stream import StreamSettings
from kdbench.tasks.task import Task
from kdbench.train.networks import changes_student, initial_student, interface_of, profile_id
from kdbench.train.optim import check_recipe

TOO_SMALL = ("cannot be run on an input of shape", "in its forward pass in evaluation")
"""Parts of the errors about inputs that a network does not take."""


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
        cohorts: whether trials train together.
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
    cohorts: bool = True
    profile_ids: Mapping[str, str] = field(default_factory=dict, repr=False)
    _interfaces: dict[str, Interface] = field(default_factory=dict, repr=False, compare=False)

    def interface_of(self, trial: Trial) -> Interface:
        """Return the interface of a trial's network."""
        key = f"{trial.task} {trial.preprocessing!r}"
        if key not in self._interfaces:
            self._interfaces[key] = interface_of(trial, self.data, self.registry)
        return self._interfaces[key]

    def profile_id_of(self, trial: Trial) -> str:
        """Return the id of the profile of a trial's network."""
        return self.profile_ids.get(trial.id) or profile_id(trial, self.interface_of(trial), self.registry)

    def profile_of(self, trial: Trial) -> Profile | None:
        """Return the cost of a trial's network, if it is known before training."""
        return self.profiles.get(self.profile_id_of(trial))


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
    for name in registry.provides_nothing():
        progress.warn(
            f"{name} provides nothing: it has no Method, Dataset or Task class of its own, and no function marked by kdbench.hookimpl"
        )
    for file in plugins:
        if unused := _unused_methods(file, registry, loaded):
            names = ", ".join(f'"{name}"' for name in unused)
            progress.note(f"{file} provides {names}, which this suite does not run: --add {unused[0]} runs it, too")
    loaded = resolve(loaded, registry, lambda: model_names(registry.models))
    origins = Origins(loaded)
    for path, network in written_networks(loaded):
        with located(loaded.locations.of(*path)):
            check_spec(network, factories=registry.models)
    progress.preparing(f"reading {loaded.suite.dataset.label or loaded.suite.dataset.name}")
    with Guard().calling(f'task "{loaded.suite.task}"', "__init__"):
        task: Task = registry.tasks[loaded.suite.task]()
    with located(loaded.locations.of("dataset")):
        data = load_data(loaded.suite.dataset, data_root, registry.datasets, task)
        check_classes(data)
    for note in data.notes:
        progress.note(f"data: {note}")
    with located(loaded.locations.of("networks")):
        plan = make_plan(loaded.suite, registry, data.fingerprint, cohorts=cohorts, folder=loaded.folder)
    check_choices(loaded, data)
    _check_training(plan, task, data, origins)
    _check_teachers(plan, data, registry, origins)
    progress.preparing("counting parameters and MACs" if loaded.suite.measure.cost else "checking networks")
    profiles, ids = _profiles(loaded, plan, task, data, registry, origins)
    check_last_batches(plan, task, data, registry, origins)
    return Prepared(loaded, registry, task, data, data_root, plan, profiles, (*files, *plugins), objects, cohorts, ids)


def planned_again(prepared: Prepared, store: Store) -> Prepared:
    """Plan again with what the store knows, which decides what tuning asks for next.

    Args:
        prepared: the suite; its plan may be of any stage.
        store: the records.
    """
    if prepared.plan.tuning is None:
        return prepared
    primary = prepared.plan.task.primary
    while True:
        records = store.records(prepared.plan.trials)
        scores = {i: _score(record, primary) for i, record in records.items()}
        plan = make_plan(
            prepared.loaded.suite,
            prepared.registry,
            prepared.data.fingerprint,
            cohorts=prepared.cohorts,
            folder=prepared.loaded.folder,
            scores=scores,
        )
        if plan == prepared.plan:
            return prepared
        prepared = replace(prepared, plan=plan)


def _score(record: Record, metric: str) -> float:
    """Return a trial's metric on the validation set; NaN if it failed."""
    found: Mapping[str, float] = record.metrics.get("validation") or {}
    return found.get(metric, math.nan)


def _unused_methods(file: Path, registry: Registry, loaded: LoadedSuite) -> list[str]:
    """Return the methods of a plugin file if the suite uses none of them."""
    suite = loaded.suite
    used = {entry.method for entry in suite.methods} | {network.method for _, network in written_networks(loaded)}
    names = registry.methods_in(file)
    return [] if used.intersection(names) else names


def choose_device(name: str) -> torch.device:
    """Return the device of a given name; ``auto`` is CUDA if it is available.

    Raises:
        KdbenchError: this machine does not have the device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        hint = did_you_mean(name, ["auto", "cpu", "cuda"]) or "; use auto, cpu, cuda or cuda:1"
        raise KdbenchError(f'unknown device "{cut(name)}"{hint}') from error
    try:
        torch.zeros(1, device=device)
    except Exception as error:
        count = torch.cuda.device_count() if device.type == "cuda" else 0
        there = f"; this machine has cuda:0{f' to cuda:{count - 1}' if count > 1 else ''}" if count else "; use cpu or auto"
        raise KdbenchError(f'this machine has no device "{name}"{there}') from error
    return device


def _check_training(plan: Plan, task: Task, data: TaskData, origins: Origins) -> None:
    """Try every optimizer, schedule and stream of batches of a plan."""
    tried: set[tuple[int, str]] = set()  # by identity: the trials of a plan share their recipes
    for cohort in plan.cohorts:
        for recipe in (plan.trials[i].recipe for i in cohort.trials):
            if (id(recipe), cohort.sampler) in tried:
                continue
            tried.add((id(recipe), cohort.sampler))
            with located(origins.of_recipe(recipe)):
                _check_recipe(recipe)
                if recipe.epochs:
                    task.check_stream(data, _stream_settings(recipe, cohort.sampler))


def _check_teachers(plan: Plan, data: TaskData, registry: Registry, origins: Origins) -> None:
    """Check that no network teaches that has random weights and is not trained."""
    teaching = {t for trial in plan.trials.values() for t in trial.teachers}
    untrained: dict[int, str] = {}  # by identity: the trials of a plan share their models
    for trial in (plan.trials[t] for t in plan.trials if t in teaching and not plan.trials[t].recipe.epochs):
        model = trial.model
        with located(origins.of_model(model)):
            if id(model) not in untrained:
                untrained[id(model)] = untrained_part(model, data.num_classes, registry.models)
            if part := untrained[id(model)]:
                raise KdbenchError(
                    f'the network "{cut(model.model)}" would teach with {part}, for its recipe says epochs: 0: '
                    "give it epochs of its own, or weights: a file of a network that was trained on these data"
                )


def _check_recipe(recipe: Recipe) -> None:
    try:
        check_recipe(recipe)
    except KdbenchError:
        raise
    except Exception as error:  # timm checks little of what it is given
        said = f"{type(error).__name__}: {cut(str(error))}"
        raise KdbenchError(f"timm cannot make this optimizer and schedule with their arguments ({said})") from error


def _stream_settings(recipe: Recipe, sampler: Sampler) -> StreamSettings:
    return StreamSettings(
        batch_size=recipe.batch_size,
        drop_last=recipe.drop_last,
        augmentation=recipe.augmentation,
        sampler=sampler,
        seed=0,
        device=torch.device("cpu"),
        channels_last=recipe.channels_last,
    )


def _profiles(
    loaded: LoadedSuite, plan: Plan, task: Task, data: TaskData, registry: Registry, origins: Origins
) -> tuple[dict[str, Profile], dict[str, str]]:
    """Check every network, and measure what it costs if the suite asks for it.

    Returns:
        The profiles by id, and the ids of the profiles by trial.
    """
    found: dict[str, Profile] = {}
    ids: dict[str, str] = {}
    measure = loaded.suite.measure
    made: set[str] = set()
    known: dict[tuple[int, str, str], str] = {}  # by identity: the trials of a plan share their models
    for trial in plan.trials.values():
        changes = changes_student(registry.methods[trial.method])
        alike = (id(trial.model), repr(trial.preprocessing), f"{trial.method} {trial.params!r}" if changes else "")
        if alike not in known:
            with located(origins.of_model(trial.model)):
                interface = interface_of(trial, data, registry)
                known[alike] = profile_id(trial, interface, registry)
                if known[alike] not in made and not changes:
                    made.add(known[alike])
                    with _enlarging(loaded.suite.dataset, registry):
                        network = initial_student(trial, interface, registry)
                        check_logits(network, trial, task, data)
                        if measure.cost:
                            found[known[alike]] = _profile(network, trial, interface, known[alike], measure.batch_size)
        ids[trial.id] = known[alike]
    return found, ids


@contextmanager
def _enlarging(dataset: DatasetSpec, registry: Registry) -> Iterator[None]:
    """Add to an error about inputs that the data set can make them larger, if it can."""
    try:
        yield
    except KdbenchError as error:
        options = registry.datasets[dataset.name].Options.model_fields
        if not any(part in error.message for part in TOO_SMALL) or "size" not in options:
            raise
        hint = f"; if they are too small for it: dataset: {{name: {dataset.name}, options: {{size: 64, …}}}}"
        raise KdbenchError(f"{error.message}{hint}") from error


def _profile(network: nn.Module, trial: Trial, interface: Interface, key: str, batch_size: int) -> Profile:
    """Measure what one network costs."""
    label = f'model "{trial.model.model}"'
    try:
        with Guard().calling(label, "the measurement of its cost"):
            return profile(network, name=trial.model.model, interface=interface, id=key, batch_size=batch_size)
    except KdbenchError as error:
        raise error if label in error.message else KdbenchError(f"{label}: {error.message}") from error
