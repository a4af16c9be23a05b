"""The data sets that come with kdbench, offered through the hook that a stranger's plugin would use."""

from __future__ import annotations

from kdbench.data.embedded import Digits
from kdbench.data.folder import ImageFolder
from kdbench.data.parquet import ImageParquet
from kdbench.data.torchvision_sets import Cifar10, Cifar100, Mnist
from kdbench.data.types import Dataset
from kdbench.plugins.hookspecs import hookimpl


@hookimpl
def kdbench_datasets() -> list[type[Dataset]]:
    """Every data set of the catalog."""
    return [Digits, Mnist, Cifar10, Cifar100, ImageParquet, ImageFolder]
