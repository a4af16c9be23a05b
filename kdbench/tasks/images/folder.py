"""Images in one folder per class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from kdbench.data.cache import cached
from kdbench.data.files import Found, counted, find, hidden, walk
from kdbench.data.types import Dataset, RawData
from kdbench.errors import DataError, Location, cut, did_you_mean
from kdbench.tasks.images.decode import Channels
from kdbench.tasks.images.reading import Part, Reading
from kdbench.tasks.images.settings import Side

SUFFIXES = frozenset(
    {".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff"}
    | {".webp"}
)
TRAIN, TEST = "train", "test"
VALIDATION = ("val", "validation", "valid")

Classes = dict[str, Found]
"""The images of each class, and what was left out."""


class ImageFolder(Dataset):
    """Images in one folder per class: ``train/<class>/*.png``, ``test/<class>/*.png``.

    ``val/`` (or ``validation/``, ``valid/``) is the validation split, or the test set if there is no
    ``test/``. Without ``train/``, every folder is a class, and the suite holds out a test set
    (``dataset: {name: folder, test: 0.2, …}``).
    """

    name: ClassVar[str] = "folder"
    title: ClassVar[str] = "image folder"

    class Options(BaseModel):
        """Where the images are and how they are read.

        Args:
            path: the folder that contains ``train`` and ``test``, or one folder per class.
            size: side of the square that images are resized to (shorter side resized, then center crop);
                ``None`` requires them all to have one size.
            channels: 1 or 3; by default 1 if every image is grey, else 3.
        """

        model_config = ConfigDict(frozen=True, extra="forbid")

        path: str
        size: Side | None = None
        channels: Channels | None = None

    options: ImageFolder.Options

    def load(self, root: Path) -> RawData:
        """Read and decode the images, or read the cache."""
        folder = find(Path(self.options.path), root, "the image folder")
        folders, notes = _splits(folder)
        splits = {name: _classes(path, name) for name, path in folders.items()}
        names = tuple(splits[TRAIN])
        for split, classes in splits.items():
            for name in classes:
                if name not in names:
                    raise DataError(
                        f'class "{name}" has no folder in {folders[TRAIN]}{did_you_mean(name, names)}', Location(folders[split])
                    )
            if missing := [name for name in names if name not in classes or not classes[name].files]:
                notes.append(f"no {split} images of {counted(len(missing), 'class', 'classes')}: {cut(', '.join(missing))}")
        inside = (replace(f, files=[]) for classes in splits.values() for f in classes.values())
        notes += sum(inside, sum(map(_beside, folders.values()), Found())).notes("images")
        notes += [n for path in folders.values() for n in _loose(path)]
        parts = {name: _part(classes, names) for name, classes in splits.items()}
        parts.setdefault(TEST, _part({}, names))
        reading = Reading(parts, names, self.options.size, self.options.channels)
        sources = [p for part in parts.values() for p in part.sources if isinstance(p, Path)]
        options = self.options.model_dump(mode="json", exclude={"path"})
        data = cached(root, self.name, options, sources, reading.decode, reading.renew)
        return data.with_notes(notes)


def _splits(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Find the folders of the splits, and say what is unusual.

    The training set comes first, then test and validation.

    Raises:
        DataError: it is not a folder, or has a test set but no training set.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder: it must contain train and test, or one folder of images per class")
    inside = [p for p in sorted(folder.iterdir()) if not hidden(p.name) and p.is_dir()]
    named = {p.name.lower(): p for p in inside} | {p.name: p for p in inside}
    validation = next((named[name] for name in VALIDATION if name in named), None)
    test = named.get(TEST)
    if TRAIN not in named:
        if test is not None or validation is not None:
            raise DataError(f"the folder {folder / TRAIN} does not exist: it must contain one folder of images per class")
        if deeper := next((p for p in inside if (p / TRAIN).is_dir()), None):
            raise DataError(f"has no folder {TRAIN}, but {deeper} has one: set the option path to it", Location(folder))
        return {TRAIN: folder}, [f"{folder.name} has no folder {TRAIN}: each of its folders is a class"]
    notes = []
    if test is None and validation is not None:
        notes.append(f"{validation.name}/ is the test set, for there is no {TEST}/")
        test, validation = validation, None
    used = {TRAIN: named[TRAIN]} | ({} if test is None else {TEST: test})
    used |= {} if validation is None else {"validation": validation}
    if others := [p.name for p in inside if p not in used.values()]:
        notes.append(f"not used: {counted(len(others), 'folder')} beside {TRAIN}/ ({cut(', '.join(others))})")
    return used, notes


def _classes(folder: Path, split: str) -> Classes:
    """Find the images of each class in the order of their names.

    Raises:
        DataError: there are no classes, or one has no training images.
    """
    classes = sorted(p for p in folder.iterdir() if not hidden(p.name) and p.is_dir())
    if not classes:
        raise DataError("contains no folders: it must contain one folder of images per class", Location(folder))
    found = {c.name: walk(c, _is_image) for c in classes}
    for name, images in found.items():
        if not images.files and split == TRAIN:
            other = f" ({counted(images.others.total(), 'file')} of other kinds: {cut(', '.join(images.others))})"
            raise DataError(
                f"contains no images{other if images.others else ''}: add some ({', '.join(sorted(SUFFIXES))}), or remove it",
                Location(folder / name),
            )
    return found


def _beside(folder: Path) -> Found:
    """Count what lies beside the folders of the classes, and which of these are links."""
    entries = list(folder.iterdir())
    folders = {p for p in entries if p.is_dir()}
    return Found(
        hidden_files=sum(hidden(p.name) for p in entries if p not in folders),
        hidden_folders=Counter(p.name for p in folders if hidden(p.name)),
        others=Counter(p.suffix for p in entries if p not in folders and not hidden(p.name) and not _is_image(p.name)),
        linked=sum(p.is_symlink() for p in folders if not hidden(p.name)),
    )


def _loose(folder: Path) -> list[str]:
    """Say how many images lie beside the folders of the classes."""
    count = sum(_is_image(p.name) and not hidden(p.name) and p.is_file() for p in folder.iterdir())
    return [f"left out: {counted(count, 'image')} in {folder.name}/ outside of the folders of the classes"] if count else []


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _part(classes: Mapping[str, Found], names: tuple[str, ...]) -> Part:
    numbers = {name: n for n, name in enumerate(names)}
    paths = [p for found in classes.values() for p in found.files]
    return Part(paths, [numbers[name] for name, found in classes.items() for _ in found.files], lambda i: str(paths[i]))
