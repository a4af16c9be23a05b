"""What a suite may say: the pydantic models behind a suite's YAML.

These types hold plain values only. Names (of methods, models, data sets) are resolved by :mod:`kdbench.suite.load`,
which knows the file's lines.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
)
from pydantic_core import PydanticCustomError


class Frozen(BaseModel):
    """Immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class DatasetSpec(Frozen):
    """A data set by name, with its options.

    Args:
        name: a data set of the catalog: digits, mnist, cifar10, cifar100, parquet, folder, or a plugin's.
        options: options of that data set's own (for example ``path`` of ``parquet`` and ``folder``).
        label: how reports call it; the name by default.
        classes: keep only these classes (of the original numbering); they are renumbered from 0 in the order given.
        limit: keep at most this many training and this many test samples, stratified, by ``split_seed``.
        validation: share of the training set cut off, stratified, by ``split_seed``; all selection happens on it.
        test: when given, train and test sets are pooled and this share is held out as the test set, likewise.
        split_seed: seed of all the cuts above, the same for every trial of the suite: no teacher has seen a student's
            validation set.
    """

    name: str
    options: dict[str, Any] = {}
    label: str | None = None
    classes: tuple[NonNegativeInt, ...] | None = None
    limit: PositiveInt | None = None
    validation: Fraction = 0.1
    test: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    split_seed: int = 0


class Augmentation(Frozen):
    """Batched augmentation of training images, parameters drawn per sample.

    Args:
        crop_padding: pad by this many pixels on each side and crop back at a random place; 0 is none.
        crop_mode: what the padding holds: ``zeros`` (black in the original image) or ``reflect``.
        flip: mirror left-right with probability 1/2.
    """

    crop_padding: NonNegativeInt = 0
    crop_mode: Literal["zeros", "reflect"] = "zeros"
    flip: bool = False


class Recipe(Frozen):
    """How a network is trained.

    Args:
        epochs: passes over the training set; 0 evaluates a network as it is (a pretrained teacher).
        batch_size: samples a step.
        drop_last: leave out an incomplete last batch.
        optimizer: a name that timm's ``create_optimizer_v2`` knows.
        lr: peak learning rate.
        weight_decay: decoupled or not, as the optimiser has it.
        momentum: for optimisers that take one.
        optimizer_kwargs: further arguments of the optimiser.
        decay_norm_and_bias: whether weight decay acts on norm parameters and biases too, as the field's reference code has it.
        schedule: a name that timm's ``create_scheduler_v2`` knows, or ``constant``.
        schedule_kwargs: further arguments of the scheduler (for example ``decay_milestones: [15, 25]`` in epochs).
        warmup_epochs: epochs of linear warm-up.
        min_lr: the schedule's floor.
        clip_grad: largest norm of the gradient.
        augmentation: of training samples.
        precision: of forward passes; losses are float32 always.
        channels_last: memory format of images and weights.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    epochs: NonNegativeInt = 30
    batch_size: PositiveInt = 128
    drop_last: bool = True
    optimizer: str = "sgd"
    lr: PositiveFloat = 0.05
    weight_decay: NonNegativeFloat = 5e-4
    momentum: NonNegativeFloat = 0.9
    optimizer_kwargs: dict[str, Any] = {}
    decay_norm_and_bias: bool = True
    schedule: str = "cosine"
    schedule_kwargs: dict[str, Any] = {}
    warmup_epochs: NonNegativeInt = 0
    min_lr: NonNegativeFloat = 0.0
    clip_grad: PositiveFloat | None = None
    augmentation: Augmentation = Augmentation()
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True

    def data_side(self) -> dict[str, Any]:
        """The part that decides the batch stream: batch size, incomplete batches, augmentation."""
        return self.model_dump(mode="json", include={"batch_size", "drop_last", "augmentation"})


class ModelSpec(Frozen):
    """An architecture and where its weights come from.

    Args:
        model: a name that ``timm.create_model`` knows, or that of a model plugin.
        kwargs: further arguments of the model.
        stem: ``small`` replaces the stem of a ResNet-like model by 3×3, stride 1, without pooling (for 28–32 px images).
        weights: ``scratch``, ``pretrained`` (timm's), or the path of a safetensors file.
    """

    model: str
    kwargs: dict[str, Any] = {}
    stem: Literal["default", "small"] = "default"
    weights: str = "scratch"


class Network(ModelSpec):
    """A model and how it is trained.

    Args:
        recipe: keys of :class:`Recipe` that differ from the suite's.
        method: method it is trained with; ``supervised`` by default.
        params: parameters of that method.
        teachers: names in ``networks:`` of its own teachers.
        seed: seed of the network when it serves as teacher: a number (trained once for the whole suite), or ``same`` (once for each seed).
    """

    recipe: dict[str, Any] = {}
    method: str = "supervised"
    params: dict[str, Any] = {}
    teachers: tuple[str, ...] = ()
    seed: int | Literal["same"] = 0


Reference = Annotated[
    Annotated[str, Tag("str")] | Annotated[Network, Tag("Network")],
    Discriminator(lambda value: "str" if isinstance(value, str) else "Network"),
]
"""A network by name, or spelt out; the discriminator keeps errors to the member that was meant."""


class Pair(Frozen):
    """One student and its teacher(s), each a name in ``networks:``, a timm model's name, or a network spelt out.

    Args:
        name: how reports call it; ``student<-teacher+…`` by default.
        student: the student.
        teachers: its teachers, the most important first (``teacher:`` takes a single one).
    """

    name: str | None = None
    student: Reference
    teacher: Reference | None = None
    teachers: tuple[Reference, ...] = ()


class MethodEntry(Frozen):
    """One line of ``methods:``.

    Args:
        method: name of a method plugin.
        name: how reports call it; the method's name by default.
        params: hyper-parameters.
        grid: hyper-parameter → list of values; all combinations are run, the winner is chosen on the validation set.
        generations: born-again networks: generation 1 has the student trained alone as its teacher, generation k+1 has generation k.
        assistants: teacher assistants from large to small: each is taught, with this method, by the one before it, the first by
            the pair's teacher.
        pairs: names of the pairs that it is for; all by default. ``supervised`` is for all pairs.
    """

    method: str
    name: str | None = None
    params: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    generations: PositiveInt | None = None
    assistants: tuple[Reference, ...] = ()
    pairs: tuple[str, ...] = ()


T = TypeVar("T")


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise PydanticCustomError("empty", "give at least one value")
    return tuple(dict.fromkeys(values))


Several = Annotated[tuple[T, ...], AfterValidator(_distinct)]
"""At least one value; what is said twice counts once."""

DeviceKind = Literal["cpu", "cuda"]
Runtime = Literal["eager", "channels_last", "bf16", "compile", "onnxruntime"]


class Latency(Frozen):
    """How long a forward pass takes: how it is measured, once an architecture, in a process of its own.

    Args:
        devices: where; a device that this machine lacks is skipped, with the reason.
        runtimes: how the network is run: ``eager`` (float32), ``channels_last`` (float32, N×H×W×C in memory), ``bf16`` (autocast),
            ``compile`` (``torch.compile``), ``onnxruntime`` (needs the extra ``kdbench[onnx]``).
        batch_sizes: samples a pass: 1 for the latency of one sample, a larger one for throughput.
        threads: threads of torch and of ONNX Runtime; as many as the run has by default.
        min_seconds: least time spent on each network in each setting, in seconds, warm-up not counted.
        min_rounds: least number of timed passes of each network in each setting.
        blocks: turns that networks take: each is timed for a while, then the next, and round again; at least 2, for the interval of
            a speed-up is made over them.
        processes: processes that the turns are shared out among, one after the other: a network's time depends a little on how its
            process came to lie in memory. With three or more the interval of a speed-up is made over processes.
        max_spread: interquartile range / median above which a result is called unstable.
    """

    devices: Several[DeviceKind] = ("cpu", "cuda")
    runtimes: Several[Runtime] = ("eager",)
    batch_sizes: Several[PositiveInt] = (1, 64)
    threads: PositiveInt | None = None
    min_seconds: PositiveFloat = 1.0
    min_rounds: PositiveInt = 20
    blocks: Annotated[int, Field(ge=2)] = 12
    processes: PositiveInt = 4
    max_spread: PositiveFloat = 0.5


LatencyOrNone = Annotated[
    Annotated[Latency, Tag("settings")] | Annotated[Literal[False], Tag("off")],
    Discriminator(lambda value: "off" if value is False else "settings"),
    BeforeValidator(lambda value: Latency() if value is True else value),
]
"""The discriminator keeps errors to the member that was meant."""


class Measure(Frozen):
    """What is measured of every architecture.

    Args:
        cost: parameters, MACs and size.
        batch_size: batch of the cost measurement: of the activations' memory (MACs are given per sample).
        latency: how latency is measured; ``false`` for not at all.
    """

    cost: bool = True
    batch_size: PositiveInt = 1
    latency: LatencyOrNone = Latency()


class ReportSpec(Frozen):
    """How the leaderboard is shown.

    Args:
        columns: names of columns, in order; those of ``kdbench list columns``. By default those that have something to say.
        sort: name of the column that students are sorted by, best first; a leading ``-`` turns the order round.
    """

    columns: tuple[str, ...] = ()
    sort: str = "place"


class Suite(Frozen):
    """A whole suite.

    Args:
        name: short name; the file's stem by default.
        title: heading of the report.
        description: a paragraph for the report.
        dataset: what is learnt.
        networks: networks by name, for use in pairs, assistants and as each other's teachers.
        pairs: student/teacher pairs.
        methods: methods to compare; ``supervised`` is added when it is not there.
        seeds: a number n (seeds 0 … n-1) or a list.
        recipe: how students are trained; networks may override keys.
        measure: what is measured beside accuracy.
        report: how the leaderboard is shown.
        plugins: plugin files, relative to the suite's file.
    """

    name: str
    title: str | None = None
    description: str | None = None
    dataset: DatasetSpec
    networks: dict[str, Network] = {}
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]
    methods: Annotated[tuple[MethodEntry, ...], Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    recipe: Recipe = Recipe()
    measure: Measure = Measure()
    report: ReportSpec = ReportSpec()
    plugins: tuple[str, ...] = ()
