"""The networks of a trial: the student as it begins, and the network that a finished trial left."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kdbench.data.types import TaskData
from kdbench.method import BuildContext, Method, Shapes
from kdbench.models import observe
from kdbench.models.factory import create_model
from kdbench.plan.identity import architecture_identity, student_identity
from kdbench.plan.trial import Trial
from kdbench.plugins.manager import Registry
from kdbench.seeding import digest, named_seed
from kdbench.tasks.interface import Interface
from kdbench.tasks.task import Task


def task_of(trial: Trial, registry: Registry) -> Task:
    """The task that a trial learns."""
    task: Task = registry.find("task", registry.tasks, trial.task)()
    return task


def interface_of(trial: Trial, data: TaskData, registry: Registry) -> Interface:
    """What a trial's network takes and gives."""
    return Interface.of(task_of(trial, registry), data, trial.preprocessing)


def make_method(trial: Trial, registry: Registry) -> Method:
    """The method of a trial, not built yet."""
    cls = registry.find("method", registry.methods, trial.method)
    return cls(cls.Params(**trial.params))


def initial_student(trial: Trial, data: TaskData, registry: Registry, peer: int | None = None) -> nn.Module:
    """The student with the initial weights that (seed, student) decide; ``peer`` numbers further networks of its kind."""
    spec = student_identity(trial)
    parts = (trial.seed, spec) if peer is None else (trial.seed, spec, peer)
    return create_model(
        trial.model,
        arguments=interface_of(trial, data, registry).arguments,
        seed=named_seed("init" if peer is None else "peer", *parts),
        factories=registry.models,
    )


def trained_network(
    trial: Trial, trials: Mapping[str, Trial], data: TaskData, registry: Registry, weights: Mapping[str, Tensor]
) -> nn.Module:
    """The network that a finished trial left: what its method deploys, with the weights that were kept."""
    student = initial_student(trial, data, registry)
    network = (
        student if not changes_student(registry.methods[trial.method]) else _deploy(student, trial, trials, data, registry)
    )
    network.load_state_dict(dict(weights))
    return network


def changes_student(method: type[Method]) -> bool:
    """Whether a method deploys something else than the student as it is."""
    return method.deploy is not Method.deploy


def profile_id(trial: Trial, data: TaskData, registry: Registry) -> str:
    """Digest of all that decides what the deployed network costs: never who trained it, unless the method changes it."""
    method = [trial.method, trial.params] if changes_student(registry.methods[trial.method]) else []
    interface = interface_of(trial, data, registry)
    return digest([architecture_identity(trial.model), interface.num_classes, interface.spec, method])


def teacher_shapes(
    trial: Trial, trials: Mapping[str, Trial], data: TaskData, registry: Registry, method: Method
) -> tuple[Shapes, ...]:
    """Shapes of what each of a trial's teachers gives it, from networks made for this purpose."""
    needs = method.needs
    return tuple(
        observe.shapes(
            _network_shape(trials[t], trials, data, registry),
            interface_of(trials[t], data, registry).example(),
            features=needs.teacher_features,
            embedding=needs.teacher_embedding,
        )
        for t in trial.teachers
    )


def build_context(
    trial: Trial,
    student: nn.Module,
    teachers: tuple[Shapes, ...],
    data: TaskData,
    registry: Registry,
    method: Method,
    steps_per_epoch: int,
) -> BuildContext:
    """What the method's ``build`` is told."""
    peers = itertools.count()
    return BuildContext(
        student=observe.shapes(
            student,
            interface_of(trial, data, registry).example(),
            features=method.needs.student_features,
            embedding=method.needs.student_embedding,
        ),
        teachers=teachers,
        num_classes=data.num_classes,
        labels=data.train.targets,
        epochs=trial.recipe.epochs,
        steps_per_epoch=steps_per_epoch,
        new_student=lambda: initial_student(trial, data, registry, peer=next(peers)),
    )


def _network_shape(trial: Trial, trials: Mapping[str, Trial], data: TaskData, registry: Registry) -> nn.Module:
    student = initial_student(trial, data, registry)
    if changes_student(registry.methods[trial.method]):
        return _deploy(student, trial, trials, data, registry)
    return student


def _deploy(student: nn.Module, trial: Trial, trials: Mapping[str, Trial], data: TaskData, registry: Registry) -> nn.Module:
    method = make_method(trial, registry)
    shapes = teacher_shapes(trial, trials, data, registry, method)
    with torch.random.fork_rng():  # the weights drawn here are replaced by those that were kept
        method.build(build_context(trial, student, shapes, data, registry, method, steps_per_epoch=1))
    return method.deploy(student)
