"""Data sets, splits and batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from kdbench.data.inputs import Inputs, map_inputs

PADDING = -100
"""Target of a unit that is ignored, as in ``torch.nn.CrossEntropyLoss``."""


@dataclass(frozen=True)
class Split:
    """Samples with their targets, resident in memory.

    Args:
        inputs: a row for each of N samples: N×C×H×W uint8 for images, or a mapping of tensors such as token
            ids and their mask.
        targets: int64, N; or N×L where each of a sample's L units has a target (:data:`PADDING` where there
            is none).
    """

    inputs: Inputs
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class RawData:
    """A complete data set, before subsets and the validation set are split off.

    Args:
        train: training samples.
        test: test samples; empty if a suite has to hold some out (``dataset.test``).
        class_names: one name per class.
        validation: the data set's own validation samples; ``None`` if the suite's are split off ``train``.
        notes: what a user should know about how the files were read, one sentence each.
        preparation: how files became samples, for users of a trained network, in the keys of timm's
            ``pretrained_cfg``: ``interpolation``, ``crop_mode``; empty if samples are as they are stored.
    """

    train: Split
    test: Split
    class_names: tuple[str, ...]
    validation: Split | None = None
    notes: tuple[str, ...] = ()
    preparation: Mapping[str, Any] = field(default_factory=dict)

    def splits(self) -> dict[str, Split]:
        """Return the splits by name, without a validation split that is not there."""
        own = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, "test": self.test, **own}

    def with_notes(self, notes: Iterable[str]) -> RawData:
        """Return the same with further notes, which come first."""
        return replace(self, notes=(*notes, *self.notes))


class Dataset(ABC):
    """Base class of a data set plugin (hook ``kdbench_datasets``).

    ``name`` is its name in suites; ``Options`` is a pydantic model of its options (none by default).
    """

    plugin_hook: ClassVar[str] = "kdbench_datasets"
    name: ClassVar[str]
    title: ClassVar[str] = ""

    class Options(BaseModel):
        """Options of the data set: the keys that ``dataset.options`` accepts."""

        model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, options: BaseModel | None = None) -> None:
        self.options = options if options is not None else self.Options()

    @abstractmethod
    def load(self, root: Path) -> RawData:
        """Read (or download) and decode everything.

        Args:
            root: the data root.

        Raises:
            DataError: files are missing (the message says which files belong where), truncated, or not what
                they should be.
        """


@dataclass(frozen=True)
class TaskData:
    """Data that are ready for training.

    Args:
        name: label of the data set in reports.
        train: training samples.
        validation: samples split off the training set; may be empty.
        test: test samples.
        class_names: one name per class.
        fingerprint: digest of the content of all splits and of the class names.
        statistics: what the task computed from the training split, float32: for images, ``mean`` and ``std``
            of each channel.
        notes: what a user should know about how the data were read, one sentence each.
        preparation: as :class:`RawData` has it.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    fingerprint: str
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    preparation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True)
class Batch:
    """A batch on the device.

    Args:
        inputs: the stream's output, shared by all networks, or the input of one network
            (see :meth:`kdbench.tasks.task.Task.preprocess`).
        targets: int64, M: the class of every unit that is not padding.
        indices: positions in the split, int64, N.
        mask: which units are not padding, bool, N×L; ``None`` where a sample is one unit, so that M is N.
    """

    inputs: Inputs
    targets: Tensor
    indices: Tensor
    mask: Tensor | None = None

    def units(self, values: Tensor) -> Tensor:
        """Drop the padding: M×… from N×… (unchanged) or from N×L×…."""
        return values if self.mask is None else values[self.mask]

    def to(self, device: torch.device | str) -> Batch:
        """Copy the batch to another device."""
        return Batch(
            map_inputs(lambda t: t.to(device), self.inputs),
            self.targets.to(device),
            self.indices.to(device),
            None if self.mask is None else self.mask.to(device),
        )
