"""Small data sets on disk and in memory."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from kdbench.data.types import Batch, Split, TaskData
from kdbench.errors import DataError
from kdbench.suite.schema import DatasetSpec
from kdbench.tasks.images.catalog import kdbench_datasets
from kdbench.tasks.images.statistics import channel_statistics
from kdbench.tasks.load import load_data
from kdbench.tasks.stream import StreamSettings, TrainStream
from tests.support.images import TASK

CPU = torch.device("cpu")
CATALOG = {cls.name: cls for cls in kdbench_datasets()}


def load(name: str, root: Path, **spec: Any) -> TaskData:
    return load_data(DatasetSpec(name=name, **spec), root, CATALOG, TASK)


def task(count: int = 20, shape: tuple[int, int, int] = (3, 6, 6), classes: int = 4, seed: int = 0) -> TaskData:
    """Random images; labels go round."""
    inputs = torch.randint(256, (count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    train = Split(inputs, torch.arange(count) % classes)
    empty = Split(inputs[:0], train.targets[:0])
    mean, std = channel_statistics(inputs) if count else (torch.zeros(shape[0]), torch.ones(shape[0]))
    names = tuple(f"c{i}" for i in range(classes))
    return TaskData("random", train, empty, train, names, "0" * 16, {"mean": mean, "std": std})


def shape_of(data: TaskData) -> tuple[int, ...]:
    """C, H and W of the images of every split, which must be the same."""
    (shape,) = {tuple(split.inputs.shape[1:]) for split in (data.train, data.validation, data.test)}
    return shape


def stream(data: TaskData, **changes: Any) -> TrainStream:
    """Batches of four raw images on the CPU, in an order of their own, not augmented."""
    settings: dict[str, Any] = {
        "batch_size": 4,
        "drop_last": True,
        "augmentation": {},
        "sampler": "shuffle",
        "seed": 7,
        "device": CPU,
        "channels_last": True,
    }
    return TASK.stream(data, StreamSettings(**(settings | changes)))


def batches(split: Split, *, batch_size: int, channels_last: bool) -> Iterator[Batch]:
    """Batches of raw images for evaluation."""
    return TASK.batches(split, batch_size=batch_size, device=CPU, channels_last=channels_last)


def normalised(data: TaskData, batch: Batch, channels_last: bool = True, device: torch.device = CPU) -> Tensor:
    """A batch's images as a network takes them that goes by the data."""
    inputs = TASK.preprocess(data, None, device=device, channels_last=channels_last)(batch.inputs)
    assert isinstance(inputs, Tensor)
    return inputs


def pixels(data: TaskData, inputs: Tensor) -> Tensor:
    """Normalised inputs, turned back into bytes."""
    mean, std = (data.statistics[name].view(-1, 1, 1) for name in ("mean", "std"))
    levels = (inputs.double() * std + mean) * 255
    assert (levels - levels.round()).abs().max() < 1e-3
    return levels.round().to(torch.uint8)


def picture(value: int, size: tuple[int, int] = (5, 5), mode: str = "RGB") -> Image.Image:
    """A picture whose first pixel is ``value``, with something to see beside it."""
    width, height = size
    pixels = (np.arange(width * height).reshape(height, width) * 7 + value).astype(np.uint8)
    pixels[0, 0] = value
    return Image.fromarray(pixels if mode == "L" else np.stack([pixels, pixels // 2, 255 - pixels], axis=-1), mode)


def png(value: int, **kwargs: Any) -> bytes:
    buffer = io.BytesIO()
    picture(value, **kwargs).save(buffer, "PNG")
    return buffer.getvalue()


def write_mnist(root: Path, train: int = 40, test: int = 20) -> Path:
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, count in (("train", train), ("t10k", test)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, count, 28, 28) + pixels.tobytes())
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, count) + labels.tobytes())
    return folder


def write_parquet(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int | None],
    *,
    names: Sequence[str] | None = None,
    columns: tuple[str, str] = ("img", "label"),
    extra: dict[str, list[Any]] | None = None,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array([{"bytes": b, "path": None} for b in images], kind)
    table = pa.table({columns[0]: cells, columns[1]: pa.array(labels, pa.int64()), **(extra or {})})
    if names is not None:
        features = {columns[0]: {"_type": "Image"}, columns[1]: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path


def write_folder(
    root: Path, *, classes: Sequence[str] = ("ant", "bee"), each: int = 4, test: str = "test", **kwargs: Any
) -> Path:
    for part, count in (("train", each), (test, 2)):
        for c, name in enumerate(classes):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                picture(10 * c + i, **kwargs).save(root / part / name / f"{i}.png")
    return root


def sentence(error: DataError) -> str:
    """The error's text, which must be one line for a person."""
    text = str(error)
    assert "\n" not in text
    assert len(text) > 20
    return text
