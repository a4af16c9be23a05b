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
from kdbench.plan.cohorts import group, one_by_one
from kdbench.plan.trial import DataKey, Entry, Plan, Role, TaskInfo, Trial, TuningInfo
from kdbench.plan.tuning import Point, Scores, Space, winner
from kdbench.plugins.manager import Registry
from kdbench.seeding import digest
from kdbench.suite.load import BASELINE
from kdbench.suite.resolve import entries_by_pair, entry_name, network_of, pair_name, teachers_of
from kdbench.suite.schema import MethodEntry, ModelSpec, Network, Pair, Recipe, Suite, Tuning
from kdbench.suite.tuning import tuned_params, tuned_recipe


def make_plan(
    suite: Suite,
    registry: Registry,
    fingerprint: str,
    *,
    cohorts: bool = True,
    max_members: int = 32,
    folder: Path | None = None,
    scores: Scores | None = None,
) -> Plan:
    """Expand a suite into everything that it requests, in an order that can be run.

    Args:
        suite: a suite that :func:`kdbench.suite.resolve.resolve` has checked.
        registry: all plugins, which include the suite's methods.
        fingerprint: digest of the content of the data.
        cohorts: whether trials train together; otherwise each has its own cohort.
        max_members: largest number of trials in a cohort.
        folder: folder that paths of weights are relative to.
        scores: scores of the trials that have ended, which decide what tuning asks for next.
    """
    with Guard().calling(f'task "{suite.task}"', "__init__"):
        task = registry.find("task", registry.tasks, suite.task)()
    key = DataKey(spec=suite.dataset.model_copy(update={"options": {}}), fingerprint=fingerprint)
    builder = _Builder(suite, registry, task, key, folder, scores or {})
    entries = entries_by_pair(suite)
    for pair in suite.pairs:
        mine = entries[pair_name(pair)]
        runs = {entry_name(entry): builder.runs(pair, entry) for entry in mine}
        for seed in suite.seeds:
            builder.pair(pair, mine, runs, seed)
    groups = group(builder.trials, registry, max_members) if cohorts else one_by_one(builder.trials, registry)
    return Plan(
        suite=suite.name,
        title=suite.title,
        report=suite.report,
        description=suite.description,
        task=task.info(),
        tuning=builder.tuning,
        trials=builder.trials,
        entries=tuple({e.model_dump_json(): e for e in builder.entries}.values()),
        cohorts=groups,
    )


@dataclass(frozen=True)
class _Student:
    """What all trials of a network share, in the form that trials hold."""

    spec: ModelSpec
    weights_digest: str | None
    preprocessing: dict[str, Any] | None
    recipe: Recipe


@dataclass(frozen=True)
class _Run:
    """One training of a method entry's student, for each seed.

    Args:
        point: values of a grid or of tuning.
        role: role of the student's row.
        share: share of the recipe's epochs.
    """

    point: Point
    role: Role = "student"
    share: float = 1.0


@dataclass
class _Builder:
    suite: Suite
    registry: Registry
    task: Any
    data: DataKey
    folder: Path | None
    scores: Scores
    trials: dict[str, Trial] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    _references: dict[str, Network] = field(default_factory=dict)
    _students: dict[int, _Student] = field(default_factory=dict)  # by the id of a network, which the suite keeps
    _recipes: dict[tuple[int, str, float], Recipe] = field(default_factory=dict)  # by that of a student's recipe
    _spaces: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    _methods: dict[str, tuple[dict[str, Any], Needs]] = field(default_factory=dict)
    _taught: dict[tuple[str, int], Trial] = field(default_factory=dict)
    _known: identity.Known = field(default_factory=dict)

    def pair(self, pair: Pair, entries: Sequence[MethodEntry], runs: Mapping[str, Sequence[_Run]], seed: int) -> None:
        """Add all rows of one pair and one seed."""
        teachers = self.teachers(pair, seed)
        for reference, trial in zip(teachers_of(pair), teachers, strict=True):
            self.row(pair, reference if isinstance(reference, str) else reference.model, trial, "teacher")
        for entry in entries:
            for run in runs[entry_name(entry)]:
                self.entry(pair, teachers, entry, run, seed)

    def teachers(self, pair: Pair, seed: int) -> list[Trial]:
        """Return the trials of a pair's teachers."""
        return [self.network(self.reference(reference), seed) for reference in teachers_of(pair)]

    def runs(self, pair: Pair, entry: MethodEntry) -> list[_Run]:
        """Return what is run of an entry with every seed; add its draws, if any.

        Until the draws are decided, and if all of them failed, a method's own values stand in for the best.
        """
        tuning = self.suite.tuning
        if tuning is None:
            return [_Run(point) for point in _points(entry.grid)]
        points = self.draws(pair, entry, tuning)
        best = winner([trial for trial, _ in points], self.scores, 1 if self.higher_is_better else -1)
        all_failed = best is None and all(trial in self.scores for trial, _ in points)
        chosen = [points[best][1]] if best is not None else [{}] if tuning.default or all_failed else []
        return [_Run(point) for point in chosen] + ([_Run({}, "default")] if tuning.default else [])

    def draws(self, pair: Pair, entry: MethodEntry, tuning: Tuning) -> list[tuple[str, Point]]:
        """Add the draws of an entry on a pair; return their trials' ids and their points."""
        recipe = self.student(self.reference(pair.student)).recipe
        space = Space.of(entry, self.registry.methods[entry.method], tuning, recipe)
        shown = {name: str(search) for name, search in space.ranges.items()}
        self._spaces.setdefault(pair_name(pair), {})[entry_name(entry)] = shown
        teachers = self.teachers(pair, tuning.seed)
        points = space.points(tuning)
        trials = [self.entry(pair, teachers, entry, _Run(p, "draw", tuning.epochs), tuning.seed) for p in points]
        return list(zip(trials, points, strict=True))

    def entry(self, pair: Pair, teachers: list[Trial], entry: MethodEntry, run: _Run, seed: int) -> str:
        """Add the rows of one run of a method entry; return the id of its student's trial."""
        params = {**entry.params, **tuned_params(run.point)}
        student, label = self.reference(pair.student), entry_name(entry)
        helpers = run.role == "student"  # the helpers of draws have no rows
        if entry.generations:
            trial = self.trial(student, BASELINE, {}, [], seed)
            for number in range(1, entry.generations + 1):
                trial = self.trial(student, entry.method, params, [trial], seed, run)
                if helpers and number < entry.generations:
                    self.row(pair, f"{label} (generation {number})", trial, "generation", run.point)
            self.row(pair, label, trial, run.role, run.point)
            return trial.id
        for assistant in entry.assistants:
            network = self.reference(assistant)
            own = seed if network.seed == "same" else network.seed
            teachers = [self.trial(network, entry.method, params, teachers, own)]
            if helpers:
                name = assistant if isinstance(assistant, str) else assistant.model
                self.row(pair, f"{label}: {name}", teachers[0], "assistant", run.point)
        trial = self.trial(student, entry.method, params, teachers, seed, run)
        self.row(pair, label, trial, run.role, run.point)
        return trial.id

    @property
    def tuning(self) -> TuningInfo | None:
        """How methods are tuned, for reports."""
        given = self.suite.tuning
        if given is None:
            return None
        return TuningInfo(**given.model_dump(include={"draws", "epochs", "seed", "default"}), spaces=self._spaces)

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of the task's primary metric is better."""
        info: TaskInfo = self.task.info()
        return info.metrics[info.primary].higher_is_better

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

    def trial(
        self,
        network: Network,
        method: str,
        params: Mapping[str, Any],
        teachers: Sequence[Trial],
        seed: int,
        run: _Run | None = None,
    ) -> Trial:
        """Create a trial, or return an identical one; a run may change its recipe."""
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
            recipe=self.recipe(student.recipe, run) if run else student.recipe,
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

    def recipe(self, recipe: Recipe, run: _Run) -> Recipe:
        """Return the recipe of a run, the same object for equal ones."""
        key = id(recipe), repr(run.point), run.share
        if key not in self._recipes:
            self._recipes[key] = tuned_recipe(recipe, run.point, run.share)
        return self._recipes[key]

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
