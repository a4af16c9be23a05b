"""The interface of tasks: everything that the rest of kdbench knows about one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
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
from kdbench.tasks.stream import PlainSource, Source, StreamSettings, TrainStream, check_stream, plain_batches

InputSpec = Any
"""Plain data (JSON) that describe a network's inputs.

For example the shape of an image, or the length and vocabulary of a text.
"""

Preprocess = Callable[[Inputs], Inputs]
"""Turns the stream's inputs into those of one network, changing nothing in place."""


SPLIT_NAMES = MappingProxyType({"train": "training", "validation": "validation", "test": "test"})
"""The splits of :class:`RawData` in messages."""

FEW_CLASSES = 1000
"""Number of classes that any data set may have, however small."""


class NoSettings(BaseModel):
    """No settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(ABC):
    """Base class of a task plugin (hook ``kdbench_tasks``).

    A task is stateless. A unit is what one prediction is about: a sample, or every token of a sample that is
    not padding. Targets have one row per sample; if they are N×L, those equal to
    :data:`kdbench.data.types.PADDING` are dropped, so that methods and metrics see logits M×C and targets M.

    ``name`` is its name in suites (``task: name``), ``unit`` the name of one unit in reports. ``metrics`` are
    computed on every split, and methods are compared by the ``primary`` one. ``Augmentation`` is the schema
    of ``recipe.augmentation``, ``Preprocessing`` that of a network's ``preprocessing``.
    """

    plugin_hook: ClassVar[str] = "kdbench_tasks"
    name: ClassVar[str]
    unit: ClassVar[str] = "sample"
    metrics: ClassVar[Mapping[str, Metric]] = {"accuracy": ACCURACY}
    primary: ClassVar[str] = "accuracy"

    Augmentation: ClassVar[type[BaseModel]] = NoSettings
    Preprocessing: ClassVar[type[BaseModel]] = NoSettings

    # Data and suite.

    def check(self, name: str, raw: RawData) -> None:
        """Check that loaded data meet the contract of ``RawData`` and of this task.

        Raises:
            DataError: they do not.
        """
        check_classes(f'data set "{name}"', len(raw.class_names), raw.train.targets.numel())
        for which, split in raw.splits().items():
            check_targets(f'data set "{name}": the {SPLIT_NAMES[which]}', split.targets, len(raw.class_names))

    def statistics(self, train: Split) -> dict[str, Tensor]:
        """Compute what :meth:`preprocess` needs from the training split, float32."""
        return {}

    def augmentation(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check ``recipe.augmentation`` and return its canonical form, for trial ids.

        Raises:
            pydantic.ValidationError: a key is unknown or a value is out of range.
        """
        return canonical(self.Augmentation.model_validate(dict(given)))

    def preprocessing(self, given: Mapping[str, Any] | None, spec: ModelSpec) -> dict[str, Any] | None:
        """Return a network's preprocessing; ``None`` for that of the data.

        Args:
            given: ``preprocessing`` of the network in the suite.
            spec: the network.

        Raises:
            pydantic.ValidationError: a key is unknown or a value is out of range.
        """
        return canonical(self.Preprocessing.model_validate(dict(given))) or None if given else None

    # Inputs of networks.

    @abstractmethod
    def input_spec(self, data: TaskData, preprocessing: Mapping[str, Any] | None = None) -> InputSpec:
        """Describe the inputs of a network with this preprocessing, as plain data.

        A network's costs and latencies must not depend on anything else about its inputs.

        Raises:
            DataError: the preprocessing does not fit the data.
        """

    @abstractmethod
    def example(self, spec: InputSpec, batch_size: int = 1, generator: torch.Generator | None = None) -> Inputs:
        """Create inputs of a network, on the CPU: zeros, or drawn from a generator."""

    @abstractmethod
    def model_arguments(self, spec: InputSpec, num_classes: int) -> dict[str, Any]:
        """Return model factories' arguments: ``num_classes``, and those of the inputs."""

    def preprocess(
        self, data: TaskData, preprocessing: Mapping[str, Any] | None, *, device: torch.device, channels_last: bool
    ) -> Preprocess:
        """Create the function from the stream's inputs to those of a network.

        By default the inputs do not change.
        """
        return lambda inputs: inputs

    def network_config(
        self,
        spec: InputSpec,
        preprocessing: Mapping[str, Any] | None,
        statistics: Mapping[str, Tensor],
        class_names: Sequence[str],
    ) -> dict[str, Any]:
        """Describe the inputs and classes of a trained network to its users.

        The keys are those of timm's ``pretrained_cfg``.

        Args:
            spec: description of the network's inputs.
            preprocessing: preprocessing of its inputs; ``None`` for that of the data.
            statistics: result of :meth:`statistics` for its training data.
            class_names: a name per class.
        """
        return {"num_classes": len(class_names), "label_names": tuple(class_names)}

    # Batches.

    def source(self, data: TaskData, asked: StreamSettings) -> Source:
        """Create the source of training samples on the device, by default unaugmented."""
        return PlainSource(data.train.inputs, asked.device)

    def stream(self, data: TaskData, asked: StreamSettings) -> TrainStream:
        """Create the training stream.

        Raises:
            DataError: there are too few data, or they do not suit the settings.
        """
        return TrainStream(data, asked, self.source(data, asked))

    def check_stream(self, data: TaskData, settings: StreamSettings) -> None:
        """Check that the training stream can be created, without creating it.

        Raises:
            DataError: there are too few data, or they do not suit the settings.
        """
        check_stream(data, settings)

    def batches(self, split: Split, *, batch_size: int, device: torch.device, channels_last: bool) -> Iterator[Batch]:
        """Yield the samples of a split in order, unaugmented; the last batch may be short."""
        return plain_batches(split, batch_size, device)

    # Predictions.

    def scores(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Compute every metric, and ``loss``, the mean cross-entropy in nats.

        Args:
            logits: float32, M×C, on the CPU.
            targets: int64, M.

        Returns:
            Values by name; empty if there are no units.
        """
        if len(targets) == 0:
            return {}
        found = {name: metric.function(logits, targets) for name, metric in self.metrics.items()}
        return {**found, "loss": float(F.cross_entropy(logits, targets))}

    def predictions(self, logits: Tensor, targets: Tensor) -> dict[str, np.ndarray]:
        """Select what to store of the predictions on the test split: arrays of numbers.

        By default these are ``logits`` M×C and ``targets`` M.
        """
        return {"logits": logits.numpy(), "targets": targets.numpy()}

    @classmethod
    def info(cls) -> TaskInfo:
        """Return what reports must know about the task."""
        return TaskInfo(
            name=cls.name, unit=cls.unit, metrics={name: m.info() for name, m in cls.metrics.items()}, primary=cls.primary
        )


def check_classes(what: str, classes: int, units: int) -> None:
    """Check that there are not more classes than units, unless they are few.

    Every class costs weights in each network, so that one wrong label could fill the memory.

    Args:
        what: what has them, for the message.
        classes: number of classes.
        units: number of units in the training split.

    Raises:
        DataError: there are more.
    """
    if classes > max(units, FEW_CLASSES):
        raise DataError(f"{what} has {classes:,} classes and {units:,} training samples: are its labels numbered from 0?")


def check_targets(what: str, targets: Tensor, classes: int) -> None:
    """Check targets: int64, classes from 0, or padding where a sample has many.

    Args:
        what: subject of the message.
        targets: N or N×L.
        classes: number of classes.

    Raises:
        DataError: they are invalid.
    """
    if targets.dtype != torch.int64 or targets.dim() not in (1, 2):
        raise DataError(f"{what} targets are {targets.dtype} of shape {tuple(targets.shape)}, not int64 N or N×L")
    known = targets if targets.dim() == 1 else targets[targets != PADDING]
    if len(known) and not 0 <= int(known.min()) <= int(known.max()) < classes:
        raise DataError(f"{what} labels are {int(known.min())} to {int(known.max())}, but there are {classes} class names")
