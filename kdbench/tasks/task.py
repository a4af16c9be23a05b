"""The seam of tasks: all that the rest of kdbench knows of what is learnt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn import functional as F

from kdbench.data.inputs import Inputs
from kdbench.data.types import PADDING, Batch, RawData, Split, TaskData
from kdbench.errors import DataError
from kdbench.plan.identity import canonical
from kdbench.plan.trial import TaskInfo
from kdbench.suite.schema import ModelSpec
from kdbench.tasks.metrics import ACCURACY, Metric
from kdbench.tasks.stream import PlainSource, Source, StreamSettings, TrainStream, plain_batches

InputSpec = Any
"""Plain data (JSON) that describe what a network takes: the shape of an image, or length and vocabulary of a text."""

Preprocess = Callable[[Inputs], Inputs]
"""From a batch's inputs as the stream makes them to those that one network takes; changes nothing in place."""


class NoSettings(BaseModel):
    """Nothing can be set."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(ABC):
    """Base class of a task plugin (hook ``kdbench_tasks``).

    A task is stateless. Units are what one prediction is about: a sample, or every token of a sample that is not padding.
    Targets have a row a sample; where they are N×L, those equal to :data:`kdbench.data.types.PADDING` are left out, so that
    methods and metrics see logits M×C and targets M.

    ``name`` is what suites call it (``task: name``), ``unit`` what reports call one unit, ``metrics`` are computed on every split,
    and methods are compared by the ``primary`` one. ``Augmentation`` says what ``recipe.augmentation`` may hold, ``Preprocessing``
    what ``preprocessing`` of a network may.
    """

    plugin_hook: ClassVar[str] = "kdbench_tasks"
    name: ClassVar[str]
    unit: ClassVar[str] = "sample"
    metrics: ClassVar[Mapping[str, Metric]] = {"accuracy": ACCURACY}
    primary: ClassVar[str] = "accuracy"

    Augmentation: ClassVar[type[BaseModel]] = NoSettings
    Preprocessing: ClassVar[type[BaseModel]] = NoSettings

    # What is on disk and in the suite.

    def check(self, name: str, raw: RawData) -> None:
        """Hold the data that a data set (which may be a plugin's) gave to the contract of ``RawData`` and of this task.

        Raises:
            DataError: they break it.
        """
        for which, split in (("training", raw.train), ("test", raw.test)):
            check_targets(f'data set "{name}": the {which}', split.targets, len(raw.class_names))

    def statistics(self, train: Split) -> dict[str, Tensor]:
        """What :meth:`preprocess` has to know of the training split, float32."""
        return {}

    def augmentation(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check ``recipe.augmentation``, and give it the form that ids of trials are made from.

        Raises:
            pydantic.ValidationError: a key is unknown or a value is out of range.
        """
        return canonical(self.Augmentation.model_validate(dict(given)))

    def preprocessing(self, given: Mapping[str, Any] | None, spec: ModelSpec) -> dict[str, Any] | None:
        """What a network wants of its inputs; ``None`` where it goes by the data.

        Args:
            given: ``preprocessing`` of the network in the suite.
            spec: the network.

        Raises:
            pydantic.ValidationError: a key is unknown or a value is out of range.
        """
        return canonical(self.Preprocessing.model_validate(dict(given))) or None if given else None

    # What networks take.

    @abstractmethod
    def input_spec(self, data: TaskData, preprocessing: Mapping[str, Any] | None = None) -> InputSpec:
        """Describe what a network with this preprocessing takes, in plain data: costs and latencies depend on nothing else.

        Raises:
            DataError: the preprocessing does not fit the data.
        """

    @abstractmethod
    def example(self, spec: InputSpec, batch_size: int = 1, generator: torch.Generator | None = None) -> Inputs:
        """Inputs that a network takes, on the CPU: zeros, or drawn from a generator."""

    @abstractmethod
    def model_arguments(self, spec: InputSpec, num_classes: int) -> dict[str, Any]:
        """Arguments that every model factory gets: ``num_classes``, and what it must know of the inputs."""

    def preprocess(
        self, data: TaskData, preprocessing: Mapping[str, Any] | None, *, device: torch.device, channels_last: bool
    ) -> Preprocess:
        """Make the function from a batch's inputs to those that a network takes; the default leaves them as they are."""
        return lambda inputs: inputs

    def network_config(
        self,
        spec: InputSpec,
        preprocessing: Mapping[str, Any] | None,
        statistics: Mapping[str, Tensor],
        class_names: Sequence[str],
    ) -> dict[str, Any]:
        """What users of a trained network must know of its inputs and classes, in timm's words for ``pretrained_cfg``.

        Args:
            spec: what the network takes.
            preprocessing: what it wants of its inputs; ``None`` where it goes by the data.
            statistics: what :meth:`statistics` found in the data that it was trained on.
            class_names: a name per class.
        """
        return {"num_classes": len(class_names), "label_names": tuple(class_names)}

    # Batches.

    def source(self, data: TaskData, asked: StreamSettings) -> Source:
        """The training samples on the device; the default does not augment."""
        return PlainSource(data.train.inputs, asked.device)

    def stream(self, data: TaskData, asked: StreamSettings) -> TrainStream:
        """The training stream.

        Raises:
            DataError: the data are too few, or do not suit what is asked.
        """
        return TrainStream(data, asked, self.source(data, asked))

    def batches(self, split: Split, *, batch_size: int, device: torch.device, channels_last: bool) -> Iterator[Batch]:
        """The samples of a split in their order, not augmented; the last batch may hold fewer."""
        return plain_batches(split, batch_size, device)

    # Predictions.

    def scores(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Every metric, and ``loss``, the mean cross-entropy in nats; nothing for no units.

        Args:
            logits: float32, M×C, on the CPU.
            targets: int64, M.
        """
        if len(targets) == 0:
            return {}
        found = {name: metric.function(logits, targets) for name, metric in self.metrics.items()}
        return {**found, "loss": float(F.cross_entropy(logits, targets))}

    def predictions(self, logits: Tensor, targets: Tensor) -> dict[str, np.ndarray]:
        """What is kept of the predictions on the test split: arrays of numbers; ``logits`` M×C and ``targets`` M by default."""
        return {"logits": logits.numpy(), "targets": targets.numpy()}

    @classmethod
    def info(cls) -> TaskInfo:
        """What reports must know of the task."""
        return TaskInfo(
            name=cls.name, unit=cls.unit, metrics={name: m.info() for name, m in cls.metrics.items()}, primary=cls.primary
        )


def check_targets(what: str, targets: Tensor, classes: int) -> None:
    """Hold targets to the contract: int64, classes from 0, or padding where a sample has many.

    Args:
        what: whose they are, for the message.
        targets: N or N×L.
        classes: number of classes.

    Raises:
        DataError: they break it.
    """
    if targets.dtype != torch.int64 or targets.dim() not in (1, 2):
        raise DataError(f"{what} targets are {targets.dtype} of shape {tuple(targets.shape)}, not int64 N or N×L")
    known = targets if targets.dim() == 1 else targets[targets != PADDING]
    if len(known) and not 0 <= int(known.min()) <= int(known.max()) < classes:
        raise DataError(f"{what} labels run from {int(known.min())} to {int(known.max())}, and there are {classes} class names")
