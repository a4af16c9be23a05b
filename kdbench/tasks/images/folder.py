"""Images in one folder per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict

from kdbench.data.cache import cached
from kdbench.data.files import find
from kdbench.data.types import Dataset, RawData, Split
from kdbench.errors import DataError, Location, did_you_mean
from kdbench.tasks.images.decode import Channels, decode_images, guess_channels
from kdbench.tasks.images.settings import Side

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
TEST_FOLDERS = ("test", "val", "validation")

Files = dict[str, list[Path]]
"""Image files by class."""


class ImageFolder(Dataset):
    """Images in one folder per class: ``train/<class>/*.png``, ``test/<class>/*.png``.

    The test folder may also be called ``val`` or ``validation``.
    """

    name: ClassVar[str] = "folder"
    title: ClassVar[str] = "image folder"

    class Options(BaseModel):
        """Where the images are and how they are read.

        Args:
            path: the folder that contains ``train`` and ``test``.
            size: side of the square that images are resized to (shorter side resized, then center crop);
                ``None`` requires them all to have one size.
            channels: 1 or 3; that of the first image by default.
        """

        model_config = ConfigDict(frozen=True, extra="forbid")

        path: str
        size: Side | None = None
        channels: Channels | None = None

    options: ImageFolder.Options

    def load(self, root: Path) -> RawData:
        """Read and decode the images, or read the cache."""
        folder = find(Path(self.options.path), root, "the image folder")
        train = _files(folder / "train")
        test_folder = next((folder / n for n in TEST_FOLDERS if (folder / n).is_dir()), folder / TEST_FOLDERS[0])
        test = _files(test_folder)
        for name in test:
            if name not in train:
                raise DataError(
                    f'class "{name}" has no folder in {folder / "train"}{did_you_mean(name, train)}', Location(test_folder)
                )
        sources = [p for files in (train, test) for paths in files.values() for p in paths]
        options = self.options.model_dump(mode="json", exclude={"path"})
        return cached(root, self.name, options, sources, lambda: self._decode(train, test))

    def _decode(self, train: Files, test: Files) -> RawData:
        names = tuple(train)
        first = train[names[0]][0]
        channels = self.options.channels or guess_channels(first, str(first))
        splits = [_split(files, names, self.options.size, channels) for files in (train, test)]
        return RawData(splits[0], splits[1], names)


def _files(folder: Path) -> Files:
    if not folder.is_dir():
        raise DataError(f"the folder {folder} does not exist: it must contain one folder of images per class")
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise DataError("contains no folders: it must contain one folder of images per class", Location(folder))
    found = {c.name: sorted(p for p in c.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()) for c in classes}
    for name, paths in found.items():
        if not paths:
            raise DataError(
                f"contains no images ({', '.join(sorted(SUFFIXES))}): add some, or remove it", Location(folder / name)
            )
    return found


def _split(files: Files, names: Sequence[str], size: int | None, channels: Channels) -> Split:
    paths = [p for found in files.values() for p in found]
    targets = [names.index(name) for name, found in files.items() for _ in found]
    return Split(decode_images(paths, lambda i: str(paths[i]), size, channels), torch.tensor(targets, dtype=torch.int64))
