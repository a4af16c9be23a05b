"""The planner: expands a suite into trials and cohorts.

It expands grids, seeds, teachers, generations and assistants. It is fast and has no side effects.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdbench.errors import SuiteError, cut
from kdbench.method import Needs, create
from kdbench.method.guard import Guard
from kdbench.paths import real_path
from kdbench.plan import identity
from kdbench.plan.trial import Cohort, DataKey, Entry, Plan, Role, Trial
from kdbench.plugins.manager import Registry
from kdbench.seeding import canonical_json, digest
from kdbench.suite.load import BASELINE
from kdbench.suite.resolve import entries_by_pair, entry_name, network_of, pair_name, teachers_of
from kdbench.suite.schema import MethodEntry, ModelSpec, Network, Pair, Recipe, Suite


def make_plan(
    suite: Suite,
    registry: Registry,
    fingerprint: str,
    *,
    cohorts: bool = True,
    max_members: int = 32,
    folder: Path | None = None,
) -> Plan:
    """Expand a suite into everything that it requests, in an order that can be run.

    Args:
        suite: a suite that :func:`kdbench.suite.resolve.resolve` has checked.
        registry: all plugins, which include the suite's methods.
        fingerprint: digest of the content of the data.
        cohorts: whether trials train together; otherwise each has its own cohort.
        max_members: largest number of trials in a cohort.
        folder: folder that paths of weights are relative to.
    """
    with Guard().calling(f'task "{suite.task}"', "__init__"):
        task = registry.find("task", registry.tasks, suite.task)()
    key = DataKey(spec=suite.dataset.model_copy(update={"options": {}}), fingerprint=fingerprint)
    builder = _Builder(suite, registry, task, key, folder)
    entries = entries_by_pair(suite)
    for pair in suite.pairs:
        for seed in suite.seeds:
            builder.pair(pair, entries[pair_name(pair)], seed)
    groups = group(builder.trials, registry, max_members) if cohorts else _singles(builder.trials, registry)
    return Plan(
        suite=suite.name,
        title=suite.title,
        report=suite.report,
        description=suite.description,
        task=task.info(),
        trials=builder.trials,
        entries=tuple({e.model_dump_json(): e for e in builder.entries}.values()),
        cohorts=groups,
    )


def needs_of(method: str, params: Mapping[str, Any], registry: Registry) -> Needs:
    """Return what a method with these parameters reads."""
    return create.needs_of(create.new_method(registry.methods[method], params))


@dataclass(frozen=True)
class _Student:
    """What all trials of a network share, in the form that trials hold."""

    spec: ModelSpec
    weights_digest: str | None
    preprocessing: dict[str, Any] | None
    recipe: Recipe


@dataclass
class _Builder:
    suite: Suite
    registry: Registry
    task: Any
    data: DataKey
    folder: Path | None
    trials: dict[str, Trial] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    _references: dict[str, Network] = field(default_factory=dict)
    _students: dict[int, _Student] = field(default_factory=dict)  # by the id of a network, which the suite keeps
    _methods: dict[str, tuple[dict[str, Any], Needs]] = field(default_factory=dict)
    _taught: dict[tuple[str, int], Trial] = field(default_factory=dict)
    _known: identity.Known = field(default_factory=dict)

    def pair(self, pair: Pair, entries: Sequence[MethodEntry], seed: int) -> None:
        """Add all rows of one pair and one seed."""
        student = self.reference(pair.student)
        teachers: list[Trial] = []
        for reference in teachers_of(pair):
            trial = self.network(self.reference(reference), seed)
            teachers.append(trial)
            label = reference if isinstance(reference, str) else reference.model
            self.row(pair, label, trial, "teacher")
        for entry in entries:
            for point in _points(entry.grid):
                self.entry(pair, student, teachers, entry, point, seed)

    def entry(
        self, pair: Pair, student: Network, teachers: list[Trial], entry: MethodEntry, point: dict[str, Any], seed: int
    ) -> None:
        """Add the rows of one method entry at one grid point."""
        params = {**entry.params, **point}
        label = entry_name(entry)
        if entry.generations:
            teacher = self.trial(student, BASELINE, {}, [], seed)
            for number in range(1, entry.generations + 1):
                trial = self.trial(student, entry.method, params, [teacher], seed)
                last = number == entry.generations
                name = label if last else f"{label} (generation {number})"
                self.row(pair, name, trial, "student" if last else "generation", point)
                teacher = trial
            return
        for assistant in entry.assistants:
            network = self.reference(assistant)
            assisted = self.trial(network, entry.method, params, teachers, seed if network.seed == "same" else network.seed)
            name = assistant if isinstance(assistant, str) else assistant.model
            self.row(pair, f"{label}: {name}", assisted, "assistant", point)
            teachers = [assisted]
        self.row(pair, label, self.trial(student, entry.method, params, teachers, seed), "student", point)

    def reference(self, reference: str | Network) -> Network:
        """Return the network that a reference means, always the same object."""
        if isinstance(reference, Network):
            return reference
        if reference not in self._references:
            self._references[reference] = network_of(self.suite, reference)
        return self._references[reference]

    def network(self, network: Network, seed: int) -> Trial:
        """Return the trial of a teacher network; create its own teachers first."""
        own = seed if network.seed == "same" else network.seed
        teachers = [self.taught(name, own) for name in network.teachers]
        return self.trial(network, network.method, network.params, teachers, own)

    def taught(self, name: str, seed: int) -> Trial:
        """Return the trial of a teacher by name, which many networks may share."""
        if (name, seed) not in self._taught:
            self._taught[name, seed] = self.network(self.reference(name), seed)
        return self._taught[name, seed]

    def trial(self, network: Network, method: str, params: Mapping[str, Any], teachers: Sequence[Trial], seed: int) -> Trial:
        """Create a trial, or return an identical one that exists."""
        full, needs = self.method(method, params)
        taken = teachers if needs.more_teachers else teachers[: needs.teachers]
        student = self.student(network)
        trial = Trial(
            task=self.task.name,
            data=self.data,
            model=student.spec,
            weights_digest=student.weights_digest,
            preprocessing=student.preprocessing,
            method=method,
            params=full,
            teachers=tuple(t.id for t in taken),
            recipe=student.recipe,
            seed=seed,
        )
        vars(trial)["id"] = digest(identity.trial_identity(trial, self._known))  # as its property would, only faster
        return self.trials.setdefault(trial.id, trial)

    def method(self, method: str, params: Mapping[str, Any]) -> tuple[dict[str, Any], Needs]:
        """Return all parameters of a method as plain data, and what it reads."""
        key = f"{method} {params!r}"
        if key not in self._methods:
            made = create.new_method(self.registry.methods[method], params)
            self._methods[key] = (create.plain_params(made), create.needs_of(made))
        return self._methods[key]

    def student(self, network: Network) -> _Student:
        """Return what all trials of a network share."""
        if id(network) not in self._students:
            weights, content = self._weights(network)
            spec = ModelSpec(**{**network.model_dump(include=set(ModelSpec.model_fields)), "weights": weights})
            recipe = Recipe(**{**self.suite.recipe.model_dump(), **network.recipe})
            self._students[id(network)] = _Student(
                spec=spec,
                weights_digest=content,
                preprocessing=self.task.preprocessing(network.preprocessing, spec),
                recipe=recipe.model_copy(update={"augmentation": self.task.augmentation(recipe.augmentation)}),
            )
        return self._students[id(network)]

    def row(self, pair: Pair, label: str, trial: Trial, role: Role, point: Mapping[str, Any] | None = None) -> None:
        """Add a row, which says why the trial is in the suite."""
        self.entries.append(
            Entry(
                pair=pair_name(pair),
                label=label,
                method=trial.method,
                family=self.registry.methods[trial.method].family,
                grid_point=dict(point or {}),
                role=role,
                seed=trial.seed,
                trial=trial.id,
                teachers=trial.teachers,
            )
        )

    def _weights(self, network: Network) -> tuple[str, str | None]:
        """Return where the weights come from, and the SHA-256 of the file if it is one."""
        if network.weights in ("scratch", "pretrained"):
            return network.weights, None
        path = real_path((self.folder or Path()) / network.weights)
        try:
            with path.open("rb") as file:
                return str(path), hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SuiteError(f'weights "{cut(network.weights)}" cannot be read: {error.strerror or error}') from error


def _points(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _needs(trials: Mapping[str, Trial], registry: Registry) -> dict[str, Needs]:
    """Return what the methods of trials read, asking each set of parameters once."""
    known: dict[str, Needs] = {}
    found: dict[str, Needs] = {}
    for i, trial in trials.items():
        key = f"{trial.method} {trial.params!r}"
        if key not in known:
            known[key] = needs_of(trial.method, trial.params, registry)
        found[i] = known[key]
    return found


def _streams(trials: Mapping[str, Trial], needs: Mapping[str, Needs]) -> dict[str, str]:
    """Return what decides the batches and the precision of the teachers' pass."""
    known: dict[tuple[Any, ...], str] = {}  # by identity: the trials of a plan share these objects
    found: dict[str, str] = {}
    for i, trial in trials.items():
        sampler = needs[i].sampler
        key = (trial.task, id(trial.data), id(trial.recipe), trial.seed, sampler)
        if key not in known:
            recipe = trial.recipe
            data, side = identity.canonical(trial.data), identity.data_side(recipe)
            stream = [trial.task, data, trial.seed, side, recipe.epochs, sampler, recipe.precision, recipe.channels_last]
            known[key] = canonical_json(stream)
        found[i] = known[key]
    return found


def group(trials: Mapping[str, Trial], registry: Registry, max_members: int) -> tuple[Cohort, ...]:
    """Group trials that share their batch stream and do not wait for each other."""
    needs = _needs(trials, registry)
    streams = _streams(trials, needs)
    level: dict[str, int] = {}
    for i, trial in trials.items():  # teachers come first
        level[i] = 1 + max((level[t] for t in trial.teachers), default=-1)
    lowest: dict[str, int] = {}  # of those that are taught, by stream
    for i, trial in trials.items():
        if trial.teachers:
            lowest[streams[i]] = min(level[i], lowest.get(streams[i], level[i]))
    teaching = {t for trial in trials.values() for t in trial.teachers}
    for i, trial in trials.items():
        if not trial.teachers and i not in teaching:
            # No trial waits for it, so it can train beside those that have teachers.
            level[i] = lowest.get(streams[i], 0)
    groups: dict[tuple[int, str], list[str]] = {}
    for i in trials:
        groups.setdefault((level[i], streams[i]), []).append(i)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])  # stable: first appearance decides within a level
    return tuple(_cohort(part, trials, needs[part[0]]) for _, members in ordered for part in _split(members, max_members))


def _split(members: list[str], most: int) -> list[list[str]]:
    parts = -(-len(members) // most)
    size, rest = divmod(len(members), parts)
    cuts = [0, *itertools.accumulate(size + (n < rest) for n in range(parts))]
    return [members[a:b] for a, b in itertools.pairwise(cuts)]


def _cohort(members: Sequence[str], trials: Mapping[str, Trial], needs: Needs) -> Cohort:
    teachers = dict.fromkeys(t for i in members for t in trials[i].teachers)
    return Cohort(trials=tuple(members), teachers=tuple(teachers), sampler=needs.sampler)


def _singles(trials: Mapping[str, Trial], registry: Registry) -> tuple[Cohort, ...]:
    needs = _needs(trials, registry)
    return tuple(_cohort([i], trials, needs[i]) for i in trials)
