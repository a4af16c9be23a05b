"""Training of a method on synthetic networks and data.

The code that trains it is the code that trains every trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace

import pluggy
import torch

from kdbench.check.member import LoggingMember
from kdbench.check.networks import COMMON, NAME, FakeNet, Geometry
from kdbench.check.task import CheckTask, made_up_data
from kdbench.method import Method, Sampler
from kdbench.method.create import needs_of, new_method
from kdbench.models import observe
from kdbench.plan.trial import DataKey, Trial
from kdbench.plugins import hookspecs
from kdbench.plugins.manager import Registry
from kdbench.seeding import named_seed
from kdbench.suite.schema import DatasetSpec, Recipe
from kdbench.tasks.stream import StreamSettings, TrainStream
from kdbench.train.cohort import train_cohort
from kdbench.train.events import EpochEnd, Left
from kdbench.train.member import Member
from kdbench.train.networks import build_context, initial_student, interface_of, interfaces_of, make_method, teacher_shapes
from kdbench.train.presentation import Presentation
from kdbench.train.teacher import Teacher

CPU = torch.device("cpu")
EPOCHS = 2
STEPS_PER_EPOCH = 2
LEARNING_RATE = 1e-3
"""Low enough to keep training stable, high enough that each step affects the next."""


class Harness:
    """A method with a member that trains it, its teachers and its batches.

    Args:
        cls: the method.
        geometry: shapes of the networks' features.
        classes: number of classes.
        batch_size: samples per step (anchors, if the sampler yields pairs); by default such that an
            epoch has :data:`STEPS_PER_EPOCH` steps.
        more_teachers: number of teachers beyond those that the method needs.
        equal: whether all samples are the same.
        epochs: number of epochs to train.
        lr: learning rate.
        seed: seed of the trial, for the student's weights and the method's random numbers. Teachers and
            batches are always the same.
        random_seed: seed of the method's random numbers; the trial's by default.
        member: class of the member.

    Raises:
        KdbenchError: the method does not support the networks.
    """

    def __init__(
        self,
        cls: type[Method],
        geometry: Geometry = COMMON,
        *,
        classes: int = 10,
        batch_size: int | None = None,
        more_teachers: int = 0,
        equal: bool = False,
        epochs: int = EPOCHS,
        lr: float = LEARNING_RATE,
        seed: int = 0,
        random_seed: int | None = None,
        member: type[LoggingMember] = LoggingMember,
    ) -> None:
        self.task = CheckTask()
        self.data = made_up_data(classes, equal=equal, units=geometry.units)
        self.registry = _registry(cls)
        recipe = Recipe(epochs=epochs, batch_size=batch_size or len(self.data.train) // STEPS_PER_EPOCH, lr=lr)
        defaults = new_method(cls, {})
        needs = needs_of(defaults)
        trial = partial(
            Trial,
            task=CheckTask.name,
            data=DataKey(spec=DatasetSpec(name="check"), fingerprint=self.data.fingerprint),
            recipe=recipe,
        )
        numbers = range(1, needs.teachers + more_teachers + 1)
        teachers = [trial(model=geometry.network(teacher=k), method=Untaught.name, seed=0) for k in numbers]
        self.trial = trial(
            model=geometry.network(),
            method=cls.name,
            params=defaults.params.model_dump(mode="json"),
            teachers=tuple(t.id for t in teachers),
            seed=seed,
        )
        self.stream = self._stream(recipe, needs.sampler)
        self.member = self._member(member, {t.id: t for t in teachers}, random_seed)
        self.teachers = {t.id: self._teacher(t) for t in teachers}

    @property
    def method(self) -> Method:
        """The method, after ``build``."""
        return self.member.method

    def train(self, epoch_end: Callable[[Member], None] = lambda member: None) -> None:
        """Train the member from its current epoch to the last one.

        Args:
            epoch_end: called with the member after each epoch.

        Raises:
            Exception: the error that the member failed with.
        """
        train([self.member], self, epoch_end)

    def _stream(self, recipe: Recipe, sampler: Sampler) -> TrainStream:
        settings = StreamSettings(
            batch_size=recipe.batch_size,
            drop_last=recipe.drop_last,
            augmentation=recipe.augmentation,
            sampler=sampler,
            seed=named_seed("check", "stream"),
            device=CPU,
            channels_last=recipe.channels_last,
        )
        return self.task.stream(self.data, settings)

    def _member(self, member: type[LoggingMember], trials: Mapping[str, Trial], random_seed: int | None) -> LoggingMember:
        trial, data, registry = self.trial, self.data, self.registry
        method = make_method(trial, registry)
        interfaces, labels = interfaces_of(data, registry), data.train.targets
        interface = interfaces(trial)
        student = initial_student(trial, interface, registry)
        shapes = teacher_shapes(trial, trials, interfaces, labels, registry, method)
        steps = self.stream.steps_per_epoch
        context = build_context(trial, student, shapes, interface, labels, registry, method, steps)
        presentation = Presentation.of(trial, self.task, data, CPU)
        return member(trial, method, student, context, presentation, self.task.metrics, CPU, random_seed)

    def _teacher(self, trial: Trial) -> Teacher:
        interface = interface_of(trial, self.data, self.registry)
        network = initial_student(trial, interface, self.registry)
        stages = observe.num_stages(network, interface.example())
        presentation = Presentation.of(trial, self.task, self.data, CPU)
        return Teacher(trial.id, network, [self.member.needs], stages, presentation, trial.recipe.precision)


def train(members: Sequence[Member], harness: Harness, epoch_end: Callable[[Member], None] = lambda member: None) -> None:
    """Train members as a cohort, with the batches and teachers of a harness.

    Args:
        members: the members.
        harness: provides batches and teachers.
        epoch_end: called with each member after each epoch.

    Raises:
        Exception: the error that a member failed with.
    """
    for event in train_cohort(list(members), harness.teachers, harness.stream, CPU):
        match event:
            case Left(error=error):
                raise error
            case EpochEnd(members=trained):
                for member, _ in trained:
                    epoch_end(member)


class Untaught(Method):
    """The method that the teachers' trials name; teachers are not trained."""

    name = "check.untaught"


def _registry(cls: type[Method]) -> Registry:
    """Return a registry of only the method, the task and the networks."""
    manager = pluggy.PluginManager("kdbench")
    manager.add_hookspecs(hookspecs)
    provided = SimpleNamespace(
        kdbench_methods=hookspecs.hookimpl(lambda: [cls, Untaught]),
        kdbench_models=hookspecs.hookimpl(lambda: {NAME: FakeNet}),
        kdbench_tasks=hookspecs.hookimpl(lambda: [CheckTask]),
    )
    manager.register(provided, name="check")
    return Registry(manager)
