"""Assembly of a worker's stream, members and teachers; evaluation of members.

Everything about a job that depends on inputs, targets and scores is in this module.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.data.inputs import Inputs, tensors
from kdbench.data.types import Batch
from kdbench.engine.job import Job
from kdbench.engine.resources import Resources
from kdbench.errors import KdbenchError, StoreError
from kdbench.measure.cost import activation_bytes
from kdbench.method.guard import Guard, described
from kdbench.models import observe
from kdbench.models.call import placed
from kdbench.plan.identity import data_side
from kdbench.plan.trial import Trial
from kdbench.results.record import SplitName
from kdbench.seeding import named_seed
from kdbench.tasks.stream import StreamSettings, TrainStream, unit_targets
from kdbench.train.evaluate import predict
from kdbench.train.member import Member
from kdbench.train.networks import (
    build_context,
    initial_student,
    interface_of,
    interfaces_of,
    make_method,
    teacher_shapes,
    trained_network,
)
from kdbench.train.presentation import Presentation
from kdbench.train.teacher import Teacher

SPLITS: tuple[SplitName, ...] = ("validation", "test")
EVALUATION_BATCH = 500
"""Largest batch in evaluation, in samples.

Larger batches are not faster on a CPU, and hardly faster on a GPU with images of 32 pixels.
"""
EVALUATION_MEMORY = 256_000_000
"""Most bytes that a batch in evaluation may take, for inputs and activations."""
ALIVE_AT_ONCE = 4
"""Activations that training keeps, divided by those that evaluation keeps.

Evaluation frees activations on the way, so that only about a quarter is in memory at the same time.
"""


def make_stream(job: Job, resources: Resources, trial: Trial) -> TrainStream:
    """Create the training stream of the cohort that a trial is in."""
    recipe = trial.recipe
    settings = StreamSettings(
        batch_size=recipe.batch_size,
        drop_last=recipe.drop_last,
        augmentation=recipe.augmentation,
        sampler=job.cohort.sampler,
        seed=named_seed("data", trial.seed, resources.data.fingerprint, data_side(recipe)),
        device=torch.device(job.device),
        channels_last=recipe.channels_last,
    )
    return resources.task.stream(resources.data, settings)


def make_member(job: Job, resources: Resources, trial: Trial, steps_per_epoch: int, guard: Guard | None = None) -> Member:
    """Create a trial's member in its state before the first epoch."""
    data, registry = resources.data, resources.registry
    guard = guard or Guard()
    method = make_method(trial, registry, guard)
    interfaces, labels = interfaces_of(data, registry), data.train.targets
    student = initial_student(trial, interfaces(trial), registry)
    with guard.calling(f'model "{trial.model.model}"', "a forward pass"):
        shapes = teacher_shapes(trial, job.trials, interfaces, labels, registry, method)
        context = build_context(trial, student, shapes, interfaces(trial), labels, registry, method, steps_per_epoch)
    device = torch.device(job.device)
    presentation = Presentation.of(trial, resources.task, data, device)
    return Member(trial, method, student, context, presentation, resources.task.metrics, device, guard=guard)


def load_teachers(
    job: Job, resources: Resources, members: Sequence[Member], failed: Callable[[Member, Exception], None]
) -> dict[str, Teacher]:
    """Load the teachers of all members; return them by the id of their trial.

    Args:
        job: the job.
        resources: resources of the job, with the data and the store.
        members: members whose teachers are loaded.
        failed: receives members whose teacher cannot be created, and the error.

    Raises:
        StoreError: the weights cannot be read.
    """
    found: dict[str, Teacher] = {}
    for name in dict.fromkeys(t for m in members for t in m.trial.teachers):
        taught = [m for m in members if name in m.trial.teachers]
        if not taught:  # another of their teachers could not be made
            continue
        try:
            found[name] = _teacher(job, resources, name, taught)
        except StoreError:
            raise
        except Exception as error:
            for member in taught:
                failed(member, error)
    return found


def _teacher(job: Job, resources: Resources, name: str, taught: Sequence[Member]) -> Teacher:
    data, registry, trial, recipe = resources.data, resources.registry, job.trials[name], taught[0].trial.recipe
    device, interfaces = torch.device(job.device), interfaces_of(data, registry)
    weights = resources.store.student(name)
    with taught[0].guard.calling(f'the teacher "{trial.model.model}" (trial {name})', "its loading"):
        network = trained_network(trial, job.trials, interfaces, data.train.targets, registry, weights)
        stages = observe.num_stages(network, interfaces(trial).example())
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        network.to(device)
        network.to(memory_format=layout)
        presentation = Presentation.of(trial, resources.task, data, device)
        return Teacher(name, network, [m.needs for m in taught], stages, presentation, recipe.precision)


def evaluation_batch(network: nn.Module, example: Inputs) -> int:
    """Return a batch size for evaluation that stays within :data:`EVALUATION_MEMORY`.

    It depends only on the network, not on what else is evaluated at the same time, because the bits of the
    logits may depend on the batch size.

    Args:
        network: the network.
        example: inputs of one sample.
    """
    inputs = sum(t.nbytes for t in tensors(example).values())
    try:
        kept = activation_bytes(network, placed(example, network))
    except Exception:  # the same error occurs, and is reported, when the network is evaluated
        kept = 0
    batch = EVALUATION_BATCH
    while batch > 1 and batch * (inputs + kept / ALIVE_AT_ONCE) > EVALUATION_MEMORY:
        batch //= 2
    return batch


class MetricError(KdbenchError):
    """A metric gives something else than a finite number."""


@dataclass(frozen=True)
class Evaluated:
    """What a member's deployed network gave.

    Args:
        network: the network, as it was evaluated.
        logits: float32, M×C, on the CPU, of each of :data:`SPLITS`.
    """

    network: nn.Module
    logits: dict[SplitName, Tensor]


def evaluate(
    resources: Resources,
    members: Sequence[Member],
    batch_sizes: dict[str, int],
    failed: Callable[[Member, Exception], None],
) -> dict[str, Evaluated]:
    """Evaluate members on each of :data:`SPLITS`; results by trial id.

    Args:
        resources: resources of the job, with the data.
        members: members whose deployed networks are evaluated; they have the same recipe.
        batch_sizes: results of :func:`evaluation_batch` by trial id; missing ones are added.
        failed: receives members that cannot be evaluated, and the error; they are left out.
    """
    networks: dict[str, nn.Module] = {}
    groups: dict[int, list[Member]] = {}
    for member in members:
        try:
            network = networks[member.trial.id] = member.deployed()
            if member.trial.id not in batch_sizes:
                example = interface_of(member.trial, resources.data, resources.registry).example()
                with member.guard.calling(_label(member), "a forward pass"):
                    batch_sizes[member.trial.id] = evaluation_batch(network, example)
            groups.setdefault(batch_sizes[member.trial.id], []).append(member)
        except Exception as error:
            failed(member, error)
    found: dict[str, dict[SplitName, Tensor]] = {}
    for (batch_size, group), name in itertools.product(groups.items(), SPLITS):
        for key, logits in _predict(resources, group, networks, name, batch_size, failed).items():
            found.setdefault(key, {})[name] = logits
    return {key: Evaluated(networks[key], logits) for key, logits in found.items() if len(logits) == len(SPLITS)}


def split_scores(resources: Resources, logits: Mapping[SplitName, Tensor], guard: Guard) -> dict[SplitName, dict[str, float]]:
    """Compute the task's scores of logits on each of :data:`SPLITS`."""
    found: dict[SplitName, dict[str, float]] = {}
    for name in SPLITS:
        targets = unit_targets(getattr(resources.data, name))
        with guard.calling(f'task "{resources.task.name}"', "scores()"):
            scores = resources.task.scores(logits[name].clone(), targets.clone())
            found[name] = {metric: float(value) for metric, value in scores.items()}
    return found


def extra_metrics(
    resources: Resources, test_logits: Tensor, failed: Callable[[str, Exception], None], guard: Guard
) -> dict[str, float]:
    """Compute plugins' metrics of the test split.

    Each metric gets copies. ``failed`` receives those that raise, or return something other than a finite
    number.
    """
    found: dict[str, float] = {}
    for name, metric in resources.registry.metrics.items():
        try:
            with guard.calling(f'metric "{name}"', "its function"):
                found[name] = _number(metric(test_logits.clone(), unit_targets(resources.data.test).clone()))
        except Exception as error:
            found.pop(name, None)
            failed(name, error)
    return found


def _number(value: Any) -> float:
    """The finite number that a metric gave."""
    if isinstance(value, Tensor | np.ndarray | np.generic) and math.prod(value.shape) == 1:
        value = value.item()
    if not isinstance(value, int | float):
        raise MetricError(f"it must return a number, not {described(value)}")
    if not math.isfinite(value):
        raise MetricError(f"it gives {float(value)}, which is no finite number")
    return float(value)


def _label(member: Member) -> str:
    return f"the network that {member.labels[0]} deploys"


def _predict(
    resources: Resources,
    members: Sequence[Member],
    networks: dict[str, nn.Module],
    name: str,
    batch_size: int,
    failed: Callable[[Member, Exception], None],
) -> dict[str, Tensor]:
    """Compute logits on one split; remove members that fail from ``networks``."""
    recipe, split = members[0].trial.recipe, getattr(resources.data, name)

    def batches() -> Iterator[Batch]:
        return resources.task.batches(
            split, batch_size=batch_size, device=members[0].device, channels_last=recipe.channels_last
        )

    wanted = {m.trial.id: networks[m.trial.id] for m in members if m.trial.id in networks}
    ask = partial(
        predict,
        presentations={m.trial.id: m.presentation for m in members},
        precision=recipe.precision,
        classes=resources.data.num_classes,
        labels={m.trial.id: _label(m) for m in members},
        guard=members[0].guard,
    )
    try:
        return ask(wanted, batches())[0]
    except Exception:  # find out whose fault it is
        found: dict[str, Tensor] = {}
        for member in (m for m in members if m.trial.id in wanted):
            key = member.trial.id
            try:
                found.update(ask({key: wanted[key]}, batches())[0])
            except Exception as error:
                del networks[key]
                failed(member, error)
        return found
