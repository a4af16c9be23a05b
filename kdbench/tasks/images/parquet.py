"""Image parquet files, as Hugging Face stores them.

They have a struct column with encoded images and a column with integer labels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, model_validator

from kdbench.data.cache import cached
from kdbench.data.files import find
from kdbench.data.types import Dataset, RawData, Split
from kdbench.errors import DataError, Location, located
from kdbench.tasks.images.decode import Channels, decode_images, guess_channels
from kdbench.tasks.images.settings import Side
from kdbench.tasks.task import check_classes

if TYPE_CHECKING:
    from kdbench.tasks.images.parquet_table import Table

Paths = str | tuple[str, ...]

MAX_ENTRIES = 100_000
"""Most files in a folder that is searched for parquet files."""


class ImageParquet(Dataset):
    """Images in parquet files, as Hugging Face stores them.

    Class names come from the schema's metadata if it has them; otherwise classes are named by their numbers.
    """

    name: ClassVar[str] = "parquet"
    title: ClassVar[str] = "image parquet"

    class Options(BaseModel):
        """Where the files are and how they are read.

        Relative paths are relative to the data root, or else to the current folder.

        Args:
            path: a folder with ``train*.parquet`` and ``test*.parquet`` (or ``validation*``, ``val*``), at
                any depth.
            train: file or files of the training set, instead of ``path``.
            test: file or files of the test set, instead of ``path``.
            image_column: struct column with ``bytes``; the only such column by default.
            label_column: integer column; by default the one called ``label``, or the only one.
            size: side of the square that images are resized to (shorter side resized, then center crop);
                ``None`` requires them all to have one size.
            channels: 1 or 3; that of the first image by default.
        """

        model_config = ConfigDict(frozen=True, extra="forbid")

        path: str | None = None
        train: Paths | None = None
        test: Paths | None = None
        image_column: str | None = None
        label_column: str | None = None
        size: Side | None = None
        channels: Channels | None = None

        @model_validator(mode="after")
        def _one_way(self) -> ImageParquet.Options:
            given = [name for name in ("path", "train", "test") if getattr(self, name) is not None]
            if given not in (["path"], ["train", "test"]):
                raise ValueError("give either the option path, or both train and test")
            return self

    options: ImageParquet.Options

    def load(self, root: Path) -> RawData:
        """Read and decode the files, or read the cache."""
        train, test = self._files(root)
        options = self.options.model_dump(mode="json", exclude={"path", "train", "test"}) | {"train_files": len(train)}
        return cached(root, self.name, options, [*train, *test], lambda: self._decode(train, test))

    def _files(self, root: Path) -> tuple[list[Path], list[Path]]:
        o = self.options
        if o.path is None:
            return _named(o.train or (), root), _named(o.test or (), root)
        folder = find(Path(o.path), root, "the folder of parquet files")
        files = _parquet_files(folder)
        train = [f for f in files if f.name.startswith("train")]
        test = next((t for p in ("test", "val") if (t := [f for f in files if f.name.startswith(p)])), [])
        for found, wanted in ((train, "train*.parquet"), (test, "test*.parquet or validation*.parquet")):
            if not found:
                raise DataError(
                    f"contains no {wanted}: add it, or name files with the options train and test", Location(folder)
                )
        return train, test

    def _decode(self, train: Sequence[Path], test: Sequence[Path]) -> RawData:
        from kdbench.tasks.images.parquet_table import read_table  # pyarrow takes a while to import

        o = self.options
        tables = [[read_table(f, o.image_column, o.label_column) for f in files] for files in (train, test)]
        for part, files in zip(tables, (train, test), strict=True):
            if not any(t.images for t in part):
                raise DataError("has no rows: copy it again", Location(files[0]))
        first = next(t for t in tables[0] if t.images)
        channels = o.channels or guess_channels(first.images[0], first.label_of(0))
        names = first.class_names or _numbers(tables)
        splits = [_split(ts, len(names), o.size, channels) for ts in tables]
        return RawData(splits[0], splits[1], names)


def _parquet_files(folder: Path) -> list[Path]:
    """Find the parquet files in a folder, at any depth.

    Raises:
        DataError: it holds so much that it is not a folder of parquet files.
    """
    found: list[Path] = []
    entries = 0
    for root, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        if entries > MAX_ENTRIES:
            raise DataError(
                f"holds more than {MAX_ENTRIES:,} files: name one that holds the parquet files and little else",
                Location(folder),
            )
        found += [path for name in files if name.endswith(".parquet") and (path := Path(root, name)).is_file()]
    return sorted(found)


def _numbers(tables: Sequence[Sequence[Table]]) -> tuple[str, ...]:
    """Name classes by their numbers, from 0 to the largest label.

    Raises:
        DataError: the largest is far beyond the number of rows.
    """
    rows = sum(len(t.labels) for t in tables[0])
    for table in (t for part in tables for t in part):
        largest = max(table.labels, default=0)
        with located(Location(table.file)):
            check_classes(
                f"row {table.labels.index(largest) if table.labels else 0} has the label {largest}, so it", largest + 1, rows
            )
    return tuple(map(str, range(1 + max(max(t.labels, default=0) for part in tables for t in part))))


def _named(paths: Paths, root: Path) -> list[Path]:
    found = [find(Path(p), root, "the parquet file") for p in ([paths] if isinstance(paths, str) else paths)]
    for path in found:
        if not path.is_file():
            raise DataError("is not a regular file", Location(path))
    return found


def _split(tables: Sequence[Table], classes: int, size: int | None, channels: Channels) -> Split:
    for table in tables:
        for row, label in enumerate(table.labels):
            if not 0 <= label < classes:
                message = f"row {row} has the label {label}, which is not one of the {classes} classes: fix or remove it"
                raise DataError(message, Location(table.file))
    images = [i for t in tables for i in t.images]
    rows = [(t, row) for t in tables for row in range(len(t.images))]
    inputs = decode_images(images, lambda i: rows[i][0].label_of(rows[i][1]), size, channels)
    return Split(inputs, torch.tensor([label for t in tables for label in t.labels], dtype=torch.int64))
