"""The networks of a trial: its initial student, and its trained network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from kdbench.data.types import TaskData
from kdbench.method import BuildContext, Method, Shapes
from kdbench.method.create import new_method
from kdbench.method.guard import Guard
from kdbench.models import observe
from kdbench.models.factory import create_model
from kdbench.plan.identity import architecture_identity, student_identity
from kdbench.plan.trial import Trial
from kdbench.plugins.manager import Registry
from kdbench.seeding import digest, named_seed
from kdbench.tasks.interface import Interface
from kdbench.tasks.task import Task

Interfaces: TypeAlias = Callable[[Trial], Interface]
"""Returns the interface of any trial's network.

It is derived from the data, or from their description in a record.
"""


def task_of(trial: Trial, registry: Registry) -> Task:
    """Return the task of a trial."""
    with Guard().calling(f'task "{trial.task}"', "__init__"):
        task: Task = registry.find("task", registry.tasks, trial.task)()
    return task


def interface_of(trial: Trial, data: TaskData, registry: Registry) -> Interface:
    """Return the interface of a trial's network."""
    return Interface.of(task_of(trial, registry), data, trial.preprocessing)


def interfaces_of(data: TaskData, registry: Registry) -> Interfaces:
    """Return the interfaces of trials that learn from loaded data."""
    return lambda trial: interface_of(trial, data, registry)


def make_method(trial: Trial, registry: Registry, guard: Guard | None = None) -> Method:
    """Return the method of a trial, not built yet."""
    cls = registry.find("method", registry.methods, trial.method)
    return new_method(cls, trial.params, guard)


def initial_student(trial: Trial, interface: Interface, registry: Registry, peer: int | None = None) -> nn.Module:
    """Create a trial's student with its initial weights.

    The seed and the student's architecture decide the weights. ``peer`` numbers further networks of the same
    architecture, which have other weights.
    """
    spec = student_identity(trial)
    parts = (trial.seed, spec) if peer is None else (trial.seed, spec, peer)
    seed = named_seed("init" if peer is None else "peer", *parts)
    return create_model(trial.model, arguments=interface.arguments, seed=seed, factories=registry.models)


def trained_network(
    trial: Trial,
    trials: Mapping[str, Trial],
    interfaces: Interfaces,
    labels: Tensor,
    registry: Registry,
    weights: Mapping[str, Tensor],
) -> nn.Module:
    """Return the network that a finished trial's method deploys, with its weights.

    Args:
        trial: the trial.
        trials: the trial and all its direct and indirect teachers, by id.
        interfaces: interfaces of their networks.
        labels: classes of the training set; they matter if a method changes the student.
        registry: all plugins.
        weights: stored state of the deployed network.
    """
    if changes_student(registry.methods[trial.method]):
        network = _deployed(trial, trials, interfaces, labels, registry)
    else:
        network = _empty_student(trial, interfaces(trial), registry)
    network.load_state_dict(dict(weights))
    return network


def changes_student(method: type[Method]) -> bool:
    """Return whether a method deploys anything other than the unchanged student."""
    return method.deploy is not Method.deploy


def profile_id(trial: Trial, interface: Interface, registry: Registry) -> str:
    """Return a digest of everything that decides the cost of the deployed network.

    It does not depend on the method, unless the method changes the student.
    """
    method = [trial.method, trial.params] if changes_student(registry.methods[trial.method]) else []
    return digest([architecture_identity(trial.model), interface.num_classes, interface.spec, method])


def teacher_shapes(
    trial: Trial,
    trials: Mapping[str, Trial],
    interfaces: Interfaces,
    labels: Tensor,
    registry: Registry,
    method: Method,
) -> tuple[Shapes, ...]:
    """Return the shapes of the outputs that a trial's method reads of each teacher.

    They are measured on networks created for this purpose.
    """
    needs = method.needs
    return tuple(
        observe.shapes(
            _network_shape(trials[t], trials, interfaces, labels, registry),
            interfaces(trials[t]).example(),
            features=needs.teacher_features,
            embedding=needs.teacher_embedding,
        )
        for t in trial.teachers
    )


def build_context(
    trial: Trial,
    student: nn.Module,
    teachers: tuple[Shapes, ...],
    interface: Interface,
    labels: Tensor,
    registry: Registry,
    method: Method,
    steps_per_epoch: int,
) -> BuildContext:
    """Return the argument of the method's ``build``."""
    peers = itertools.count()
    return BuildContext(
        student=observe.shapes(
            student,
            interface.example(),
            features=method.needs.student_features,
            embedding=method.needs.student_embedding,
        ),
        teachers=teachers,
        num_classes=interface.num_classes,
        labels=labels.clone(),  # the live ones are what everybody trains on
        epochs=trial.recipe.epochs,
        steps_per_epoch=steps_per_epoch,
        new_student=lambda: initial_student(trial, interface, registry, peer=next(peers)),
    )


def _network_shape(
    trial: Trial, trials: Mapping[str, Trial], interfaces: Interfaces, labels: Tensor, registry: Registry
) -> nn.Module:
    if changes_student(registry.methods[trial.method]):
        return _deployed(trial, trials, interfaces, labels, registry)
    return _empty_student(trial, interfaces(trial), registry)


def _empty_student(trial: Trial, interface: Interface, registry: Registry) -> nn.Module:
    """Create a student whose weights will be replaced or do not matter.

    No weights are downloaded or read.
    """
    spec = trial.model.model_copy(update={"weights": "scratch"})
    return create_model(spec, arguments=interface.arguments, seed=0, factories=registry.models)


def _deployed(
    trial: Trial, trials: Mapping[str, Trial], interfaces: Interfaces, labels: Tensor, registry: Registry
) -> nn.Module:
    """Return the network that a method deploys, with weights that do not matter."""
    method, interface = make_method(trial, registry), interfaces(trial)
    student = _empty_student(trial, interface, registry)
    shapes = teacher_shapes(trial, trials, interfaces, labels, registry, method)
    guard, label = Guard(), f'method "{trial.method}"'
    with torch.random.fork_rng(), guard.calling(label, "build(context)"):  # what is drawn here is replaced by what was kept
        method.build(build_context(trial, student, shapes, interface, labels, registry, method, steps_per_epoch=1))
    with guard.calling(label, "deploy(student)"):
        return method.deploy(student)
