"""Checks before training of what would otherwise fail hours later."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from kdbench.data.inputs import map_inputs
from kdbench.data.types import Batch, Split, TaskData
from kdbench.errors import DataError, KdbenchError, SuiteError, cut, located
from kdbench.method import Outputs, Shapes
from kdbench.method.guard import Guard
from kdbench.plan.trial import Cohort, Plan, Trial
from kdbench.plugins.manager import Registry
from kdbench.suite.load import LoadedSuite
from kdbench.suite.origins import Origins
from kdbench.suite.resolve import entry_name
from kdbench.tasks.stream import StreamSettings, unit_targets
from kdbench.tasks.task import Task
from kdbench.train.evaluate import predict
from kdbench.train.member import Member
from kdbench.train.networks import build_context, initial_student, interfaces_of, make_method, teacher_shapes
from kdbench.train.presentation import Presentation, present

CPU = torch.device("cpu")


def check_classes(data: TaskData) -> None:
    """Check that there is something to classify.

    Raises:
        DataError: all training samples are of one class.
    """
    targets = unit_targets(data.train)
    if len(targets) and bool((targets == targets[0]).all()):
        name = cut(data.class_names[int(targets[0])])
        raise DataError(
            f'all {len(data.train):,} training samples of {data.name} are of the class "{name}": there is nothing to learn from '
            "fewer than two classes"
        )


def check_choices(loaded: LoadedSuite, data: TaskData) -> None:
    """Check that there is a validation set where something is chosen on it.

    Raises:
        SuiteError: a grid has several points, and there are no validation samples.
    """
    if len(data.validation):
        return
    for entry in loaded.suite.methods:
        points = math.prod(len(values) for values in entry.grid.values())
        if points > 1:
            name = entry_name(entry)
            index = loaded.written.index(name) if name in loaded.written else 0
            raise SuiteError(
                f'the best of the {points} points of "{cut(name)}" is chosen on the validation set, and {data.name} has none: set '
                "dataset.validation to a share such as 0.1",
                loaded.locations.of("methods", index, "grid"),
            )


def check_logits(network: nn.Module, trial: Trial, task: Task, data: TaskData) -> None:
    """Check that a network gives a row of logits for a sample, one for each class.

    Raises:
        MethodError: it gives something else; the message names the model.
    """
    first = torch.zeros(1, dtype=torch.int64)
    split = Split(map_inputs(lambda t: t.index_select(0, first), data.test.inputs), data.test.targets[first])
    training = {module: module.training for module in network.modules()}
    presentation = Presentation.of(trial, task, data, CPU)
    try:
        with torch.random.fork_rng(devices=[]):
            predict(
                {"": network},
                task.batches(split, batch_size=1, device=CPU, channels_last=False),
                {"": presentation},
                classes=data.num_classes,
                labels={"": f'model "{trial.model.model}"'},
            )
    finally:
        for module, mode in training.items():
            module.training = mode


def check_last_batches(plan: Plan, task: Task, data: TaskData, registry: Registry, origins: Origins) -> None:
    """Try a training step on one sample where epochs end with such a batch.

    Batch norm cannot train on one value, whether in a network or in a method's adapter.

    Raises:
        KdbenchError: a trial cannot be trained on one sample, but on two.
    """
    tried: set[str] = set()
    for cohort in plan.cohorts:
        for trial in (plan.trials[i] for i in cohort.trials):
            recipe = trial.recipe
            if recipe.drop_last or not recipe.epochs or len(data.train) % recipe.batch_size != 1:
                continue
            taught = [plan.trials[t].model for t in trial.teachers]
            alike = f"{trial.model!r} {trial.method} {trial.params!r} {taught!r} {trial.preprocessing!r}"
            if alike in tried:
                continue
            tried.add(alike)
            step = _Rehearsal(trial, cohort, plan, task, data, registry)
            error = step.error(1)
            if error is not None and step.error(2) is None:
                with located(origins.of_recipe(recipe)):
                    raise KdbenchError(
                        f"the last batch of an epoch has 1 sample ({len(data.train):,} in batches of {recipe.batch_size}), which "
                        f'"{trial.method}" cannot train {trial.model.model} on ({error}): set recipe.drop_last to true, or another '
                        "batch_size"
                    )


class _Rehearsal:
    """A training step of a trial that leaves nothing behind."""

    def __init__(self, trial: Trial, cohort: Cohort, plan: Plan, task: Task, data: TaskData, registry: Registry) -> None:
        self._trial = trial
        self._cohort = cohort
        self._task = task
        self._data = data
        self._registry = registry
        self._trials: Mapping[str, Trial] = plan.trials

    def error(self, size: int) -> str | None:
        """Train a step on a batch of this size; return what went wrong on one line."""
        try:
            with torch.random.fork_rng(devices=[]):
                self._train(size)
        except Exception as error:
            return str(error).strip().partition("\n")[0] or type(error).__name__
        return None

    def _train(self, size: int) -> None:
        trial, data, registry = self._trial, self._data, self._registry
        guard = Guard()
        method = make_method(trial, registry, guard)
        interfaces, labels = interfaces_of(data, registry), data.train.targets
        student = initial_student(trial, interfaces(trial), registry)
        shapes = teacher_shapes(trial, self._trials, interfaces, labels, registry, method)
        context = build_context(trial, student, shapes, interfaces(trial), labels, registry, method, steps_per_epoch=1)
        presentation = Presentation.of(trial, self._task, data, CPU)
        member = Member(trial, method, student, context, presentation, self._task.metrics, CPU, guard=guard)
        batch = present(self._batch(size), [presentation])[presentation.key]
        member.begin_epoch()
        member.train_step(batch, tuple(_outputs(s, batch, data.num_classes) for s in shapes), 0)
        member.finish_training_epoch()

    def _batch(self, size: int) -> Batch:
        """Return the first batch of the first samples."""
        recipe, rows = self._trial.recipe, torch.arange(size)
        few = Split(map_inputs(lambda t: t.index_select(0, rows), self._data.train.inputs), self._data.train.targets[rows])
        settings = StreamSettings(
            size, False, recipe.augmentation, self._cohort.sampler, 0, CPU, recipe.channels_last
        )  # fmt: skip
        return next(self._task.stream(replace(self._data, train=few), settings).epoch(0))


def _outputs(shapes: Shapes, batch: Batch, classes: int) -> Outputs:
    """Return random outputs of a teacher."""
    samples, units = len(batch.indices), len(batch.targets)
    draw: Callable[..., torch.Tensor] = torch.randn
    return Outputs(
        draw(units, classes),
        tuple(draw(samples, *shape) for shape in shapes.features),
        draw(units, shapes.embedding) if shapes.embedding else None,
    )
