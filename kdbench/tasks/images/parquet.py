"""Image parquet files, as Hugging Face stores them.

They have a struct column with encoded images and a column with labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from kdbench.data.cache import cached
from kdbench.data.types import Dataset, RawData
from kdbench.errors import DataError, Location, located
from kdbench.tasks.images.decode import Channels
from kdbench.tasks.images.parquet_files import Paths, files_in, named_files
from kdbench.tasks.images.reading import Part, Reading
from kdbench.tasks.images.settings import Side
from kdbench.tasks.task import check_classes

if TYPE_CHECKING:
    from kdbench.tasks.images.parquet_table import Table

Tables = Mapping[str, Sequence["Table"]]
"""The content of the files of each split."""


class ImageParquet(Dataset):
    """Images in parquet files, as Hugging Face stores them.

    Class names come from the schema's metadata if it has them, or from labels that are text; otherwise
    classes are named by their numbers.
    """

    name: ClassVar[str] = "parquet"
    title: ClassVar[str] = "image parquet"

    class Options(BaseModel):
        """Where the files are and how they are read.

        Relative paths are relative to the data root, or else to the current folder.

        Args:
            path: a folder with files ``train*.parquet`` and ``test*.parquet``, or with folders ``train`` and
                ``test`` of parquet files, at any depth; ``validation`` or ``val`` is the validation split, or
                the test set if there is no other.
            train: file or files of the training set, instead of ``path``; ``*`` matches any name.
            test: file or files of the test set, likewise.
            validation: file or files of the validation split, likewise.
            image_column: struct column with ``bytes``; the only such column by default.
            label_column: column of integers, text, booleans or whole numbers; by default the one called
                ``label``, or the only one that is a class label by the schema's metadata or its name.
            size: side of the square that images are resized to (shorter side resized, then center crop);
                ``None`` requires them all to have one size.
            channels: 1 or 3; by default 1 if every image is grey, else 3.
        """

        model_config = ConfigDict(frozen=True, extra="forbid")

        path: str | None = None
        train: Paths | None = None
        test: Paths | None = None
        validation: Paths | None = None
        image_column: str | None = None
        label_column: str | None = None
        size: Side | None = None
        channels: Channels | None = None

        @model_validator(mode="after")
        def _one_way(self) -> ImageParquet.Options:
            given = [name for name in ("path", "train", "test", "validation") if getattr(self, name) is not None]
            if given != ["path"] and (not given or given[0] != "train"):
                raise ValueError("give either the option path, or the option train (and test and validation beside it)")
            return self

    options: ImageParquet.Options

    def load(self, root: Path) -> RawData:
        """Read and decode the files, or read the cache."""
        files, notes = self._files(root)
        options = self.options.model_dump(mode="json", include={"image_column", "label_column", "size", "channels"})
        options |= {"train_files": len(files["train"])}
        if "validation" in files:
            options |= {"test_files": len(files["test"])}
        sources = [f for part in files.values() for f in part]
        data = cached(
            root,
            self.name,
            options,
            sources,
            lambda: self._reading(files).decode(),
            lambda old: self._reading(files).renew(old),
        )
        return data.with_notes(notes)

    def _files(self, root: Path) -> tuple[dict[str, list[Path]], list[str]]:
        o = self.options
        if o.path is not None:
            return files_in(o.path, root)
        files = {"train": named_files(o.train or (), root), "test": named_files(o.test or (), root)}
        return files | ({} if o.validation is None else {"validation": named_files(o.validation, root)}), []

    def _reading(self, files: Mapping[str, Sequence[Path]]) -> Reading:
        from kdbench.tasks.images.parquet_table import read_table  # pyarrow takes a while to import

        o = self.options
        tables = {name: [read_table(f, o.image_column, o.label_column) for f in part] for name, part in files.items()}
        for name, part in tables.items():
            if part and not any(t.images for t in part):
                raise DataError("has no rows: copy it again", Location(files[name][0]))
        names = _class_names(tables)
        numbers = {name: n for n, name in enumerate(names)}
        columns = {t.label_column: t.kind for part in tables.values() for t in part}
        notes = [f"labels are the column {c} ({kind}, {len(names):,} classes)" for c, kind in columns.items() if c != "label"]
        return Reading({n: _part(ts, numbers, len(names)) for n, ts in tables.items()}, names, o.size, o.channels, notes)


def _class_names(tables: Tables) -> tuple[str, ...]:
    """Return the names of the classes, which all files agree on.

    Raises:
        DataError: files contradict each other, or the largest number is far beyond the number of rows.
    """
    every = [t for part in tables.values() for t in part if t.images]
    first = every[0]
    for table in every[1:]:
        if table.is_text != first.is_text:
            raise DataError(
                f"has labels of the kind {table.kind}, and {first.file} of the kind {first.kind}: they do not belong together",
                Location(table.file),
            )
    if first.is_text:
        return tuple(sorted({str(label) for t in tables["train"] for label in t.labels}))
    named = [t for t in every if t.class_names]
    for table in named[1:]:
        if table.class_names != named[0].class_names:
            at = next(
                (n for n, (a, b) in enumerate(zip(table.class_names, named[0].class_names, strict=False)) if a != b), None
            )
            how = (
                f"{len(table.class_names)} classes, and {named[0].file} has {len(named[0].class_names)}"
                if at is None
                else f'"{table.class_names[at]}" for class {at}, and {named[0].file} has "{named[0].class_names[at]}"'
            )
            raise DataError(f"has {how}: name files that belong together with the options train and test", Location(table.file))
    return named[0].class_names if named else _numbers(tables)


def _numbers(tables: Tables) -> tuple[str, ...]:
    """Name classes by their numbers, from 0 to the largest label.

    Raises:
        DataError: the largest is far beyond the number of rows.
    """
    rows = sum(len(t.labels) for t in tables["train"])
    every = [(t, [label for label in t.labels if isinstance(label, int)]) for part in tables.values() for t in part]
    for table, labels in every:
        largest = max(labels, default=0)
        with located(Location(table.file)):
            check_classes(f"row {labels.index(largest) if labels else 0} has the label {largest}, so it", largest + 1, rows)
    return tuple(map(str, range(1 + max(max(labels, default=0) for _, labels in every))))


def _part(tables: Sequence[Table], numbers: Mapping[str, int], classes: int) -> Part:
    """Return the images of one split, with classes as numbers.

    Raises:
        DataError: a label is not one of the classes.
    """
    targets: list[int] = []
    for table in tables:
        for row, label in enumerate(table.labels):
            number = numbers.get(label, -1) if isinstance(label, str) else label
            if not 0 <= number < classes:
                shown = f'"{label}"' if isinstance(label, str) else label
                hint = " (-1 stands for an unknown label: name files that have labels with the options train and test)"
                raise DataError(
                    f"row {row} has the label {shown}, which is not one of the {classes} classes"
                    f"{hint if label == -1 else ''}: fix or remove it",
                    Location(table.file),
                )
            targets.append(number)
    images = [i for t in tables for i in t.images]
    rows = [(t, row) for t in tables for row in range(len(t.images))]
    return Part(images, targets, lambda i: rows[i][0].label_of(rows[i][1]))
