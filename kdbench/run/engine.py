"""A suite from beginning to end: plan → execute → measure → store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from kdbench.data.load import load_data
from kdbench.data.types import TaskData
from kdbench.errors import KdbenchError, did_you_mean
from kdbench.measure.cost import profile
from kdbench.models.factory import model_names
from kdbench.plan.planner import make_plan
from kdbench.plan.trial import Plan, Trial
from kdbench.plugins.manager import Registry, load_registry
from kdbench.results.record import Profile, Record
from kdbench.results.store import Store
from kdbench.run import provenance
from kdbench.run.estimate import work_per_sample
from kdbench.run.latency import measure_plan
from kdbench.run.session import Session
from kdbench.suite.load import LoadedSuite
from kdbench.suite.resolve import plugin_files, resolve
from kdbench.train.networks import changes_student, initial_student, profile_id, trained_network
from kdbench.train.optim import check_recipe
from kdbench.train.progress import Progress


@dataclass(frozen=True)
class Prepared:
    """A suite that was found to be runnable: everything is known, nothing was trained.

    Args:
        loaded: the suite and where its parts stand in its file.
        registry: all plugins.
        data: the data, loaded.
        plan: what is to be done.
        profiles: id → cost of every network that the plan trains (but those that a method changes).
        plugins: plugin files, the suite's and others.
    """

    loaded: LoadedSuite
    registry: Registry
    data: TaskData
    plan: Plan
    profiles: Mapping[str, Profile]
    plugins: tuple[Path, ...] = ()

    def profile_of(self, trial: Trial) -> Profile | None:
        """Cost of a trial's network, if it is known before training."""
        return self.profiles.get(profile_id(trial, self.data, self.registry))


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Args:
        prepared: the suite.
        records: id → record, of every trial of the plan that has one.
        done_before: ids that were finished before the run began.
        stale: ids of records made by another version of their method's source.
    """

    prepared: Prepared
    records: Mapping[str, Record]
    done_before: tuple[str, ...] = ()
    stale: tuple[str, ...] = field(default=())

    @property
    def failed(self) -> list[Record]:
        """Records of trials that failed."""
        return [r for r in self.records.values() if r.status == "failed"]


def prepare(
    loaded: LoadedSuite,
    data_root: Path,
    *,
    plugins: tuple[Path, ...] = (),
    cohorts: bool = True,
    progress: Progress | None = None,
) -> Prepared:
    """Check everything about a suite that can be checked without training.

    Args:
        loaded: the suite.
        data_root: where data lie, or are downloaded to.
        plugins: plugin files beside those that the suite names.
        cohorts: whether trials train together.
        progress: who watches.

    Raises:
        KdbenchError: anything is wrong with the suite, a plugin, or the data.
    """
    progress = progress or Progress()
    files, places = plugin_files(loaded)
    registry = load_registry([*files, *plugins], places)
    loaded = resolve(loaded, registry, lambda: model_names(registry.models))
    progress.preparing(f"reading {loaded.suite.dataset.label or loaded.suite.dataset.name}")
    data = load_data(loaded.suite.dataset, data_root, registry.datasets)
    plan = make_plan(loaded.suite, registry, data.fingerprint, cohorts=cohorts, folder=loaded.folder)
    for recipe in {t.recipe.model_dump_json(): t.recipe for t in plan.trials.values()}.values():
        check_recipe(recipe)
    progress.preparing("counting parameters and MACs")
    return Prepared(loaded, registry, data, plan, _profiles(loaded, plan, data, registry), (*files, *plugins))


def run_suite(
    prepared: Prepared,
    store: Store,
    *,
    device: torch.device,
    fresh: bool = False,
    executor: str = "local",
    progress: Progress | None = None,
    command: str = "",
) -> Summary:
    """Train every trial that has no finished record.

    Args:
        prepared: the suite.
        store: where records are and go; locked while the run lasts.
        device: where networks train.
        fresh: whether to forget the suite's finished records first.
        executor: name of the executor.
        progress: who watches.
        command: the command line, for provenance.

    Raises:
        KdbenchError: the runs folder cannot be written, or another run works in it.
        KeyboardInterrupt: as it came; what is finished is stored.
    """
    progress = progress or Progress()
    plan, registry = prepared.plan, prepared.registry
    run_cohort = registry.find("executor", registry.executors, executor)
    store.open()
    with store.lock():
        if fresh:
            for trial_id in plan.trials:
                store.discard(trial_id)
        store.save_plan(plan)
        for known in prepared.profiles.values():
            store.save_profile(known)
        done = tuple(i for i, r in store.records(plan.trials).items() if r.status == "finished")
        for trial_id in done:  # killed between a record and the removal of its checkpoint
            store.checkpoint_path(trial_id).unlink(missing_ok=True)
        work = work_per_sample(plan, prepared.profile_of)
        session = Session(plan, prepared.data, store, registry, device, progress, work, command, provenance.now())
        ahead = sum(_samples(t, prepared.data) * work[i] for i, t in plan.trials.items() if i not in done)
        progress.suite_started(plan, done, ahead)
        names = plan.names()
        try:
            for number, cohort in enumerate(plan.cohorts, 1):
                if set(cohort.trials) <= set(done):
                    continue
                labels = [names[t] for t in cohort.trials if t not in done]
                epochs = plan.trials[cohort.trials[0]].recipe.epochs
                progress.cohort_started(number, len(plan.cohorts), cohort, labels, epochs)
                run_cohort(session, cohort)
            _profile_changed_students(prepared, store)
            measure_plan(prepared, store, progress, again=fresh)
        finally:
            progress.suite_finished()
        records = store.records(plan.trials)
        session.event("kdbench_suite_finished", plan=plan, records=records)
    return Summary(prepared, records, done, _stale(records, registry))


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one.

    Raises:
        KdbenchError: there is no such device on this machine.
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
        key = profile_id(trial, data, registry)
        if key not in found and not changes_student(registry.methods[trial.method]):
            network = initial_student(trial, data, registry)
            found[key] = profile(
                network,
                name=trial.model.model,
                input_shape=data.input_shape,
                num_classes=data.num_classes,
                id=key,
                batch_size=loaded.suite.measure.batch_size,
            )
    return found


def _profile_changed_students(prepared: Prepared, store: Store) -> None:
    """Networks that a method deploys in another shape are known only when they are trained."""
    plan, data, registry = prepared.plan, prepared.data, prepared.registry
    for trial in plan.trials.values():
        record = store.record(trial.id) if changes_student(registry.methods[trial.method]) else None
        if record is not None and record.status == "finished" and store.profile(record.profile) is None:
            network = trained_network(trial, plan.trials, data, registry, store.student(trial.id))
            store.save_profile(
                profile(
                    network,
                    name=f"{trial.model.model} ({trial.method})",
                    input_shape=data.input_shape,
                    num_classes=data.num_classes,
                    id=record.profile,
                    batch_size=prepared.loaded.suite.measure.batch_size,
                )
            )


def _samples(trial: Trial, data: TaskData) -> int:
    size = len(data.train)
    batch = trial.recipe.batch_size
    return trial.recipe.epochs * (size // batch * batch if trial.recipe.drop_last else size)


def _stale(records: Mapping[str, Record], registry: Registry) -> tuple[str, ...]:
    digests = {name: cls.source_digest() for name, cls in registry.methods.items()}
    return tuple(
        i for i, r in records.items() if r.status == "finished" and r.provenance.method_digest != digests.get(r.trial.method)
    )
