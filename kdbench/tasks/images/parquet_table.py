"""The image and label columns of a parquet file, found by type or by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kdbench.data.files import reason
from kdbench.errors import DataError, Location, cut, did_you_mean

Label = int | str

LABEL_NAMES = frozenset({"label", "labels", "class", "classes", "class_label", "target", "targets", "category", "y"})
"""Names of columns that are labels, in lower case.

Names that end in ``_label`` are, too.
"""


@dataclass(frozen=True)
class Table:
    """The content of one file.

    Args:
        file: the file.
        column: name of the image column.
        images: encoded images.
        label_column: name of the label column.
        kind: what labels are, in words.
        labels: classes: numbers, or names.
        class_names: class names that the file says, or empty.
    """

    file: Path
    column: str
    images: list[bytes]
    label_column: str
    kind: str
    labels: list[Label]
    class_names: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether labels are names."""
        return self.kind == TEXT

    def label_of(self, row: int) -> str:
        """Name the image of a row, for messages."""
        return f"{self.file}: the image of row {row} (column {self.column})"


LONGEST = 200
"""Most characters of a class name."""

INTEGER, TEXT, BOOLEAN, FLOAT = "integers", "text", "true or false", "whole numbers"


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
        image = _image_column(file, schema, image)
        label = _label_column(file, schema, label)
        kind = _kind(schema.field(label).type)
        assert kind is not None
        _check_rows(file)
        table = pq.read_table(file, columns=[image, label], read_dictionary=[label] if kind == TEXT else None)
        cells = table[image].combine_chunks()
        images = (cells.field("bytes") if pa.types.is_struct(cells.type) else cells).to_pylist()
        labels: list[Any] = _texts(table[label]) if kind == TEXT else table[label].to_pylist()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DataError(f"is truncated or not a parquet file ({reason(error)}): copy it again", Location(file)) from error
    for what, column, cell in (("image", image, images), ("label", label, labels)):
        if None in cell:
            raise DataError(f"row {cell.index(None)} has no {what} (column {column}): fix or remove it", Location(file))
    if kind == TEXT and (long := max(map(len, set(labels)), default=0)) > LONGEST:
        raise DataError(f"has a label of {long:,} characters (column {label}): choose label_column", Location(file))
    if kind == FLOAT:
        wrong = next((row for row, value in enumerate(labels) if not float(value).is_integer()), None)
        if wrong is not None:
            message = (
                f"row {wrong} has the label {labels[wrong]} (column {label}), which is not a whole number: choose label_column"
            )
            raise DataError(message, Location(file))
    values: list[Label] = labels if kind == TEXT else [int(value) for value in labels]
    return Table(
        file, image, images, label, kind, values, ("false", "true") if kind == BOOLEAN else _class_names(schema, label)
    )


def _texts(column: Any) -> list[Any]:
    """Return texts; a small file may repeat a long one, which is in memory once."""
    encoded = column.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # which it stays without rows
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.array([], column.type)
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    return [None if i is None else texts[i] for i in encoded.indices.to_pylist()]


def _check_rows(file: Path) -> None:
    """Check that a file is not a small one that expands to a huge number of rows."""
    rows, size = pq.read_metadata(file).num_rows, file.stat().st_size
    if rows > size:
        raise DataError(f"claims to hold {rows:,} images in {size:,} bytes: copy it again", Location(file))


def _holds_images(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        return any(kind.field(i).name == "bytes" and _holds_images(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _kind(type_: Any) -> str | None:
    """Return what labels of a type are; ``None`` if it is not one of labels."""
    t = pa.types
    if t.is_dictionary(type_):
        return _kind(type_.value_type)
    if t.is_integer(type_):
        return INTEGER
    if t.is_string(type_) or t.is_large_string(type_) or t.is_string_view(type_):
        return TEXT
    return BOOLEAN if t.is_boolean(type_) else FLOAT if t.is_floating(type_) else None


def _image_column(file: Path, schema: Any, given: str | None) -> str:
    found = [str(field.name) for field in schema if _holds_images(field.type)]
    if given is not None:
        return _chosen(file, schema, given, found, "image_column", "a struct column with bytes")
    if "image" in found:
        return "image"
    if len(found) != 1:
        raise _ambiguous(file, schema, found, "a struct column with bytes is needed", "image_column")
    return found[0]


def _label_column(file: Path, schema: Any, given: str | None) -> str:
    """Return the label column.

    It is the one that was chosen, or that is called ``label``, or the only one that is named like one. No
    other column is taken, however well its type fits: it may hold anything.
    """
    what = "a column of integers, text, booleans or whole numbers"
    fitting = [str(field.name) for field in schema if _kind(field.type) is not None]
    if given is not None:
        return _chosen(file, schema, given, fitting, "label_column", what)
    if "label" in fitting:
        return "label"
    features = _features(schema)
    declared = [name for name in fitting if features.get(name, {}).get("_type") == "ClassLabel"]
    named = declared or [n for n in fitting if n.lower() in LABEL_NAMES or n.lower().endswith("_label")]
    if len(named) != 1:
        needed = f"{what} that is called label is needed"
        raise _ambiguous(file, schema, named, needed, "label_column")
    return named[0]


def _chosen(file: Path, schema: Any, given: str, found: list[str], option: str, what: str) -> str:
    if given in found:
        return given
    hint = did_you_mean(given, found) or f"; columns are {cut(', '.join(schema.names))}"
    raise DataError(f'option {option}: "{given}" is not {what}{hint}', Location(file))


def _ambiguous(file: Path, schema: Any, found: list[str], needed: str, option: str) -> DataError:
    columns = cut(", ".join(f"{field.name}: {cut(str(field.type), 40)}" for field in schema))
    several = f"there are several ({cut(', '.join(found))})" if found else f"there is none (columns are {columns})"
    return DataError(f"{needed}, but {several}: set the option {option}", Location(file))


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    names = _features(schema).get(label, {}).get("names", ())
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """Return what Hugging Face's metadata say about columns; empty without them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {str(name): about for name, about in features.items() if isinstance(about, dict)}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
