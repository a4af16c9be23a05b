from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.tasks.images.samples import load, shape_of

pytestmark = pytest.mark.data


def test_mnist_is_the_published_one(real_data: Path) -> None:
    data = load("mnist", real_data)
    assert (len(data.train), len(data.validation), len(data.test)) == (54_000, 6_000, 10_000)
    assert torch.bincount(data.test.targets).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.fingerprint == "fa432652a9a62a69"
    torch.testing.assert_close(
        data.statistics["mean"], torch.tensor([0.1307]), atol=1e-3, rtol=0
    )  # the numbers that everyone uses
    torch.testing.assert_close(data.statistics["std"], torch.tensor([0.3081]), atol=1e-3, rtol=0)


def test_three_classes_of_mnist_with_a_hold_out_of_one_s_own(real_data: Path) -> None:
    data = load("mnist", real_data, classes=[0, 1, 2], test=0.1)
    assert torch.bincount(data.test.targets).tolist() == [690, 788, 699]  # a tenth of 6903, 7877, 6990
    assert len(data.train) + len(data.validation) + len(data.test) == 21_770


def test_cifar10_is_read_from_hugging_face_parquet(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path))
    file = "cifar10-jpeg/test.parquet"  # the smaller of the two serves for both here
    data = load("parquet", real_data, options={"train": file, "test": file}, limit=2_000)
    assert shape_of(data) == (3, 32, 32)
    assert data.class_names[:3] == ("airplane", "automobile", "bird")
    assert torch.bincount(data.test.targets).tolist() == [200] * 10
