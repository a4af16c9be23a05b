"""The pydantic models of a suite, short spellings included.

Only this module defines what a suite may contain: ``Suite.model_validate`` validates the content of a file or
a dict, :func:`json_schema` describes it to editors, and the docstrings below are the descriptions that they
show. The models hold plain values; names of methods, models and data sets are checked by
:mod:`kdbench.suite.resolve`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from kdbench.suite.docstrings import arguments, summary
from kdbench.suite.spelling import KeysOf, Short

LONGEST_NAME = 1_000
"""Characters of a name in records and plans; it may be made of several."""
LONGEST_TITLE = 1_000
LONGEST_DESCRIPTION = 100_000


class Frozen(BaseModel):
    """Base of the models: immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return pydantic's schema with the docstring's descriptions."""
        schema = handler(core)
        own = handler.resolve_ref_schema(schema)
        own["description"] = summary(cls)
        described = arguments(cls)
        for name, key in own.get("properties", {}).items():
            key["description"] = described[name]
            if key.get("default") in (None, {}, []) or isinstance(key["default"], dict):
                key.pop("default", None)  # nothing to show, or shown by the parts themselves
        return schema


Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]

# The limits are far beyond what anybody trains; they keep a suite from filling the memory or never ending.
Name = Annotated[str, Field(max_length=200, pattern=r"^[^\n\t]*$")]
"""A name on one line."""

File = Annotated[str, Field(max_length=4096, pattern=r"^[^\n\t]*$")]
"""The path of a file, or a name."""

MAX_SEEDS = 10_000
Epochs = Annotated[NonNegativeInt, Field(le=100_000)]
BatchSize = Annotated[PositiveInt, Field(le=1_000_000)]
MeasuredBatchSize = Annotated[PositiveInt, Field(le=4096)]


class DatasetSpec(Frozen):
    """A data set by name, with its options.

    Args:
        name: one of digits, mnist, cifar10, cifar100, parquet and folder, or the name of a plugin's data set.
        options: options of that data set (for example ``path`` of ``parquet`` and ``folder``).
        label: its name in reports; ``name`` by default.
        classes: keep only these classes (original numbers); they are renumbered from 0 in the order given.
        limit: keep at most this many training samples and this many test samples, stratified, drawn with
            ``split_seed``.
        validation: fraction of the training set held out for validation, stratified, drawn with
            ``split_seed``; every selection is made on it. A data set that has validation samples of its own
            (a folder ``val`` beside ``train`` and ``test``) uses those, and nothing is held out.
        test: if given, the training and test sets are pooled, and this fraction is held out as the test set
            in the same way. A data set without a test set needs it.
        split_seed: seed of all the splits above, the same for every trial of the suite, so that no teacher
            has seen a student's validation set.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    name: Name
    options: dict[str, Any] = {}
    label: Name | None = None
    classes: tuple[NonNegativeInt, ...] | None = None
    limit: PositiveInt | None = None
    validation: Fraction = 0.1
    test: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    split_seed: int = 0


class Recipe(Frozen):
    """How a network is trained.

    Args:
        epochs: passes over the training set; 0 evaluates a network without training it (a pretrained
            teacher).
        batch_size: samples per step.
        drop_last: skip the last batch of an epoch when it is incomplete.
        optimizer: a name that timm's ``create_optimizer_v2`` knows.
        lr: peak learning rate.
        weight_decay: weight decay, decoupled or not depending on the optimizer.
        momentum: momentum, for optimizers that have one.
        optimizer_kwargs: further arguments of the optimizer.
        decay_norm_and_bias: whether weight decay also applies to normalization parameters and biases, as in
            the field's reference code.
        schedule: learning-rate schedule: ``constant``, ``cosine``, ``multistep``, ``poly``, ``step`` or
            ``tanh``.
        schedule_kwargs: further arguments of timm's scheduler (for example ``decay_milestones: [15, 25]``, in
            epochs).
        warmup_epochs: epochs of linear warm-up.
        min_lr: lowest learning rate of the schedule.
        clip_grad: largest norm of the gradient; no clipping by default.
        augmentation: augmentation of training samples; the task defines its keys: ``crop_padding``,
            ``crop_mode`` and ``flip`` for images.
        precision: precision of forward passes; losses are always float32.
        channels_last: memory format of inputs and weights that have channels.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    epochs: Epochs = 30
    batch_size: BatchSize = 128
    drop_last: bool = True
    optimizer: Name = "sgd"
    lr: PositiveFloat = 0.05
    weight_decay: NonNegativeFloat = 5e-4
    momentum: NonNegativeFloat = 0.9
    optimizer_kwargs: dict[str, Any] = {}
    decay_norm_and_bias: bool = True
    schedule: Name = "cosine"
    schedule_kwargs: dict[str, Any] = {}
    warmup_epochs: Epochs = 0
    min_lr: NonNegativeFloat = 0.0
    clip_grad: PositiveFloat | None = None
    augmentation: dict[str, Any] = {}
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True

    def data_side(self) -> dict[str, Any]:
        """Return the keys that determine the batch stream, as JSON.

        They are ``batch_size``, ``drop_last`` and ``augmentation``.
        """
        return self.model_dump(mode="json", include={"batch_size", "drop_last", "augmentation"})


class ModelSpec(Frozen):
    """An architecture and where its weights come from.

    Args:
        model: a name that ``timm.create_model`` knows, that of a plugin's model, or ``hf-hub:OWNER/NAME`` for
            a model of timm on the Hugging Face hub.
        kwargs: further arguments of the model.
        stem: ``small`` replaces the stem of a ResNet-like model by a 3×3 convolution of stride 1 without
            pooling (for images of 28 to 32 pixels).
        weights: ``scratch``, ``pretrained`` (timm's), or the path of a safetensors file.
    """

    model: Name
    kwargs: dict[str, Any] = {}
    stem: Literal["default", "small"] = "default"
    weights: File = "scratch"


class Network(ModelSpec):
    """A model and how it is trained.

    Args:
        recipe: the keys of the suite's recipe that differ for this network.
        method: the method it is trained with; ``supervised`` by default.
        params: hyper-parameters of that method.
        teachers: its own teachers, by their names in ``networks:``.
        preprocessing: how it wants its inputs, where that differs from the data; the task defines its keys:
            ``mean``, ``std`` and ``size`` for images. Networks with timm's pretrained weights use their own
            mean and standard deviation.
        seed: the network's seed when it is a teacher: a number (trained once for the whole suite), or
            ``same`` (trained once for each of the suite's seeds).
    """

    recipe: Annotated[dict[str, Any], KeysOf(Recipe)] = {}
    method: Name = "supervised"
    params: dict[str, Any] = {}
    teachers: Annotated[tuple[Name, ...], Field(max_length=32)] = ()
    preprocessing: dict[str, Any] | None = None
    seed: int | Literal["same"] = 0


Reference = Annotated[
    Annotated[Name, Tag("str")] | Annotated[Network, Tag("Network")],
    Discriminator(lambda value: "str" if isinstance(value, str) else "Network"),
]
"""A network by name, or written out.

The discriminator limits errors to the alternative that was meant.
"""


class Pair(Frozen):
    """A student and its teachers, each by name or written out.

    A name is one in ``networks:``, or that of a model.

    Args:
        name: its name in reports; ``student<-teacher+…`` by default.
        student: the student.
        teacher: its teacher, if it has only one.
        teachers: its teachers, the most important first.
    """

    name: Name | None = None
    student: Reference
    teacher: Reference | None = None
    teachers: Annotated[tuple[Reference, ...], Field(max_length=32)] = ()


class Range(Frozen):
    """The values that tuning draws from: exactly one of the keys.

    Args:
        log: smallest and largest number, covered evenly in the logarithm.
        linear: smallest and largest number, covered evenly.
        choices: a list of values.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    log: tuple[PositiveFloat, PositiveFloat] | None = None
    linear: tuple[float, float] | None = None
    choices: Annotated[tuple[Any, ...], Field(min_length=2, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        given = [name for name in ("log", "linear", "choices") if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError("one_of", "give exactly one of log, linear and choices")
        if given != ["choices"]:
            low, high = getattr(self, given[0])
            if not low < high:
                raise PydanticCustomError("order", "give the smaller number first")
        return self


class MethodEntry(Frozen):
    """A method to compare, and how it is used.

    Args:
        method: name of a method, built in or a plugin's.
        name: its name in reports; ``method`` by default.
        params: hyper-parameters of the method.
        grid: lists of values by hyper-parameter; every combination is run, and the best on the validation set
            is chosen.
        search: ranges to tune in, by hyper-parameter, in place of those that the method declares.
        generations: number of born-again generations: the first learns from the student trained alone, each
            later one from the one before it.
        assistants: teacher assistants from large to small: each is taught with this method by the one before
            it, the first by the pair's teacher.
        pairs: names of the pairs to use it on; all pairs by default. ``supervised`` is always run on all
            pairs.
    """

    method: Name
    name: Name | None = None
    params: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    search: dict[str, Range] = {}
    generations: Annotated[PositiveInt, Field(le=1000)] | None = None
    assistants: Annotated[tuple[Reference, ...], Field(max_length=32)] = ()
    pairs: tuple[Name, ...] = ()


T = TypeVar("T")


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise PydanticCustomError("empty", "give at least one value")
    return tuple(dict.fromkeys(values))


Several = Annotated[tuple[T, ...], AfterValidator(_distinct)]
"""At least one value; repeated values count once."""

DeviceKind = Literal["cpu", "cuda"]
Runtime = Literal["eager", "channels_last", "bf16", "compile", "onnxruntime"]


class Latency(Frozen):
    """How latency is measured: once per architecture, in a separate process.

    Args:
        devices: devices to measure on; one that this machine lacks is skipped, with the reason.
        runtimes: how the network is run: ``eager`` (float32), ``channels_last`` (float32, N×H×W×C in memory),
            ``bf16`` (autocast), ``compile`` (``torch.compile``), ``onnxruntime`` (needs the extra
            ``kdbench[onnx]``).
        batch_sizes: samples per pass: 1 for the latency of one sample, more for throughput.
        threads: threads of torch and of ONNX Runtime; as many as the run uses by default.
        min_seconds: shortest time spent on each network in each setting, in seconds, without warm-up.
        min_rounds: smallest number of timed passes of each network in each setting.
        blocks: number of turns that each network gets: every network is timed for a while, then all of them
            again. At least 2, because the interval of a speed-up is computed over them.
        processes: number of processes that the turns are divided among, one after the other, because a
            network's time depends a little on where its process lies in memory. With three or more, the
            interval of a speed-up is computed over processes.
        max_spread: a result is called unstable if its interquartile range divided by its median exceeds this.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    devices: Several[DeviceKind] = ("cpu", "cuda")
    runtimes: Several[Runtime] = ("eager",)
    batch_sizes: Annotated[Several[MeasuredBatchSize], Field(max_length=100)] = (1, 64)
    threads: Annotated[PositiveInt, Field(le=4096)] | None = None
    min_seconds: Annotated[PositiveFloat, Field(le=3600.0)] = 1.0
    min_rounds: Annotated[PositiveInt, Field(le=100_000)] = 20
    blocks: Annotated[int, Field(ge=2, le=1000)] = 12
    processes: Annotated[PositiveInt, Field(le=100)] = 4
    max_spread: PositiveFloat = 0.5


LatencyOrNone = Annotated[
    Annotated[Latency, Tag("settings")] | Annotated[Literal[False], Tag("off")],
    Discriminator(lambda value: "off" if value is False else "settings"),
    BeforeValidator(lambda value: Latency() if value is True else value, json_schema_input_type=bool | Latency),
]
"""Settings, ``true`` for the default ones, or ``false``.

The discriminator limits errors to the alternative that was meant.
"""


class Measure(Frozen):
    """What is measured for every architecture.

    Args:
        cost: measure parameters, MACs and size.
        batch_size: batch size for which the memory of activations is measured (MACs are per sample).
        latency: how latency is measured; ``false`` to leave it out.
    """

    cost: bool = True
    batch_size: MeasuredBatchSize = 1
    latency: LatencyOrNone = Latency()


class Limits(Frozen):
    """What a trial may take; one that takes more has failed, and the others go on.

    With limits, trials train in worker processes, of which there is one by default.

    Args:
        trial_minutes: minutes of a trial's own training in one run; no limit by default.
    """

    trial_minutes: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None


TunedKey = Literal["lr", "weight_decay"]


def _usual_ranges(value: Any) -> Any:
    """Return a list of keys as a mapping that gives each its default range."""
    return dict.fromkeys(value) if isinstance(value, list | tuple) and all(isinstance(key, str) for key in value) else value


class Tuning(Frozen):
    """How every method is tuned, ``supervised`` included.

    A draw is a training of the student with other hyper-parameters; the best draw on the validation set is
    trained again with all seeds.

    Args:
        draws: draws of each method and pair. The first has the method's own values, the others are
            quasi-random in the ranges that the method declares.
        epochs: epochs of a draw, as a share of the recipe's.
        seed: seed of the draws, which must not be one of ``seeds``.
        recipe: keys of the recipe that are tuned together with each method, ``lr`` by default: a list of keys
            with their default ranges (from a quarter of the recipe's ``lr`` to four times it, from a tenth of
            its ``weight_decay`` to ten times it), or a range by key.
        default: whether the method's own values are trained with all seeds too, to be shown beside the
            winner's.
    """

    draws: Annotated[int, Field(ge=2, le=1000)] = 8
    epochs: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 0.4
    seed: int = 1000
    recipe: Annotated[
        dict[TunedKey, Range | None],
        BeforeValidator(_usual_ranges, json_schema_input_type=list[TunedKey] | dict[TunedKey, Range | None]),
    ] = {"lr": None}
    default: bool = True


class ReportSpec(Frozen):
    """How the leaderboard is shown.

    Args:
        columns: columns in order, by their names in ``kdbench list columns``; by default six to eight that
            tell the rows apart.
        sort: the column that students are sorted by, best first; a leading ``-`` reverses the order.
        latency: the setting whose latency stands in tables and figures, as ``onnxruntime@1`` (runtime and
            batch size) or ``cuda/eager@64``; the first of ``measure.latency`` by default.
    """

    columns: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    sort: Name = "place"
    latency: Name | None = None


def _counted(value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if value > MAX_SEEDS:
        raise PydanticCustomError("too_many", f"input should be at most {MAX_SEEDS:,} seeds")
    return tuple(range(value))


SeedList = Annotated[tuple[int, ...], Field(min_length=1, max_length=MAX_SEEDS)]
Seeds = Annotated[
    SeedList,
    BeforeValidator(_counted, json_schema_input_type=Annotated[PositiveInt, Field(le=MAX_SEEDS)] | SeedList),
]
"""A list of seeds, or their number."""


def _plain_file_name(name: str) -> str:
    if len(name.encode(errors="replace")) > 200:
        raise PydanticCustomError("too_long", "input should be a shorter name: files are called by it")
    return name


SuiteName = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[^./\\\n\t][^/\\\n\t]*$"), AfterValidator(_plain_file_name)
]
"""The name of a suite, which is also that of its files: without folders."""


class Suite(Frozen):
    """A comparison of methods on a data set and pairs of students and teachers.

    It also says how everything is trained and measured.

    Args:
        name: short name; the file's name without its ending by default.
        title: heading of the report.
        description: a paragraph for the report.
        task: what is learnt: ``classification`` (of images), or a plugin's task.
        dataset: the data set, by name or with options.
        networks: networks by name, for use in pairs, as assistants, and as each other's teachers.
        pairs: student/teacher pairs.
        methods: methods to compare, by name or with options; ``supervised`` is added if it is missing.
        seeds: the number of seeds (n for 0 to n − 1), or a list of them.
        recipe: how students are trained; networks may override keys.
        tuning: how hyper-parameters are tuned, with the same number of draws for every method; they are not
            by default.
        measure: what is measured besides accuracy.
        limits: what a trial may take.
        report: how the leaderboard is shown.
        plugins: plugin files, relative to the suite's file.
    """

    name: SuiteName = "suite"
    title: Annotated[str, Field(max_length=LONGEST_TITLE)] | None = None
    description: Annotated[str, Field(max_length=LONGEST_DESCRIPTION)] | None = None
    task: Name = "classification"
    dataset: Annotated[DatasetSpec, Short("name")]
    networks: dict[Name, Annotated[Network, Short("model")]] = {}
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]
    methods: Annotated[tuple[Annotated[MethodEntry, Short("method")], ...], Field(min_length=1)]
    seeds: Seeds = (0,)
    recipe: Recipe = Recipe()
    tuning: Tuning | None = None
    measure: Measure = Measure()
    limits: Limits = Limits()
    report: ReportSpec = ReportSpec()
    plugins: Annotated[tuple[File, ...], Field(max_length=100)] = ()


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # a title would only repeat the key
        return False


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of suites, short spellings included."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kdbench suite",
        **{k: v for k, v in Suite.model_json_schema(schema_generator=_Generator).items() if k != "title"},
    }
