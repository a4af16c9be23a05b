"""What a data set is to the rest of kdbench."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Samples with their classes, resident in memory.

    Args:
        inputs: N×C×H×W uint8 for images.
        targets: int64, N.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class RawData:
    """What a data set's ``load`` returns: everything, before subsets and the validation cut.

    Args:
        train: training samples.
        test: test samples.
        class_names: a name per class.
    """

    train: Split
    test: Split
    class_names: tuple[str, ...]


class Dataset(ABC):
    """Base class of a data set plugin (hook ``kdbench_datasets``).

    ``name`` is what suites call it; ``Options`` is a pydantic model of its options (none by default).
    """

    plugin_hook: ClassVar[str] = "kdbench_datasets"
    name: ClassVar[str]
    title: ClassVar[str] = ""

    class Options(BaseModel):
        """Options of the data set: what ``dataset.options`` may hold."""

        model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, options: BaseModel | None = None) -> None:
        self.options = options if options is not None else self.Options()

    @abstractmethod
    def load(self, root: Path) -> RawData:
        """Read (or download) and decode everything.

        Args:
            root: the data root.

        Raises:
            DataError: files are missing (the message says which to put where), truncated, or not what they should be.
        """


@dataclass(frozen=True)
class TaskData:
    """Data ready for training: subsets taken, validation split cut, content fingerprinted.

    Args:
        name: label of the data set in reports.
        train: training samples.
        validation: samples cut from the training set; may be empty.
        test: test samples.
        class_names: a name per class.
        fingerprint: digest of the content of all splits and of the class names.
        mean: per-channel mean of the training inputs in [0, 1], float32, C.
        std: per-channel standard deviation of the same.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    fingerprint: str
    mean: Tensor
    std: Tensor

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) for images."""
        return tuple(self.train.inputs.shape[1:])


@dataclass(frozen=True)
class Batch:
    """A batch on the device.

    Args:
        inputs: normalised (and augmented, when training) float32, N×C×H×W.
        targets: int64, N.
        indices: positions in the split, int64, N, on the same device.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(self.inputs.to(device), self.targets.to(device), self.indices.to(device))
