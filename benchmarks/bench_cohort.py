"""What a cohort saves: time a trial, for 1, 4 and 12 members, against one by one.

Run with ``pytest benchmarks/bench_cohort.py --benchmark-enable -s``. ResNet-18 with the small-image stem teaches
``lightcnn`` on input of CIFAR-10's shape. All ratios are taken within one run.
"""

from __future__ import annotations

import itertools
import statistics
import time

import pytest
import torch

from kdbench.data.types import Batch, Split, TaskData
from kdbench.models import observe
from kdbench.plan.trial import DataKey, Trial
from kdbench.plugins.manager import Registry, load_registry
from kdbench.suite.schema import DatasetSpec, ModelSpec, Recipe
from kdbench.tasks.images.classification import ImageClassification
from kdbench.tasks.stream import StreamSettings, TrainStream
from kdbench.train.cohort import train_cohort
from kdbench.train.events import Left
from kdbench.train.member import Member
from kdbench.train.networks import build_context, initial_student, interface_of, make_method
from kdbench.train.presentation import Presentation
from kdbench.train.teacher import Teacher

TASK = ImageClassification()
BATCH, STEPS = 128, 3
RECIPE = Recipe(epochs=1, batch_size=BATCH, augmentation={"crop_padding": 4, "flip": True})
CPU = torch.device("cpu")


def noise() -> TaskData:
    """Noise of CIFAR-10's shape: its values do not matter for time."""
    generator = torch.Generator().manual_seed(0)
    split = Split(
        torch.randint(0, 256, (BATCH * STEPS, 3, 32, 32), dtype=torch.uint8, generator=generator),
        torch.randint(0, 10, (BATCH * STEPS,), generator=generator),
    )
    names = tuple(map(str, range(10)))
    return TaskData("noise", split, split, split, names, "noise", TASK.statistics(split))


@pytest.fixture(scope="module")
def data() -> TaskData:
    """The noise."""
    return noise()


@pytest.fixture(scope="module")
def registry() -> Registry:
    """All plugins."""
    return load_registry()


def trial(model: ModelSpec, method: str, seed: int, teachers: tuple[str, ...] = (), epochs: int = 1) -> Trial:
    """A trial on the noise."""
    key = DataKey(spec=DatasetSpec(name="noise"), fingerprint="noise")
    recipe = RECIPE.model_copy(update={"epochs": epochs})
    return Trial(data=key, model=model, method=method, teachers=teachers, recipe=recipe, seed=seed)


def cohort(
    members: int, data: TaskData, registry: Registry, *, teacher: str = "resnet18", epochs: int = 1
) -> tuple[list[Member], dict[str, Teacher], TrainStream]:
    """``members`` members of kd, their teacher and their batches."""
    spec = ModelSpec(model=teacher, stem="small" if teacher == "resnet18" else "default")
    teacher_trial = trial(spec, "supervised", 0, epochs=epochs)
    network = initial_student(teacher_trial, interface_of(teacher_trial, data, registry), registry)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = StreamSettings(
        batch_size=BATCH,
        drop_last=True,
        augmentation=RECIPE.augmentation,
        sampler="shuffle",
        seed=0,
        device=CPU,
        channels_last=True,
    )
    stream = TASK.stream(data, settings)
    example = interface_of(teacher_trial, data, registry).example()
    made = []
    for number in range(members):
        own = trial(ModelSpec(model="lightcnn"), "kd", number, (teacher_trial.id,), epochs)
        method, interface = make_method(own, registry), interface_of(own, data, registry)
        student = initial_student(own, interface, registry)
        shapes = (observe.shapes(network, example, features=(), embedding=False),)
        context = build_context(own, student, shapes, interface, data.train.targets, registry, method, STEPS)
        made.append(Member(own, method, student, context, Presentation.of(own, TASK, data, CPU), TASK.metrics, CPU))
    presentation = Presentation.of(teacher_trial, TASK, data, CPU)
    stages = observe.num_stages(network, example)
    needs = [m.needs for m in made]
    return made, {teacher_trial.id: Teacher(teacher_trial.id, network, needs, stages, presentation, "fp32")}, stream


def seconds(members: int, data: TaskData, registry: Registry) -> float:
    """Seconds of an epoch of ``members`` members of kd, set-up not counted."""
    made, teachers, stream = cohort(members, data, registry)
    begin = time.perf_counter()
    for event in train_cohort(made, teachers, stream, CPU):
        if isinstance(event, Left):
            raise event.error
    return time.perf_counter() - begin


@pytest.mark.parametrize("members", [1, 4, 12])
def test_time_a_trial(benchmark, members: int, data: TaskData, registry: Registry) -> None:  # type: ignore[no-untyped-def]
    """Time of a cohort, and the ratio of time a trial against a trial alone, rounds taken in turns."""
    seconds(1, data, registry)  # warm up
    rounds = [(seconds(1, data, registry), seconds(members, data, registry) / members) for _ in range(3)]
    ratio = statistics.median(alone / together for alone, together in rounds)
    benchmark.extra_info["times_less_a_trial"] = ratio
    benchmark.pedantic(seconds, args=(members, data, registry), rounds=1)
    print(f"\n{members} members: {ratio:.1f} times less time a trial than one by one")


def test_teacher_runs_once_a_batch(data: TaskData, registry: Registry) -> None:
    """The reason for the gain, counted and not timed."""
    calls = itertools.count()
    original = Teacher.__call__

    def counted(self: Teacher, batch: Batch):  # type: ignore[no-untyped-def]
        next(calls)
        return original(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Teacher, "__call__", counted)
        seconds(4, data, registry)
    assert next(calls) == STEPS
