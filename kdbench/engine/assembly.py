"""What a worker assembles from trials and data: stream, members, teachers; and the evaluation of members.

All that a job knows of inputs, targets and scores is in this module.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from kdbench.data.inputs import Inputs, tensors
from kdbench.data.types import Batch
from kdbench.engine.job import Job
from kdbench.engine.resources import Resources
from kdbench.measure.cost import activation_bytes
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
"""Largest batch in evaluation: larger ones gain nothing on a CPU, and little on a GPU at 32 px."""
EVALUATION_MEMORY = 256_000_000
"""Bytes that a batch of evaluation may take, inputs and activations together."""
ALIVE_AT_ONCE = 4
"""Evaluation frees activations on the way: about a quarter of what training keeps is alive at once."""


def make_stream(job: Job, resources: Resources, trial: Trial) -> TrainStream:
    """The batches of a cohort that a trial is in."""
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


def make_member(job: Job, resources: Resources, trial: Trial, steps_per_epoch: int) -> Member:
    """A trial's member as it is before its first epoch."""
    data, registry = resources.data, resources.registry
    method = make_method(trial, registry)
    interfaces, labels = interfaces_of(data, registry), data.train.targets
    student = initial_student(trial, interfaces(trial), registry)
    shapes = teacher_shapes(trial, job.trials, interfaces, labels, registry, method)
    context = build_context(trial, student, shapes, interfaces(trial), labels, registry, method, steps_per_epoch)
    device = torch.device(job.device)
    presentation = Presentation.of(trial, resources.task, data, device)
    return Member(trial, method, student, context, presentation, resources.task.metrics, device)


def load_teachers(job: Job, resources: Resources, members: Sequence[Member]) -> dict[str, Teacher]:
    """The teachers of all members, by id of the trial that they come from."""
    data, registry, store = resources.data, resources.registry, resources.store
    device, interfaces = torch.device(job.device), interfaces_of(data, registry)
    found: dict[str, Teacher] = {}
    for name in dict.fromkeys(t for m in members for t in m.trial.teachers):
        taught = [m for m in members if name in m.trial.teachers]
        recipe = taught[0].trial.recipe
        trial = job.trials[name]
        network = trained_network(trial, job.trials, interfaces, data.train.targets, registry, store.student(name))
        stages = observe.num_stages(network, interfaces(trial).example())
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        network.to(device)
        network.to(memory_format=layout)
        presentation = Presentation.of(trial, resources.task, data, device)
        found[name] = Teacher(name, network, [m.needs for m in taught], stages, presentation, recipe.precision)
    return found


def evaluation_batch(network: nn.Module, example: Inputs) -> int:
    """Samples of a batch in evaluation, so that it stays within :data:`EVALUATION_MEMORY`.

    It depends on the network alone, never on what else is evaluated beside it: the bits of logits may depend on it.

    Args:
        network: the network.
        example: inputs of one sample.
    """
    inputs = sum(t.nbytes for t in tensors(example).values())
    try:
        kept = activation_bytes(network, placed(example, network))
    except Exception:  # whatever is wrong with the network shows, and is reported, in its evaluation
        kept = 0
    batch = EVALUATION_BATCH
    while batch > 1 and batch * (inputs + kept / ALIVE_AT_ONCE) > EVALUATION_MEMORY:
        batch //= 2
    return batch


def evaluate(
    resources: Resources,
    members: Sequence[Member],
    batch_sizes: dict[str, int],
    failed: Callable[[Member, Exception], None],
) -> dict[str, dict[str, Tensor]]:
    """Logits of members on each of :data:`SPLITS`, by trial id.

    Args:
        resources: hold the data.
        members: whose deployed networks are meant; of one recipe.
        batch_sizes: :func:`evaluation_batch` by trial id; added to where one is missing.
        failed: receives members that cannot be evaluated, which are left out, and why.
    """
    networks: dict[str, nn.Module] = {}
    groups: dict[int, list[Member]] = {}
    for member in members:
        try:
            network = networks[member.trial.id] = member.deployed()
            if member.trial.id not in batch_sizes:
                example = interface_of(member.trial, resources.data, resources.registry).example()
                batch_sizes[member.trial.id] = evaluation_batch(network, example)
            groups.setdefault(batch_sizes[member.trial.id], []).append(member)
        except Exception as error:
            failed(member, error)
    found: dict[str, dict[str, Tensor]] = {}
    for (batch_size, group), name in itertools.product(groups.items(), SPLITS):
        for key, logits in _predict(resources, group, networks, name, batch_size, failed).items():
            found.setdefault(key, {})[name] = logits
    return {key: logits for key, logits in found.items() if len(logits) == len(SPLITS)}


def split_scores(resources: Resources, logits: Mapping[str, Tensor]) -> dict[SplitName, dict[str, float]]:
    """The task's scores of logits, by split: one of :data:`SPLITS`."""
    return {name: resources.task.scores(logits[name], unit_targets(getattr(resources.data, name))) for name in SPLITS}


def extra_metrics(resources: Resources, test_logits: Tensor, failed: Callable[[str, Exception], None]) -> dict[str, float]:
    """Plugins' metrics on the test split; ``failed`` receives those that raise."""
    found: dict[str, float] = {}
    for name, metric in resources.registry.metrics.items():
        try:
            found[name] = float(metric(test_logits, unit_targets(resources.data.test)))
        except Exception as error:
            failed(name, error)
    return found


def _predict(
    resources: Resources,
    members: Sequence[Member],
    networks: dict[str, nn.Module],
    name: str,
    batch_size: int,
    failed: Callable[[Member, Exception], None],
) -> dict[str, Tensor]:
    """Logits on one split; members that fail are removed from ``networks``."""
    recipe, split = members[0].trial.recipe, getattr(resources.data, name)

    def batches() -> Iterator[Batch]:
        return resources.task.batches(
            split, batch_size=batch_size, device=members[0].device, channels_last=recipe.channels_last
        )

    wanted = {m.trial.id: networks[m.trial.id] for m in members if m.trial.id in networks}
    presentations = {m.trial.id: m.presentation for m in members}
    try:
        return predict(wanted, batches(), presentations, recipe.precision)[0]
    except Exception:  # find out whose fault it is
        found: dict[str, Tensor] = {}
        for member in (m for m in members if m.trial.id in wanted):
            key = member.trial.id
            try:
                found.update(predict({key: wanted[key]}, batches(), presentations, recipe.precision)[0])
            except Exception as error:
                del networks[key]
                failed(member, error)
        return found
