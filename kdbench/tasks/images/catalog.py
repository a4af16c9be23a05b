"""Image classification and its data sets, provided by the hooks that plugins use."""

from __future__ import annotations

from kdbench.data.types import Dataset
from kdbench.plugins.hookspecs import hookimpl
from kdbench.tasks.images.classification import ImageClassification
from kdbench.tasks.images.embedded import Digits
from kdbench.tasks.images.folder import ImageFolder
from kdbench.tasks.images.parquet import ImageParquet
from kdbench.tasks.images.torchvision_sets import Cifar10, Cifar100, Mnist
from kdbench.tasks.task import Task


@hookimpl
def kdbench_tasks() -> list[type[Task]]:
    """Provide image classification."""
    return [ImageClassification]


@hookimpl
def kdbench_datasets() -> list[type[Dataset]]:
    """Provide every image data set that comes with kdbench."""
    return [Digits, Mnist, Cifar10, Cifar100, ImageParquet, ImageFolder]
