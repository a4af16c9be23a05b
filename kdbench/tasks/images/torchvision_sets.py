"""Data sets that torchvision can download and read."""

from __future__ import annotations

import socket
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from kdbench.data.files import reason, writable
from kdbench.data.types import RawData, Split
from kdbench.errors import DataError, Location
from kdbench.tasks.images.resizable import Resizable

NETWORK_TIMEOUT = 30.0
"""Seconds without an answer after which a download is aborted."""


class Mnist(Resizable):
    """MNIST (LeCun, Cortes, Burges): 60,000 + 10,000 images, 1×28×28.

    The idx files are in ``MNIST/raw``.
    """

    name: ClassVar[str] = "mnist"
    title: ClassVar[str] = "MNIST"

    def load(self, root: Path) -> RawData:
        """Read the four idx files; download them first if one is missing."""
        from torchvision.datasets import MNIST

        folder = root / "MNIST" / "raw"
        names = [name.removesuffix(".gz") for name, _ in MNIST.resources]
        if not all((folder / name).is_file() for name in names):
            _download(self.title, folder, names, root, lambda: MNIST(str(root), download=True))
        return self.resized(RawData(_read_idx(folder, "train"), _read_idx(folder, "t10k"), tuple("0123456789")))


def _read_idx(folder: Path, prefix: str) -> Split:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    images, labels = folder / f"{prefix}-images-idx3-ubyte", folder / f"{prefix}-labels-idx1-ubyte"
    inputs = _parse(read_image_file, images).unsqueeze(1)
    targets = _parse(read_label_file, labels)
    if len(inputs) != len(targets):
        raise DataError(
            f"has {len(targets)} labels for the {len(inputs)} images of {images.name}: copy both again", Location(labels)
        )
    if len(targets) and int(targets.max()) > 9:
        raise DataError(f"has the label {int(targets.max())}, but MNIST's are 0 to 9: copy it again", Location(labels))
    return Split(inputs, targets)


def _parse(read: Callable[[str], Tensor], path: Path) -> Tensor:
    try:
        return read(str(path))
    except Exception as error:  # torchvision checks with asserts, views and table look-ups
        raise DataError("is truncated or not an uncompressed idx file: copy it again", Location(path)) from error


class _Cifar(Resizable):
    source: ClassVar[str]

    def load(self, root: Path) -> RawData:
        """Read the files after checking their MD5 sums; download them if one is missing."""
        import torchvision.datasets

        source = getattr(torchvision.datasets, self.source)
        folder = root / source.base_folder
        sums = dict([*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])])
        if not all((folder / name).is_file() for name in sums):
            _download(self.title, folder, list(sums), root, lambda: source(str(root), download=True))
        _check_sums(folder, sums)
        # The files are pickles, which run code when read; the sums prove that they are the published ones.
        train, test = source(str(root), train=True), source(str(root), train=False)
        return self.resized(RawData(_from_arrays(train), _from_arrays(test), tuple(train.classes)))


class Cifar10(_Cifar):
    """CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 images, 3×32×32.

    The files are in ``cifar-10-batches-py``.
    """

    name: ClassVar[str] = "cifar10"
    title: ClassVar[str] = "CIFAR-10"
    source: ClassVar[str] = "CIFAR10"


class Cifar100(_Cifar):
    """CIFAR-100 (Krizhevsky 2009), 100 fine classes: 50,000 + 10,000 images, 3×32×32.

    The files are in ``cifar-100-python``.
    """

    name: ClassVar[str] = "cifar100"
    title: ClassVar[str] = "CIFAR-100"
    source: ClassVar[str] = "CIFAR100"


def _check_sums(folder: Path, sums: dict[str, str]) -> None:
    from torchvision.datasets.utils import check_integrity

    for name, md5 in sums.items():
        if not check_integrity(str(folder / name), md5):
            raise DataError("is truncated or altered (its MD5 sum is wrong): copy it again", Location(folder / name))


def _from_arrays(found: Any) -> Split:
    return Split(torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(found.targets, dtype=torch.int64))


def _download(title: str, folder: Path, files: Sequence[str], root: Path, download: Callable[[], object]) -> None:
    remedy = f"put {', '.join(files)} into {folder}, or name another data root with --data-root"
    if not writable(root):
        raise DataError(f"{title} is not in {folder}, which is read-only: {remedy}")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _network_timeout():
            download()
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:  # URLError is an OSError
        raise DataError(f"{title} is not in {folder} and cannot be downloaded ({reason(error)}): {remedy}") from error


@contextmanager
def _network_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
