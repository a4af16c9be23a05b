from __future__ import annotations

import hashlib
import pickle
import socket
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image
from torchvision.datasets import cifar, mnist

from kdbench.errors import DataError
from tests.tasks.images.samples import load, sentence, shape_of, write_mnist


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        assert socket.getdefaulttimeout() is not None  # a network that swallows packets must not hang a run
        raise URLError("no route to host")

    monkeypatch.setattr(mnist, "download_and_extract_archive", refuse)
    monkeypatch.setattr(cifar, "download_and_extract_archive", refuse)


def test_mnist_is_read_from_its_idx_files(tmp_path: Path) -> None:
    write_mnist(tmp_path, train=40, test=20)
    data = load("mnist", tmp_path, validation=0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 20)
    assert shape_of(data) == (1, 28, 28)
    assert data.class_names == tuple("0123456789")
    expected = np.random.default_rng(20).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert torch.equal(data.test.inputs[:, 0], torch.from_numpy(expected))


def test_mnist_is_resized_as_files_are(tmp_path: Path) -> None:
    write_mnist(tmp_path, train=20, test=10)
    data = load("mnist", tmp_path, options={"size": 40}, validation=0.0)
    assert shape_of(data) == (1, 40, 40)
    first = Image.fromarray(np.random.default_rng(10).integers(0, 256, (10, 28, 28), dtype=np.uint8)[0])
    expected = np.asarray(first.resize((40, 40), Image.Resampling.BICUBIC))
    assert torch.equal(data.test.inputs[0, 0], torch.from_numpy(expected.copy()))
    assert load("mnist", tmp_path, options={"size": 28}).fingerprint == load("mnist", tmp_path).fingerprint


def test_nothing_is_written_where_the_data_are(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    tmp_path.chmod(0o555)
    try:
        load("mnist", tmp_path)
    finally:
        tmp_path.chmod(0o755)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "file"), [("mnist", "train-images-idx3-ubyte"), ("cifar10", "data_batch_1"), ("cifar100", "meta")]
)
def test_without_network_and_data_one_sentence_says_which_files_go_where(tmp_path: Path, name: str, file: str) -> None:
    with pytest.raises(DataError) as caught:
        load(name, tmp_path / "data")
    said = sentence(caught.value)
    assert file in said
    assert str(tmp_path / "data") in said
    assert "no route to host" in said
    assert "--data-root" in said
    assert socket.getdefaulttimeout() is None


def test_a_missing_file_is_not_downloaded_into_a_read_only_root(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(DataError, match="which is read-only") as caught:
            load("mnist", tmp_path)
    finally:
        tmp_path.chmod(0o755)
    assert "t10k-labels-idx1-ubyte" in sentence(caught.value)


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"])
@pytest.mark.parametrize("keep", [0, 3, 7, -1])
def test_a_truncated_idx_file_is_named(tmp_path: Path, file: str, keep: int) -> None:
    path = write_mnist(tmp_path) / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="truncated") as caught:
        load("mnist", tmp_path)
    assert str(path) in sentence(caught.value)


def test_idx_files_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    folder, other = write_mnist(tmp_path / "a"), write_mnist(tmp_path / "b", train=30)
    labels = folder / "train-labels-idx1-ubyte"
    labels.write_bytes((other / labels.name).read_bytes())
    with pytest.raises(DataError, match="30 labels for the 40 images") as caught:
        load("mnist", tmp_path / "a")
    assert str(labels) in sentence(caught.value)


def test_a_label_that_is_no_digit_is_an_error(tmp_path: Path) -> None:
    labels = write_mnist(tmp_path) / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x63")
    with pytest.raises(DataError, match="label 99"):
        load("mnist", tmp_path)


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10 in its own format with 20 images a file; torchvision is told these files' sums."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name: str, content: dict[str, Any]) -> list[str]:
        packed = pickle.dumps(content)
        (folder / name).write_bytes(packed)
        return [name, hashlib.md5(packed).hexdigest()]

    def batch(seed: int) -> dict[str, Any]:
        data = np.random.default_rng(seed).integers(0, 256, (20, 3072), dtype=np.uint8)
        return {"data": data, "labels": [i % 10 for i in range(20)]}

    source = torchvision.datasets.CIFAR10
    monkeypatch.setattr(source, "train_list", [write(f"data_batch_{i}", batch(i)) for i in (1, 2)])
    monkeypatch.setattr(source, "test_list", [write("test_batch", batch(9))])
    name, md5 = write("batches.meta", {"label_names": [f"thing {i}" for i in range(10)]})
    monkeypatch.setattr(source, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return folder


def test_cifar_is_read_in_the_order_of_its_planes(small_cifar: Path) -> None:
    data = load("cifar10", small_cifar.parent, validation=0.0)
    assert (len(data.train), len(data.test)) == (40, 20)
    assert data.class_names[3] == "thing 3"
    expected = np.random.default_rng(9).integers(0, 256, (20, 3072), dtype=np.uint8)
    assert torch.equal(data.test.inputs, torch.from_numpy(expected).view(20, 3, 32, 32))


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
def test_an_altered_pickle_is_named_and_never_read(small_cifar: Path, file: str) -> None:
    path = small_cifar / file
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="MD5") as caught:
        load("cifar10", small_cifar.parent)
    assert str(path) in sentence(caught.value)
