"""The image and label columns of a parquet file, found by type or by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kdbench.data.files import reason
from kdbench.errors import DataError, Location, did_you_mean


@dataclass(frozen=True)
class Table:
    """The content of one file.

    Args:
        file: the file.
        column: name of the image column.
        images: encoded images.
        labels: classes.
        class_names: class names from the schema's metadata, or empty.
    """

    file: Path
    column: str
    images: list[bytes]
    labels: list[int]
    class_names: tuple[str, ...]

    def label_of(self, row: int) -> str:
        """Name the image of a row, for messages."""
        return f"{self.file}: the image of row {row} (column {self.column})"


def read_table(file: Path, image: str | None, label: str | None) -> Table:
    """Read a file.

    Args:
        file: the file.
        image: name of the image column, if given.
        label: name of the label column, if given.

    Raises:
        DataError: the file is damaged or lacks a column, or a row lacks its image or its label.
    """
    try:
        schema = pq.read_schema(file)
        image = _column(file, schema, image, "image_column", "a struct column with bytes", _holds_images, "image")
        label = _column(file, schema, label, "label_column", "an integer column", pa.types.is_integer, "label")
        _check_rows(file)
        table = pq.read_table(file, columns=[image, label])
        cells = table[image].combine_chunks()
        images = (cells.field("bytes") if pa.types.is_struct(cells.type) else cells).to_pylist()
        labels = table[label].to_pylist()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError(f"is truncated or not a parquet file ({reason(error)}): copy it again", Location(file)) from error
    for what, column, cell in (("image", image, images), ("label", label, labels)):
        if None in cell:
            raise DataError(f"row {cell.index(None)} has no {what} (column {column}): fix or remove it", Location(file))
    return Table(file, image, images, labels, _class_names(schema, label))


def _check_rows(file: Path) -> None:
    """Check that a file is not a small one that expands to a huge number of rows."""
    rows, size = pq.read_metadata(file).num_rows, file.stat().st_size
    if rows > size:
        raise DataError(f"claims to hold {rows:,} images in {size:,} bytes: copy it again", Location(file))


def _holds_images(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_images(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _column(file: Path, schema: Any, given: str | None, option: str, what: str, fits: Callable[[Any], bool], usual: str) -> str:
    found = [str(field.name) for field in schema if fits(field.type)]
    known = f"columns are {', '.join(schema.names)}"
    if given is not None:
        if given in found:
            return given
        raise DataError(f'option {option}: "{given}" is not {what}{did_you_mean(given, found) or f"; {known}"}', Location(file))
    if usual in found:
        return usual
    if len(found) != 1:
        several = f"there are several ({', '.join(found)})" if found else f"there is none ({known})"
        raise DataError(f"{what} is needed, but {several}: set the option {option}", Location(file))
    return found[0]


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):  # not written by Hugging Face, or without names
        return ()
